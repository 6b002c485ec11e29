//! What the pairing says of a call.

use std::sync::Arc;

use super::inbound::Inbound;
use super::key::{ClassKey, Suspicion};
use crate::exchange::ExchangeId;
use crate::record::ProcessId;

/// How a call was paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// It carries the trace-id of a request.
    TraceId,
    /// The coroutine has exactly one request open.
    Coroutine,
    /// The thread has.
    Thread,
    /// A process above it has.
    ChildProcess,
    /// The process has exactly one request open.
    SoleCandidate,
    /// It carries values of that request alone.
    Affinity,
    /// It follows requests of this route as no other.
    DelayModel,
    /// It has several, and it does not matter which.
    AnyParent,
    /// It was not.
    None,
}

impl Method {
    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::Coroutine => "coroutine",
            Self::Thread => "thread",
            Self::ChildProcess => "child_process",
            Self::SoleCandidate => "sole_candidate",
            Self::Affinity => "affinity",
            Self::DelayModel => "delay_model",
            Self::AnyParent => "any_parent",
            Self::None => "none",
        }
    }
}

/// What all the possible parents have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// No request was open.
    None,
    /// None was open any more, but one had just been answered on this thread: nothing can be said.
    JustAnswered,
    /// Each carried a valid context.
    Valid,
    /// None carried one.
    Absent,
    /// Of at least one it is not known, or they differ.
    Unclear,
}

/// A class of calls under test.
#[derive(Clone, Debug)]
pub struct ClassRef {
    pub(super) process: ProcessId,
    pub(super) key: ClassKey,
    /// Its number within the run.
    pub(super) seq: u64,
    /// The same for all processes of the service.
    pub group: u64,
    /// Route of the requests that could have made the call, if it is one.
    pub route: Option<u64>,
}

/// Where a call came from.
#[derive(Clone, Debug)]
pub struct Pairing {
    /// The process whose request it is: its own, or an ancestor's.
    pub service: ProcessId,
    /// How.
    pub method: Method,
    /// How many requests could be the parent.
    pub candidates: u32,
    /// What they have in common.
    pub parents: Parents,
    /// The parent, or one that stands for all (same method and route).
    pub parent: Option<Arc<Inbound>>,
    /// Of one trace with it, and may have made the call as well: what is held against the service must hold for each.
    pub others: Vec<Arc<Inbound>>,
    /// A request that is none of these may have brought what the call carries: there were more of one trace than are told
    /// apart, or it has ended.
    pub may_copy: bool,
    /// A request that nobody saw may have made it, and brought what it carries.
    pub unseen: bool,
    /// The very request that made it, for all that is known now; `None`: none did, or nobody knows.
    pub claimed: Option<Arc<Inbound>>,
    /// That this is right, 0 to 1.
    pub confidence: f64,
    /// It will be looked at again when it is over, and a [`Claim`] follows.
    pub again: bool,
    /// The class whose evidence decides whether it may be reported.
    pub suspect: Option<(Suspicion, ClassRef)>,
}

/// Which request made a call, for all that is known in the end.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The call.
    pub call: ExchangeId,
    /// The request; `None`: no request did, or nobody knows.
    pub parent: Option<Arc<Inbound>>,
    /// How it was found.
    pub method: Method,
    /// That it is so, 0 to 1.
    pub confidence: f64,
    /// How many requests could be the parent.
    pub candidates: u32,
}

impl Pairing {
    /// A call of which nothing is known.
    pub(super) fn unpaired(service: ProcessId) -> Self {
        Self {
            service,
            method: Method::None,
            candidates: 0,
            parents: Parents::None,
            parent: None,
            others: Vec::new(),
            may_copy: false,
            unseen: false,
            claimed: None,
            confidence: 0.0,
            again: false,
            suspect: None,
        }
    }
}
