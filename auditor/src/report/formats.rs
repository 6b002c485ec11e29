//! Calls counted by what became of each format.

use std::collections::BTreeMap;

use crate::context::format::{Format, Status};
use crate::context::w3c::W3C;

/// By format and status, as the output shows them.
pub type FormatsInfo = BTreeMap<&'static str, BTreeMap<&'static str, u64>>;

/// What became of each format.
#[derive(Clone, Debug, Default)]
pub struct FormatCounts(BTreeMap<(&'static str, Status), u64>);

impl FormatCounts {
    /// A call; what neither it nor its request carried is not counted.
    pub fn add(&mut self, formats: &[(&'static str, Status)]) {
        for format in formats.iter().filter(|(_, status)| *status != Status::Absent) {
            *self.0.entry(*format).or_default() += 1;
        }
    }

    /// Calls that were counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (format, count) in &other.0 {
            *self.0.entry(*format).or_default() += count;
        }
    }

    /// As the output shows them; `None` where the outcomes of the edge say all of it: nothing but W3C was seen.
    pub fn info(&self) -> Option<FormatsInfo> {
        let others = self.0.keys().any(|(format, _)| *format != W3C.name());
        others.then(|| {
            let mut info = FormatsInfo::new();
            for ((format, status), count) in &self.0 {
                info.entry(format).or_default().insert(status.as_str(), *count);
            }
            info
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_outcomes_say_is_not_said_again() {
        let mut counts = FormatCounts::default();
        counts.add(&[("w3c", Status::Continued), ("b3", Status::Absent)]);
        assert_eq!(counts.info(), None);
        counts.add(&[("w3c", Status::Dropped), ("b3", Status::Restarted)]);
        counts.add(&[("w3c", Status::Dropped)]);
        let w3c = BTreeMap::from([("continued", 1), ("dropped", 2)]);
        assert_eq!(counts.info(), Some(BTreeMap::from([("w3c", w3c), ("b3", BTreeMap::from([("restarted", 1)]))])));
    }
}
