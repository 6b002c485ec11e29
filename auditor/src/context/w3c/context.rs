//! What a request carries in `traceparent`, by how far it can be trusted.

use memchr::memchr;

use super::traceparent::{Reason, TraceParent, lenient_trace_id, trim};
use crate::context::format::Fields;
use crate::exchange::{RequestHead, Visibility};

/// Longest piece of a received value that is kept as evidence; a valid one is 55 bytes.
const RAW_CAP: usize = 256;

/// What a request carries in `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// The head was seen whole and has none.
    Absent,
    /// One valid value.
    Valid(TraceParent, Box<str>),
    /// One invalid value; with the trace-id that can still be read from it.
    Malformed(Reason, Option<u128>, Box<str>),
    /// More than one field line, or comma-joined values; with the first trace-id among them.
    Duplicated(Option<u128>, Box<str>),
    /// The head was not seen whole, and no `traceparent` in what was seen.
    Unseen,
}

impl Context {
    /// Reads the `traceparent` fields of a head.
    pub fn of(head: &RequestHead, visibility: Visibility) -> Self {
        Self::read(Fields(&head.fields), visibility)
    }

    /// Reads the `traceparent` among the fields of a head.
    pub fn read(head: Fields<'_>, visibility: Visibility) -> Self {
        let none = if visibility == Visibility::Whole { Self::Absent } else { Self::Unseen };
        let mut values = head.values("traceparent");
        let Some(first) = values.next() else { return none };
        let rest: Vec<&[u8]> = values.collect();
        // As a proxy writes it that copies what did not come.
        if first.is_empty() && rest.iter().all(|value| value.is_empty()) {
            return none;
        }
        if !rest.is_empty() || memchr(b',', first).is_some() {
            let mut joined = first.to_vec();
            for value in rest {
                joined.extend_from_slice(b", ");
                joined.extend_from_slice(value);
                if joined.len() > RAW_CAP {
                    break;
                }
            }
            let id = joined.split(|b| *b == b',').find_map(lenient_trace_id);
            // However the values were joined, on lines or by commas, the same values read the same.
            let values: Vec<_> = joined.split(|b| *b == b',').map(trim).collect();
            return Self::Duplicated(id, text(&values.join(&b", "[..])));
        }
        match TraceParent::parse(first) {
            Ok(parent) => Self::Valid(parent, text(first)),
            // In a head that was lost or cut the value may be cut as well: it proves nothing.
            Err(_) if visibility != Visibility::Whole => Self::Unseen,
            Err(reason) => Self::Malformed(reason, lenient_trace_id(first), text(first)),
        }
    }

    /// The value as it crossed the socket, without surrounding whitespace.
    pub fn raw(&self) -> Option<&str> {
        match self {
            Self::Valid(_, raw) | Self::Malformed(_, _, raw) | Self::Duplicated(_, raw) => Some(raw),
            Self::Absent | Self::Unseen => None,
        }
    }

    /// Whether this is the value that was received, or one of them; of several, whether one is. Of a long one nobody can
    /// tell.
    pub fn is_of(&self, received: &Self) -> bool {
        let (Some(sent), Some(received)) = (self.raw(), received.raw()) else { return false };
        // As a rule each is one value.
        let several = |text: &str| memchr(b',', text.as_bytes()).is_some();
        let mut parts = sent.split(", ");
        received.len() >= RAW_CAP
            || sent == received
            || (several(sent) || several(received))
                && parts.any(|sent| received.split(", ").any(|received| received == sent))
    }

    /// The valid context, if it is one.
    pub fn valid(&self) -> Option<&TraceParent> {
        match self {
            Self::Valid(parent, _) => Some(parent),
            _ => None,
        }
    }

    /// A trace-id, however broken the rest is.
    pub fn trace_id(&self) -> Option<u128> {
        match self {
            Self::Valid(parent, _) => Some(parent.trace_id),
            Self::Malformed(_, id, _) | Self::Duplicated(id, _) => *id,
            Self::Absent | Self::Unseen => None,
        }
    }
}

fn text(value: &[u8]) -> Box<str> {
    let value = trim(value);
    let value = value.get(..RAW_CAP).unwrap_or(value);
    // As a rule it is text.
    std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value).into(), Box::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn head(fields: &[(&'static str, &'static str)]) -> RequestHead {
        RequestHead { fields: fields.iter().copied().collect(), ..RequestHead::default() }
    }

    #[test]
    fn reads_the_field_under_any_name_casing() {
        for name in ["traceparent", "TRACEPARENT", "Traceparent"] {
            assert!(matches!(Context::of(&head(&[(name, GOOD)]), Visibility::Whole), Context::Valid(..)));
        }
        assert_eq!(Context::of(&head(&[("tracestate", "a=b")]), Visibility::Whole), Context::Absent);
        assert_eq!(Context::of(&head(&[]), Visibility::Truncated), Context::Unseen);
        assert!(matches!(Context::of(&head(&[("traceparent", GOOD)]), Visibility::Truncated), Context::Valid(..)));
        assert_eq!(Context::of(&head(&[("traceparent", "00-4bf9")]), Visibility::Lost), Context::Unseen);
    }

    #[test]
    fn a_copy_is_told_from_a_value_of_its_own() {
        let of = |value: &'static str| Context::of(&head(&[("traceparent", value)]), Visibility::Whole);
        let (one, other) = (of("00-0-1-01"), of("00-0-2-01"));
        let both = Context::of(&head(&[("traceparent", "00-0-1-01"), ("traceparent", GOOD)]), Visibility::Whole);
        assert!(one.is_of(&one) && one.is_of(&of(" 00-0-1-01\t")) && one.is_of(&both) && both.is_of(&both));
        let two = Context::of(&head(&[("traceparent", "00-0-2-01"), ("traceparent", "00-0-3-01")]), Visibility::Whole);
        assert!(two.is_of(&other) && !two.is_of(&both) && both.is_of(&one));
        assert!(!other.is_of(&one) && !other.is_of(&both) && !one.is_of(&Context::Absent));
        let long: String = "x".repeat(RAW_CAP + 1);
        let long = Context::of(&head(&[("traceparent", long.leak())]), Visibility::Whole);
        assert!(one.is_of(&long));
    }

    #[test]
    fn an_empty_value_says_nothing() {
        let read = |values: &[&'static str], visibility| {
            let fields: Vec<_> = values.iter().map(|value| ("traceparent", *value)).collect();
            Context::of(&head(&fields), visibility)
        };
        assert_eq!(read(&[" "], Visibility::Whole), Context::Absent);
        assert_eq!(read(&["", ""], Visibility::Whole), Context::Absent);
        assert_eq!(read(&[""], Visibility::Truncated), Context::Unseen);
        // Receivers join them with a comma, and that is no value.
        assert!(matches!(read(&["", GOOD], Visibility::Whole), Context::Duplicated(..)));
    }

    #[test]
    fn several_values_are_duplicates() {
        let twice = head(&[("traceparent", GOOD), ("Traceparent", GOOD)]);
        assert!(matches!(Context::of(&twice, Visibility::Whole), Context::Duplicated(Some(_), _)));
        let joined = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(matches!(Context::of(&head(&[("traceparent", joined)]), Visibility::Whole), Context::Duplicated(..)));
    }
}
