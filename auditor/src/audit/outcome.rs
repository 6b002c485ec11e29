//! What became of the context on one hop.

use super::Code;
use crate::context::w3c::rules::{DUPLICATED, INVALID_REUSED, MALFORMED, PARENT_ID_NOT_UPDATED};
use crate::context::w3c::{Context, Reason};
use crate::pair::{Inbound, Method, Pairing, Parents, Suspicion};

/// What became of the context on one hop; as CONTRACT defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Same trace-id, new parent-id.
    Continued,
    /// Byte-identical.
    PassedThrough,
    /// Another trace-id.
    Restarted,
    /// Valid in, nothing out.
    Dropped,
    /// Nothing in, valid out.
    Started,
    /// Nothing in, nothing out.
    Absent,
    /// Not wholly seen, or not certain.
    Unknown,
}

impl Outcome {
    /// Every one, in the order of the output.
    pub const ALL: [Self; 7] = [
        Self::Continued,
        Self::PassedThrough,
        Self::Restarted,
        Self::Dropped,
        Self::Started,
        Self::Absent,
        Self::Unknown,
    ];

    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continued => "continued",
            Self::PassedThrough => "passed_through",
            Self::Restarted => "restarted",
            Self::Dropped => "dropped",
            Self::Started => "started",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }

    /// What a suspicion comes to when it is certain.
    pub fn of(suspicion: Suspicion) -> Self {
        match suspicion {
            Suspicion::Dropped => Self::Dropped,
            Suspicion::Restarted => Self::Restarted,
            Suspicion::NotStarted => Self::Absent,
        }
    }
}

/// Judgement on one hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of the context. [`Outcome::Unknown`] while only suspected.
    pub outcome: Outcome,
    /// What is certain from the values themselves.
    pub finding: Option<(Code, Option<Reason>)>,
    /// What would be reported if the call is not background work.
    pub suspicion: Option<Suspicion>,
}

/// Judges a call.
pub fn judge(pairing: &Pairing, sent: &Context) -> Verdict {
    let plain = |outcome| Verdict { outcome, finding: None, suspicion: None };
    let broken = |code, reason| Verdict { outcome: Outcome::Unknown, finding: Some((code, reason)), suspicion: None };
    let parent = pairing.parent.as_deref();
    if let (Method::TraceId, Some(parent)) = (pairing.method, parent)
        && let Some(verdict) = judge_match(parent, sent)
    {
        return verdict;
    }
    // A broken value may be somebody else's that was copied; what was not seen cannot exclude that.
    let copied = pairing.parents == Parents::Unclear && parent.is_none_or(|p| p.context == Context::Unseen);
    match sent {
        Context::Unseen => return plain(Outcome::Unknown),
        Context::Malformed(..) | Context::Duplicated(..) if copied && pairing.method != Method::TraceId => {
            return plain(Outcome::Unknown);
        }
        Context::Malformed(reason, ..) => return broken(Code(&MALFORMED), Some(*reason)),
        Context::Duplicated(..) => return broken(Code(&DUPLICATED), None),
        Context::Absent | Context::Valid(..) => {}
    }
    if let Some((suspicion, _)) = &pairing.suspect {
        // Without a route to name there is nobody to tell.
        let suspicion = parent.is_some().then_some(*suspicion);
        return Verdict { outcome: Outcome::Unknown, finding: None, suspicion };
    }
    let invalid = |p: &Inbound| matches!(p.context, Context::Malformed(..) | Context::Duplicated(..));
    let sends = sent.valid().is_some();
    plain(match (pairing.parents, parent) {
        (Parents::None, _) if sends => Outcome::Started,
        (Parents::None, _) => Outcome::Absent,
        (Parents::Absent, _) if sends => Outcome::Started,
        // To start anew after an invalid context is what the specification asks for.
        (Parents::Unclear, Some(p)) if invalid(p) && sends => Outcome::Restarted,
        (Parents::Unclear, Some(p)) if invalid(p) => Outcome::Absent,
        (Parents::Unclear, Some(p)) if p.ignored && p.context == Context::Absent && sends => Outcome::Started,
        (Parents::Unclear, Some(p)) if p.ignored && p.context == Context::Absent => Outcome::Absent,
        _ => Outcome::Unknown,
    })
}

/// Judges a call that carries the trace-id, or the very value, of a request.
fn judge_match(parent: &Inbound, sent: &Context) -> Option<Verdict> {
    let verdict = |outcome, finding| Some(Verdict { outcome, finding, suspicion: None });
    let same = sent.raw().is_some_and(|raw| parent.carried(raw));
    match (sent, &parent.context) {
        (Context::Valid(..), _) if same => verdict(Outcome::PassedThrough, Some((Code(&PARENT_ID_NOT_UPDATED), None))),
        _ if same => verdict(Outcome::PassedThrough, None),
        (Context::Valid(..), Context::Valid(..)) => verdict(Outcome::Continued, None),
        (Context::Valid(..), _) => verdict(Outcome::Continued, Some((Code(&INVALID_REUSED), None))),
        _ => None,
    }
}

/// Judges what was received; the sender is the one at fault.
pub fn judge_inbound(received: &Context) -> Option<(Code, Option<Reason>)> {
    match received {
        Context::Malformed(reason, ..) => Some((Code(&MALFORMED), Some(*reason))),
        Context::Duplicated(..) => Some((Code(&DUPLICATED), None)),
        Context::Absent | Context::Valid(..) | Context::Unseen => None,
    }
}
