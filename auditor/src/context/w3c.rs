//! W3C Trace Context: `traceparent` and `tracestate`.
//!
//! <https://www.w3.org/TR/trace-context-2/>; level 1 differs in the random flag alone.

mod context;
mod members;
mod mutation;
mod names;
pub mod rules;
#[cfg(test)]
mod tests;
mod traceparent;
mod tracestate;

pub use context::Context;
pub use traceparent::{Reason, TraceParent, lenient_trace_id};

use super::format::{Cargo, Comparison, Fault, Fields, Format, Identity, Level, Reading, Status};
use crate::exchange::Visibility;
use crate::rule::Rule;
use tracestate::TraceState;

/// Longest value of `traceparent`, and longest list of keys of `tracestate`, that is kept as evidence; in bytes.
const RAW_CAP: usize = 200;
const KEYS_CAP: usize = 256;

/// As the output and `--formats` name it.
pub const NAME: &str = "w3c";

/// `traceparent` and `tracestate`.
pub static W3C: W3c = W3c;

/// The format; see [`W3C`].
#[derive(Clone, Copy, Debug)]
pub struct W3c;

impl Format for W3c {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cargo(&self) -> Cargo {
        Cargo::Trace
    }

    fn fields(&self) -> &'static [&'static str] {
        &names::FIELDS
    }

    fn read(&self, head: Fields<'_>, _: Level) -> Option<Reading> {
        self.read_with(&Context::read(head, Visibility::Whole), head)
    }

    fn evidence(&self, head: Fields<'_>) -> String {
        evidence(&Context::read(head, Visibility::Whole), &TraceState::read(head), &names::faults(head))
    }

    fn compare(&self, received: Fields<'_>, sent: Fields<'_>, level: Level) -> Comparison {
        let context = |head| Context::read(head, Visibility::Whole);
        self.compare_with((&context(received), received), (&context(sent), sent), level)
    }

    fn dropped(&self) -> Option<&'static Rule> {
        Some(&rules::DROPPED)
    }

    fn rules(&self) -> &'static [&'static Rule] {
        &rules::ALL
    }
}

impl W3c {
    /// The same as [`Format::read`], where `traceparent` was read already.
    pub(super) fn read_with(&self, context: &Context, head: Fields<'_>) -> Option<Reading> {
        let state = TraceState::read(head);
        let mut faults = names::faults(head);
        let misnamed = faults.iter().any(|fault| fault.rule.name == rules::NAME_INVALID.name);
        if *context == Context::Absent && !state.sent && !misnamed {
            return None;
        }
        let fault = |rule, reason| Fault { rule, reason, detail: None };
        match context {
            Context::Malformed(reason, ..) => faults.push(fault(&rules::MALFORMED, Some(reason.as_str()))),
            Context::Duplicated(..) => faults.push(fault(&rules::DUPLICATED, None)),
            Context::Absent if !state.is_empty() && !misnamed => faults.push(fault(&rules::STATE_WITHOUT_PARENT, None)),
            Context::Absent | Context::Valid(..) | Context::Unseen => {}
        }
        faults.extend(state.faults());
        let identity = context.valid().map(|parent| Identity {
            trace_id: parent.trace_id,
            short: false,
            span_id: Some(parent.parent_id),
            sampled: Some(parent.is_sampled()),
            debug: false,
        });
        Some(Reading { identity, faults, denied: false })
    }

    /// The same as [`Format::compare`], where `traceparent` was read already.
    pub(super) fn compare_with(
        &self,
        (received, received_head): (&Context, Fields<'_>),
        (sent, sent_head): (&Context, Fields<'_>),
        level: Level,
    ) -> Comparison {
        let (received_state, sent_state) = (TraceState::read(received_head), TraceState::read(sent_head));
        let status = status(received, sent);
        // Who only copies one of several values has read none.
        let copied = sent.is_of(received) && !members::takes_part(&received_state, &sent_state);
        let mut faults = parent_faults(received, sent, level);
        faults.retain(|fault| !(copied && fault.rule.name == rules::INVALID_REUSED.name));
        let went_on = matches!(status, Status::Continued | Status::PassedThrough);
        match (received, sent) {
            (Context::Valid(..), Context::Valid(..)) if went_on => {
                faults.extend(members::faults(&received_state, &sent_state, received.raw() == sent.raw()));
            }
            (_, Context::Valid(..)) if received.raw().is_some() => {
                faults.extend(members::kept(&received_state, &sent_state, &ids(received)));
            }
            _ if status == Status::PassedThrough && members::takes_part(&received_state, &sent_state) => {
                faults.push(Fault { rule: &rules::MALFORMED_PROPAGATED, reason: None, detail: None });
            }
            _ => {}
        }
        Comparison { status, faults }
    }
}

/// What became of `traceparent` in a word.
pub(super) fn status(received: &Context, sent: &Context) -> Status {
    match (received, sent) {
        (Context::Unseen, _) | (_, Context::Unseen) => Status::Unknown,
        (Context::Absent, Context::Absent) => Status::Absent,
        (Context::Absent, Context::Valid(..)) => Status::Started,
        (Context::Valid(..), Context::Absent) => Status::Dropped,
        // Nobody has to start a trace, not even after an invalid value.
        (_, Context::Absent) => Status::Absent,
        _ if received.raw() == sent.raw() => Status::PassedThrough,
        (Context::Valid(a, _), Context::Valid(b, _)) if a.trace_id == b.trace_id || mutation::is_cut(a, b) => {
            Status::Continued
        }
        (_, Context::Valid(sent, _)) if is_among(sent.trace_id, received) => Status::Continued,
        (_, Context::Valid(..)) => Status::Restarted,
        (_, Context::Malformed(..) | Context::Duplicated(..)) => Status::Unknown,
    }
}

/// Faults of the service in what became of `traceparent`.
fn parent_faults(received: &Context, sent: &Context, level: Level) -> Vec<Fault> {
    let one = |rule| vec![Fault { rule, reason: None, detail: None }];
    match (received, sent) {
        (Context::Valid(..), Context::Valid(..)) if received.raw() == sent.raw() => one(&rules::PARENT_ID_NOT_UPDATED),
        (Context::Valid(received, _), Context::Valid(sent, _)) => mutation::faults(received, sent, level),
        (Context::Malformed(..) | Context::Duplicated(..), Context::Valid(sent, _)) => {
            let mut faults = mutation::generated(sent);
            if is_among(sent.trace_id, received) && !is_unanimous(received) {
                faults.extend(one(&rules::INVALID_REUSED));
            }
            faults
        }
        (Context::Absent, Context::Valid(sent, _)) => mutation::generated(sent),
        _ => Vec::new(),
    }
}

fn values(context: &Context) -> impl Iterator<Item = &[u8]> {
    context.raw().unwrap_or_default().split(',').map(str::as_bytes)
}

/// Whether somebody who does not validate could have found this trace-id in what was received.
fn is_among(trace_id: u128, received: &Context) -> bool {
    values(received).any(|value| lenient_trace_id(value) == Some(trace_id))
}

/// Every one of several values is valid and of one trace: whichever is taken, it is the right one.
fn is_unanimous(received: &Context) -> bool {
    let mut ids = values(received).map(|value| TraceParent::parse(value).ok().map(|parent| parent.trace_id));
    let first = ids.next().flatten();
    first.is_some() && ids.all(|id| id == first)
}

/// The ids of a context as other fields may repeat them.
fn ids(context: &Context) -> Vec<String> {
    let parent = context.valid().map(|parent| format!("{:016x}", parent.parent_id));
    context.trace_id().map(|id| format!("{id:032x}")).into_iter().chain(parent).collect()
}

/// `traceparent` as it is, `tracestate` by its keys, and of wrong names the first.
fn evidence(context: &Context, state: &TraceState<'_>, faults: &[Fault]) -> String {
    let raw = context.raw().unwrap_or_default();
    let mut parts = vec![raw.get(..raw.floor_char_boundary(RAW_CAP)).unwrap_or_default().to_owned()];
    if state.sent {
        parts.push(format!("tracestate: {}", state.keys(KEYS_CAP)));
    }
    let misnamed = faults.iter().find(|fault| fault.rule.name == rules::NAME_INVALID.name);
    parts.extend(misnamed.and_then(|fault| fault.detail.clone()).map(String::from));
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}
