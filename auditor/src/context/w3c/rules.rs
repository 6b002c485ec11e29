//! The rules of W3C Trace Context that one request and one call can break.

mod state;
mod parent;
mod trace;

pub use parent::*;
pub use state::*;
pub use trace::*;

use crate::rule::Rule;

/// Each, in the order of `auditor explain`.
pub static ALL: [&Rule; 28] = [
    &DROPPED,
    &RESTARTED,
    &NOT_STARTED,
    &PARENT_ID_NOT_UPDATED,
    &MALFORMED,
    &DUPLICATED,
    &INVALID_REUSED,
    &MALFORMED_PROPAGATED,
    &VERSION_NOT_DOWNGRADED,
    &RESERVED_FLAGS_SET,
    &RANDOM_FLAG_CHANGED,
    &PARTIALLY_MODIFIED,
    &SAMPLED_FLAG_CHANGED,
    &NAME_INVALID,
    &NAME_NOT_LOWERCASE,
    &STATE_DROPPED,
    &STATE_WITHOUT_PARENT,
    &STATE_KEPT_ON_RESTART,
    &STATE_MODIFIED_ON_PASS_THROUGH,
    &STATE_MEMBER_REMOVED,
    &STATE_ORDER_CHANGED,
    &STATE_UPDATE_NOT_LEFTMOST,
    &STATE_DUPLICATE_KEY,
    &STATE_MALFORMED,
    &STATE_TOO_MANY_MEMBERS,
    &STATE_TRUNCATED_MID_MEMBER,
    &STATE_TRUNCATED_EARLY,
    &STATE_EMPTY,
];

/// Whether the rule is about `tracestate`, which by itself names no trace.
pub fn is_of_state(rule: &Rule) -> bool {
    rule.name.starts_with("tracestate_")
}
