//! How the fields are named: one word, and on HTTP/1 better in lower case.

use super::rules;
use super::traceparent::lenient_trace_id;
use crate::context::format::{Fault, Fields};

/// The right names, and names that are taken for them.
pub(super) static FIELDS: [&str; 8] = [
    "traceparent",
    "tracestate",
    "trace-parent",
    "trace.parent",
    "trace_parent",
    "trace-state",
    "trace.state",
    "trace_state",
];

/// What is wrong with the names of the fields.
pub(super) fn faults(head: Fields<'_>) -> Vec<Fault> {
    let [parent, state, parents @ .., s1, s2, s3] = FIELDS;
    let names = [parent, state];
    // As a rule there are no others that begin like them.
    let is_odd = |name: &[u8]| matches!(name, [b't' | b'T', ..]) && names.iter().all(|right| name != right.as_bytes());
    if !head.0.iter().any(|(name, _)| is_odd(name)) {
        return Vec::new();
    }
    let parents =
        parents.into_iter().find(|name| is_instead(head, name, parent, |value| lenient_trace_id(value).is_some()));
    // Somebody else's `trace-state` is none of ours: a word, a number.
    let states = [s1, s2, s3].into_iter().find(|name| is_instead(head, name, state, |v| v.contains(&b'=')));
    let cased = names.into_iter().find(|name| head.0.iter().any(|(n, _)| is_cased(n, name)));
    let fault = |rule, right, name: &'static str| Fault { rule, reason: right, detail: Some(name.into()) };
    // Each by itself: whoever received the one under a wrong name has not received the other.
    let wrong = [(parents, parent), (states, state)];
    let wrong = wrong.into_iter().filter_map(|(name, right)| Some(fault(&rules::NAME_INVALID, Some(right), name?)));
    wrong.chain(cased.map(|name| fault(&rules::NAME_NOT_LOWERCASE, None, name))).collect()
}

/// A field of this name stands where the right one does not, and means the same.
fn is_instead(head: Fields<'_>, name: &str, right: &str, means: impl Fn(&[u8]) -> bool) -> bool {
    head.values(right).next().is_none() && head.values(name).any(means)
}

fn is_cased(name: &[u8], right: &str) -> bool {
    name.eq_ignore_ascii_case(right.as_bytes()) && name != right.as_bytes()
}
