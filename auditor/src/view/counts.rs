//! Calls by what became of their trace, added up over intervals and nodes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit::Outcome;

/// Outcomes, those that lose the trace first.
const WORST_FIRST: [Outcome; 8] = [
    Outcome::Dropped,
    Outcome::Restarted,
    Outcome::Unknown,
    Outcome::Absent,
    Outcome::Started,
    Outcome::Translated,
    Outcome::PassedThrough,
    Outcome::Continued,
];

/// Calls by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All calls.
    pub calls: u64,
    /// Of them, those that look faulty without certainty; they count as `unknown`.
    pub suspected: u64,
    /// Calls whose connection closed without a response.
    pub failed: u64,
    /// Calls with status 500 and above.
    pub server_errors: u64,
    outcomes: BTreeMap<Outcome, u64>,
}

impl Tally {
    /// As a record counts them.
    pub(super) fn of_record(edge: &BTreeMap<String, u64>) -> Self {
        let of = |name: &str| edge.get(name).copied().unwrap_or(0);
        let outcomes = Outcome::ALL.into_iter().map(|outcome| (outcome, of(outcome.as_str())));
        Self {
            calls: of("calls"),
            suspected: of("suspected"),
            failed: of("failed"),
            server_errors: of("server_errors"),
            outcomes: outcomes.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Calls that were counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.calls, other.calls),
            (&mut self.suspected, other.suspected),
            (&mut self.failed, other.failed),
            (&mut self.server_errors, other.server_errors),
        ] {
            *sum = sum.saturating_add(count);
        }
        for (outcome, count) in &other.outcomes {
            let sum = self.outcomes.entry(*outcome).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Calls with an outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// Calls on which the trace went on.
    pub fn kept(&self) -> u64 {
        [Outcome::Continued, Outcome::PassedThrough, Outcome::Translated]
            .iter()
            .fold(0, |sum, outcome| sum.saturating_add(self.of(*outcome)))
    }

    /// Calls on which the trace certainly ended.
    pub fn lost(&self) -> u64 {
        self.of(Outcome::Dropped).saturating_add(self.of(Outcome::Restarted))
    }

    /// Share of the calls on which the trace went on, of those whose request had one; `None` when there were none.
    pub fn coverage(&self) -> Option<f64> {
        let judged = self.kept().saturating_add(self.lost());
        (judged > 0).then(|| self.kept() as f64 / judged as f64)
    }

    /// What is to be said of them in a word.
    pub fn verdict(&self) -> Verdict {
        let commonest = |outcomes: &[Outcome]| {
            let mut worst = (Outcome::Unknown, 0);
            for outcome in outcomes {
                let count = self.of(*outcome);
                if count > worst.1 {
                    worst = (*outcome, count);
                }
            }
            worst.0
        };
        match (self.lost(), self.kept()) {
            (0, 0) if self.suspected > 0 => Verdict::Suspected,
            (0, _) => Verdict::All(commonest(&WORST_FIRST)),
            (_, 0) => Verdict::All(commonest(&[Outcome::Dropped, Outcome::Restarted])),
            _ => Verdict::Partly(commonest(&[Outcome::Dropped, Outcome::Restarted])),
        }
    }

    /// As the output names them.
    pub fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        Outcome::ALL.into_iter().map(|outcome| (outcome.as_str(), self.of(outcome))).collect()
    }
}

/// What became of the trace on a hop: on most calls, or on some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The commonest, where no call says the opposite.
    All(Outcome),
    /// The trace went on with other calls.
    Partly(Outcome),
    /// It looks lost, without certainty.
    Suspected,
}

impl Verdict {
    /// For people.
    pub fn text(self) -> String {
        match self {
            Self::All(outcome) => outcome.as_str().replace('_', " "),
            Self::Partly(outcome) => format!("partly {}", outcome.as_str()),
            Self::Suspected => "suspected".to_owned(),
        }
    }

    /// The worse, the lower.
    pub(super) fn rank(self) -> usize {
        let rank = |outcome| WORST_FIRST.iter().position(|one| *one == outcome).unwrap_or(0);
        match self {
            Self::All(outcome) | Self::Partly(outcome) => rank(outcome),
            Self::Suspected => rank(Outcome::Unknown),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text().replace(' ', "_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(counts: &[(&str, u64)]) -> Tally {
        let mut edge: BTreeMap<String, u64> = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        edge.insert("calls".into(), counts.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count)));
        Tally::of_record(&edge)
    }

    #[test]
    fn a_hop_in_a_word() {
        for (counts, text, coverage) in [
            (&[("dropped", 9), ("unknown", 50)][..], "dropped", Some(0.0)),
            (&[("dropped", 1), ("continued", 3)], "partly dropped", Some(0.75)),
            (&[("restarted", 5), ("dropped", 1)], "restarted", Some(0.0)),
            (&[("continued", 3), ("unknown", 2)], "continued", Some(1.0)),
            (&[("passed_through", 3)], "passed through", Some(1.0)),
            (&[("unknown", 3), ("suspected", 3)], "suspected", None),
            (&[("absent", 3), ("started", 1)], "absent", None),
            (&[], "unknown", None),
        ] {
            let tally = tally(counts);
            assert_eq!((tally.verdict().text().as_str(), tally.coverage()), (text, coverage), "{counts:?}");
        }
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let mut sum = tally(&[("dropped", u64::MAX)]);
        sum.add(&tally(&[("dropped", 1)]));
        sum.add(&tally(&[("restarted", u64::MAX)]));
        sum.add(&tally(&[("continued", u64::MAX)]));
        assert_eq!((sum.calls, sum.lost()), (u64::MAX, u64::MAX));
        assert_eq!(sum.coverage(), Some(1.0));
    }
}
