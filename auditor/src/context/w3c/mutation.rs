//! What a service may do to a valid `traceparent` on its way.

use super::TraceParent;
use super::rules;
use crate::context::format::{Fault, Level};
use crate::rule::Rule;

/// The trace is sampled.
pub(super) const SAMPLED: u8 = 0x01;
/// The low 56 bits of the trace-id are random (level 2).
const RANDOM: u8 = 0x02;
/// Flags that mean nothing in version 00.
const RESERVED: u8 = 0xfc;
/// Below this a parent-id may be a counter, and two generators can come to the same.
const COUNTERS: u64 = 1 << 32;

/// Faults between two values that are not the same bytes.
pub(super) fn faults(received: &TraceParent, sent: &TraceParent, level: Level) -> Vec<Fault> {
    let mut faults = generated(sent);
    let mut found = |rule: &'static Rule, reason| faults.push(Fault { rule, reason, detail: None });
    let flipped = received.flags ^ sent.flags;
    let same_trace = received.trace_id == sent.trace_id;
    let same_parent = received.parent_id == sent.parent_id;
    let random = (flipped & RANDOM != 0 && received.version == 0 && sent.version == 0).then(|| {
        let rule = if level == Level::Two { &rules::RANDOM_FLAG_CHANGED } else { &rules::RANDOM_FLAG_CHANGED_LEVEL_1 };
        (rule, Some(if sent.flags & RANDOM != 0 { "set" } else { "cleared" }))
    });
    if same_trace && same_parent {
        // Who knows no other flag has to clear the others (level 1); the decision is nobody's to change that way.
        match random {
            _ if flipped & SAMPLED != 0 => found(&rules::PARTIALLY_MODIFIED, Some("flags_without_parent_id")),
            Some((rule, reason)) => found(rule, reason),
            None => {}
        }
        return faults;
    }
    if !same_trace {
        if same_parent && received.parent_id >= COUNTERS && !is_cut(received, sent) {
            found(&rules::PARTIALLY_MODIFIED, Some("trace_id_without_parent_id"));
        }
        return faults;
    }
    if sent.version > 0 && sent.version == received.version {
        found(&rules::VERSION_NOT_DOWNGRADED, None);
    }
    if let Some((rule, reason)) = random {
        found(rule, reason);
    }
    if flipped & SAMPLED != 0 {
        found(&rules::SAMPLED_FLAG_CHANGED, Some(if sent.flags & SAMPLED != 0 { "set" } else { "cleared" }));
    }
    faults
}

/// Faults of a value that the service made itself.
pub(super) fn generated(sent: &TraceParent) -> Vec<Fault> {
    let reserved = sent.version == 0 && sent.flags & RESERVED != 0;
    reserved.then_some(Fault { rule: &rules::RESERVED_FLAGS_SET, reason: None, detail: None }).into_iter().collect()
}

/// Whether one id is the other of which somebody could only keep 64 bits.
pub(super) fn is_cut(received: &TraceParent, sent: &TraceParent) -> bool {
    let (a, b) = (received.trace_id, sent.trace_id);
    let low = u128::from(u64::MAX);
    a & low == b & low && a & low != 0 && (a <= low || b <= low)
}
