//! Values of `traceparent` that are refused although they are as valid as those that are not.
//!
//! White space around the value cannot be judged: it is gone before anything looks at fields. Nor can the name
//! `Traceparent` as some libraries write it: who is restarted may be a matter of who it is, and not of the library that
//! all of those strangers use. Other casings, and later versions, nobody but a test or a new library writes.

use super::super::format::Fields;
use super::super::w3c::TraceParent;
use super::Fate;

/// Samples of each kind that make it certain.
const ENOUGH: u8 = 8;
const PLAIN: &[u8] = b"traceparent";
const CANONICAL: &[u8] = b"Traceparent";

/// A way in which a valid value is not plain, and how often which fate met it.
#[derive(Debug, Default)]
struct Met {
    continued: u8,
    restarted: u8,
}

/// What became of the values of one sender.
#[derive(Debug, Default)]
pub(super) struct Acceptance {
    plain: Met,
    future_version: Met,
    name_casing: Met,
}

impl Acceptance {
    /// In which way the value differs from those that are accepted, if it was refused for that.
    pub(super) fn rejected(&mut self, head: Fields<'_>, value: &TraceParent, fate: Fate) -> Option<&'static str> {
        let (met, form) = match (value.version, name(head)) {
            (0, PLAIN) => (&mut self.plain, None),
            (_, CANONICAL) => return None,
            (0, _) => (&mut self.name_casing, Some("name_casing")),
            (_, PLAIN) => (&mut self.future_version, Some("future_version")),
            // Which of the two would be the reason?
            (..) => return None,
        };
        let count = if fate == Fate::Continued { &mut met.continued } else { &mut met.restarted };
        *count = count.saturating_add(1);
        let refused = met.continued == 0 && met.restarted >= ENOUGH;
        let accepts = self.plain.restarted == 0 && self.plain.continued >= ENOUGH;
        form.filter(|_| refused && accepts)
    }
}

/// Of the field, as it was written.
fn name<'a>(head: Fields<'a>) -> &'a [u8] {
    head.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(PLAIN)).map_or(PLAIN, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::head;
    use super::super::{History, Limits};
    use super::*;
    use Fate::{Continued, Restarted};

    fn fires(samples: &[(&str, u8, Fate)]) -> Vec<&'static str> {
        let mut history = History::new(Limits::default());
        let mut reasons = Vec::new();
        for _ in 0..ENOUGH {
            for &(name, version, fate) in samples {
                let value = TraceParent { version, trace_id: 1, parent_id: 1, flags: 0 };
                let fault = history.received(1, Fields(&head(&[(name, "")])), &value, fate);
                reasons.extend(fault.and_then(|fault| fault.reason));
            }
        }
        reasons
    }

    #[test]
    fn what_is_as_valid_is_accepted() {
        let plain = ("traceparent", 0, Continued);
        assert_eq!(fires(&[plain, ("traceparent", 1, Restarted)]), ["future_version"]);
        assert_eq!(fires(&[plain, ("TraceParent", 0, Restarted)]), ["name_casing"]);
        for legal in [
            // A boundary, where every trace is restarted, or some.
            &[("traceparent", 0, Restarted), ("traceparent", 1, Restarted)][..],
            &[plain, ("traceparent", 0, Restarted), ("traceparent", 1, Restarted)],
            &[plain, ("traceparent", 1, Restarted), ("traceparent", 1, Continued)],
            &[plain, ("TraceParent", 1, Restarted)],
            // Strangers, all of whom use one library.
            &[plain, ("Traceparent", 0, Restarted)],
            &[("traceparent", 1, Restarted)],
        ] {
            assert_eq!(fires(legal), Vec::<&str>::new(), "{legal:?}");
        }
    }
}
