//! What only several calls can show: which of them are samples, and of what.
//!
//! A rule of this kind blames one service for what it saw of many calls, so only calls count whose request is known: it
//! is the only one open on the thread or coroutine, or of the parent process, that made the call, and the process keeps to
//! its threads; or the call carries its trace. And a request counts as one without context only if nothing else can have
//! brought it one: it has no field of any format, and no body (messages that are pushed over HTTP often carry theirs there).

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use super::{Found, Outcome, Severity};
use crate::context::format::{Fault, Status};
use crate::context::history::{Fate, History, Limits, Origin, rules};
use crate::context::w3c::rules::PARENT_ID_NOT_UPDATED;
use crate::context::w3c::{self, TraceParent, W3C};
use crate::context::{Carried, Selection};
use crate::pair::{Inbound, Method, Pairing, Parents, Target};
use crate::record::Endpoints;
use crate::report::address::Destination;
use crate::rule::Rule;

/// Methods of requests without a body.
const BODILESS: [&str; 2] = ["GET", "HEAD"];

/// A call that was judged by itself.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Name of the service that made it.
    pub service: &'a str,
    /// Which request it was made for.
    pub pairing: &'a Pairing,
    /// What it carries.
    pub sent: &'a Carried,
    /// What became of the trace.
    pub outcome: Outcome,
    /// What for.
    pub target: &'a Target,
    /// Where to.
    pub destination: &'a Destination,
}

/// Samples of all services.
#[derive(Debug)]
pub struct Samples {
    history: History,
    min_confidence: f64,
    /// Keyed for the run: strangers choose what is hashed.
    keys: RandomState,
}

impl Samples {
    /// Without any. Calls whose request is less certain do not count.
    pub fn new(limits: Limits, min_confidence: f64) -> Self {
        Self { history: History::new(limits), min_confidence, keys: RandomState::default() }
    }

    /// From now on, this certain.
    pub fn set_min_confidence(&mut self, min_confidence: f64) {
        self.min_confidence = min_confidence;
    }

    /// Entries that were forgotten for want of room.
    pub fn evicted(&self) -> u64 {
        self.history.evicted
    }

    /// Takes a call; gives what is certain by now of its service.
    pub fn take(&mut self, sample: &Sample<'_>, selection: &Selection) -> Vec<Found> {
        let Sample { pairing, sent, .. } = *sample;
        let Some(value) = sent.w3c.valid().filter(|_| sent.whole) else { return Vec::new() };
        let parent = pairing.parent.as_deref().filter(|parent| parent.carried.whole);
        let alone = pairing.candidates == 1 && pairing.confidence >= self.min_confidence;
        let faults = match (parent, pairing.method) {
            (Some(parent), Method::TraceId) => {
                self.history.root(self.keys.hash_one(pairing.service), value.trace_id, None);
                Vec::from_iter(self.went_on(sample, parent, value))
            }
            (Some(parent), Method::Thread | Method::Coroutine | Method::ChildProcess) if alone => {
                self.made_for(sample, parent, value, selection)
            }
            _ => Vec::from_iter(self.history.root(self.keys.hash_one(pairing.service), value.trace_id, None)),
        };
        faults.into_iter().map(|fault| Found { format: w3c::NAME, fault }).collect()
    }

    /// It carries the trace of its request.
    fn went_on(&mut self, sample: &Sample<'_>, parent: &Inbound, value: &TraceParent) -> Option<Fault> {
        let received = parent.carried.w3c.valid()?;
        self.received(sample, parent, received, Fate::Continued);
        // In another format, or by another request, there may be an id that was copied.
        let copied = parent.carried.named.iter().any(|named| named.identity.span_id == Some(value.parent_id));
        let updated = match sample.outcome {
            Outcome::PassedThrough => false,
            Outcome::Continued if !copied && sample.pairing.candidates == 1 => true,
            _ => return None,
        };
        let kind = self.kind(sample.pairing, sample.target, sample.destination);
        self.history.went_on(kind, received.is_sampled(), updated);
        updated.then(|| self.history.parent_set(self.keys.hash_one(sample.service), value)).flatten()
    }

    /// It does not, but it certainly was made for this request.
    fn made_for(
        &mut self,
        sample: &Sample<'_>,
        parent: &Inbound,
        value: &TraceParent,
        selection: &Selection,
    ) -> Vec<Fault> {
        let process = self.keys.hash_one(sample.pairing.service);
        let bare = sample.pairing.parents == Parents::Absent && parent.carried.fields().0.is_empty();
        if bare && BODILESS.contains(&&*parent.target.method) {
            let origin =
                Origin { id: parent.id.0, route: self.keys.hash_one(&parent.target), affinity: &parent.affinity };
            let faults = [
                self.history.root(process, value.trace_id, Some(origin)),
                self.history.generated(process, value.trace_id),
                self.history.parent_set(self.keys.hash_one(sample.service), value),
            ];
            return faults.into_iter().flatten().collect();
        }
        self.history.root(process, value.trace_id, None);
        let Some(received) = parent.carried.w3c.valid() else { return Vec::new() };
        let compared = parent.carried.compare(sample.sent, &W3C, selection);
        let restarted = compared.status == Status::Restarted;
        Vec::from_iter(restarted.then(|| self.received(sample, parent, received, Fate::Restarted)).flatten())
    }

    fn received(&mut self, sample: &Sample<'_>, parent: &Inbound, value: &TraceParent, fate: Fate) -> Option<Fault> {
        // Whom a Unix socket belongs to is not known.
        let Endpoints::Tcp { local, remote } = &parent.endpoints else { return None };
        let hop = (&parent.target, sample.target, sample.destination);
        let sender = self.keys.hash_one((sample.service, remote.ip(), local.port(), hop));
        self.history.received(sender, parent.carried.fields(), value, fate)
    }

    /// The process, and calls of it that are made alike.
    fn kind(&self, pairing: &Pairing, target: &Target, destination: &Destination) -> (u64, u64) {
        (self.keys.hash_one(pairing.service), self.keys.hash_one((target, destination)))
    }

    /// How bad it is that a call of this kind broke the rule, if worse than elsewhere.
    pub fn severity(
        &self,
        rule: &'static Rule,
        pairing: &Pairing,
        target: &Target,
        destination: &Destination,
    ) -> Option<Severity> {
        let sampled = pairing.parent.as_ref()?.carried.w3c.valid()?.is_sampled();
        let odd = rule.name == PARENT_ID_NOT_UPDATED.name
            && self.history.is_odd(self.kind(pairing, target, destination), sampled);
        odd.then_some(Severity::Warning)
    }
}

/// Whether the rule speaks of the request that a call was made for, and is broken only where that is certain.
pub fn is_by_samples(rule: &'static Rule) -> bool {
    rules::ALL.iter().any(|other| other.name == rule.name)
}
