//! What is open in one process, on which thread, and the classes of calls under test.

use std::collections::{BTreeSet, VecDeque};
use std::hash::Hasher;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::Arc;

use lru::LruCache;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::HashMap;
use super::affinity::Affinity;
use super::children::Children;
use super::class::Class;
use super::clock::{Clock, State};
use super::delay::Delays;
use super::discipline::Discipline;
use super::hindsight::Hindsight;
use super::inbound::{Execution, Held, Inbound, Made, Outbound};
use super::key::ClassKey;
use super::leaves::Bustle;
use super::scope::{Counts, Kind};
use super::suspect::Settled;
use crate::context::Carried;
use crate::exchange::ExchangeId;
use crate::record::BootNs;

const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
const CLASSES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);
/// Requests whose values are remembered.
const AFFINE: usize = 1024;
/// Open requests, the latest, that a class learns of when it begins: what it costs to begin must not grow with what is
/// open.
pub(super) const LEARNT: usize = 256;
/// Requests with one trace-id that are told apart, the latest.
const SAME_TRACE: usize = 16;
/// How long a request is remembered after its response, for calls that carry its trace-id; less long if many are.
pub(super) const REMEMBERED: BootNs = 60_000_000_000;
/// Answered requests that are remembered, at the most, while the process was not seen to call anybody: nothing is looked up
/// in them. At a high rate they are most of the memory that is touched, and the services want the caches.
const IDLE: usize = 256;
/// How long a request may go on working after its end: background continuation, or nobody told it that the client left.
pub(super) const AFTERMATH: BootNs = 1_000_000_000;
/// How long after its end a request may still make calls that are held against it. Work goes on at once or not at all;
/// what comes later is a timer's, a queue's, or a batch's.
pub(super) const REACH: BootNs = 100_000_000;
/// How old a process may be that was forked for a request.
const NEWBORN: BootNs = 1_000_000_000;
/// How long nothing is concluded from absence after a loss.
pub(super) const TAINT: BootNs = 30_000_000_000;
/// Parents whose routes are compared; with more of them open they are taken to differ.
pub(super) const COMPARED: usize = 64;

/// Open requests of a process or a thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    pub(super) ids: BTreeSet<ExchangeId>,
    pub(super) counts: Counts,
}

/// A thread that receives requests.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) open: Open,
    clock: Clock,
    /// When the last response to a request received here was sent, and which.
    pub(super) responded: Option<(BootNs, ExchangeId)>,
    /// See [`Process::unclear_until`].
    pub(super) unclear_until: BootNs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum TraceKey {
    /// The low 64 bits: all that some formats have.
    Id(u64),
    /// Hash of a value that is not a valid context.
    Raw(u64),
}

impl TraceKey {
    /// None twice.
    fn of(carried: &Carried) -> SmallVec<[Self; 4]> {
        let ids = carried.named.iter().map(|named| named.identity.trace_id).chain(carried.w3c.trace_id());
        let raw = carried.w3c.raw().filter(|_| carried.w3c.valid().is_none());
        let mut keys: SmallVec<[_; 4]> = ids.map(|id| Self::Id(id as u64)).chain(raw.map(Self::raw)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn raw(raw: &str) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(raw.as_bytes());
        Self::Raw(hasher.finish())
    }
}

/// The requests that carry the trace of a call.
pub(super) struct ByTrace {
    pub(super) parent: Arc<Inbound>,
    pub(super) others: Vec<Arc<Inbound>>,
    pub(super) count: usize,
    /// See [`Pairing::may_copy`](super::Pairing::may_copy).
    pub(super) may_copy: bool,
}

/// Requests with one trace-id.
#[derive(Debug, Default)]
struct SameTrace {
    ids: SmallVec<[ExchangeId; 2]>,
    /// One that was at work is not among them any more.
    forgotten: bool,
}

/// State of one process that receives requests.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) service: Arc<str>,
    /// It, or a child of it, was seen to send a request.
    pub(super) calls: bool,
    /// Until when calls may go on with requests that were forgotten because it did not.
    pub(super) forgot_until: BootNs,
    /// What it received of late, while it calls nobody.
    pub(super) bustle: Bustle,
    /// Until when it was left alone, if it was.
    pub(super) woken: Option<BootNs>,
    /// It began with the only request that it received so far.
    pub(super) newborn: bool,
    pub(super) open: Open,
    pub(super) threads: LruCache<Execution, Thread>,
    pub(super) held: HashMap<ExchangeId, Held>,
    traces: HashMap<TraceKey, SameTrace>,
    recent: VecDeque<(BootNs, ExchangeId)>,
    /// Requests that ended less than [`REACH`] ago, oldest first.
    pub(super) lingering: VecDeque<(BootNs, ExchangeId)>,
    pub(super) discipline: Discipline,
    pub(super) affinity: Affinity,
    pub(super) children: Children,
    /// Where all calls are solved jointly.
    pub(super) delays: Option<Box<Delays>>,
    /// Else some of those that were not certain are looked at again.
    pub(super) hindsight: Option<Box<Hindsight>>,
    /// What is known of earlier calls since the last time somebody asked.
    pub(super) settled: Vec<Settled>,
    pub(super) classes: LruCache<ClassKey, Class>,
    /// Until when a request without valid context, answered or given up, may still be at work: the calls it makes then
    /// look like those of whatever other request is open.
    pub(super) unclear_until: BootNs,
    /// Kinds of requests it ever received.
    pub(super) kinds: BTreeSet<Kind>,
    /// When its turn began, where it has turns and was there before, or was left alone until then: it may have requests
    /// that nobody saw.
    pub(super) turn: Option<BootNs>,
    pub(super) tainted_until: BootNs,
    /// Requests up to this one were open at a loss.
    pub(super) tainted_through: Option<ExchangeId>,
    pub(super) after_loss: bool,
    /// Losses this state knows of.
    pub(super) epoch: u64,
}

impl Process {
    pub(super) fn new(service: Arc<str>, epoch: u64, tainted_until: BootNs) -> Self {
        Self {
            service,
            calls: false,
            forgot_until: 0,
            bustle: Bustle::default(),
            woken: None,
            newborn: false,
            open: Open::default(),
            threads: LruCache::sparse(THREADS),
            held: HashMap::default(),
            traces: HashMap::default(),
            recent: VecDeque::new(),
            lingering: VecDeque::new(),
            discipline: Discipline::default(),
            affinity: Affinity::new(AFFINE),
            children: Children::default(),
            delays: None,
            hindsight: None,
            settled: Vec::new(),
            classes: LruCache::sparse(CLASSES),
            unclear_until: 0,
            kinds: BTreeSet::new(),
            turn: None,
            tainted_until,
            tainted_through: None,
            after_loss: tainted_until > 0,
            epoch,
        }
    }

    /// A request was received. Says how many threads were evicted.
    pub(super) fn opened(&mut self, now: BootNs, inbound: Arc<Inbound>) -> u64 {
        let (id, execution, kind) = (inbound.id, inbound.execution, inbound.kind);
        let age = inbound.started.saturating_sub(inbound.process.start_ns);
        self.newborn = self.kinds.is_empty() && age < NEWBORN;
        let mut evicted = 0;
        if !self.threads.contains(&execution) {
            let thread = Thread { open: Open::default(), clock: Clock::new(now), responded: None, unclear_until: 0 };
            if let Some((_, old)) = self.threads.push(execution, thread) {
                evicted = 1;
                // Once in a while is often enough: the taint lasts.
                if !old.open.ids.is_empty() && self.tainted_until < now + TAINT / 2 {
                    self.taint(now, now + TAINT);
                }
            }
        }
        let busy = !self.open.ids.is_empty();
        self.open.ids.insert(id);
        self.open.counts.add(kind);
        if let Some(thread) = self.threads.get_mut(&execution) {
            if !thread.open.ids.is_empty() {
                self.discipline.saw(false);
            } else if busy {
                self.discipline.saw_apart();
            }
            thread.settle(now);
            thread.clock.cycles += 1;
            thread.open.ids.insert(id);
            thread.open.counts.add(kind);
        }
        self.affinity.opened(id, &inbound.affinity);
        if let Some(delays) = &mut self.delays {
            delays.opened(now, id, inbound.route_key);
        }
        let held = Held::new(now, inbound.clone());
        for (_, class) in self.classes.iter_mut() {
            class.opened(now, &held);
        }
        self.kinds.insert(kind);
        for key in TraceKey::of(&inbound.carried) {
            let same = self.traces.entry(key).or_default();
            if same.ids.len() == SAME_TRACE {
                let works = |id| self.held.get(id).is_some_and(|held| held.open || held.lingers);
                let idle = same.ids.iter().position(|id| !works(id));
                same.forgotten |= idle.is_none();
                same.ids.remove(idle.unwrap_or(0));
            }
            same.ids.push(id);
        }
        self.held.insert(id, held);
        evicted
    }

    /// The response was sent by `responded`, or the exchange ended.
    pub(super) fn closed(&mut self, now: BootNs, id: ExchangeId, responded: Option<Execution>) {
        let Some(held) = self.held.get_mut(&id).filter(|held| held.open || held.expired) else { return };
        // 0: it was not seen which.
        if let Some(execution) = responded.filter(|execution| *execution != 0) {
            self.discipline.saw(execution == held.inbound.execution);
            if let Some(hindsight) = &mut self.hindsight {
                hindsight.responded(id, execution);
            }
        }
        if !std::mem::take(&mut held.expired) {
            self.leave(now, id, responded.is_some(), now.saturating_add(AFTERMATH));
        }
        self.recent.push_back((now, id));
    }

    /// Something set a request off again: a call of its was answered.
    pub(super) fn went_on(&mut self, now: BootNs, id: ExchangeId) {
        let Some(held) = self.held.get_mut(&id).filter(|held| held.open || held.lingers) else { return };
        for (_, class) in self.classes.iter_mut() {
            class.milestone(now, held);
        }
        held.milestone = now;
    }

    /// A call was made here for a request that was received there: proof of how the process uses its threads.
    pub(super) fn called(&mut self, here: Execution, there: Execution) {
        if self.threads.contains(&here) {
            self.discipline.saw(here == there);
        }
    }

    /// A request made a call that carries its context on: it does not make a suspect one instead.
    pub(super) fn kept(&mut self, id: ExchangeId, keys: impl Iterator<Item = ClassKey>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        for key in keys {
            if let Some(class) = self.classes.peek_mut(&key) {
                let used = held.bump(class.seq, Made::Kept);
                class.take(held, used);
            }
        }
    }

    /// What ended a while ago does not work any more.
    pub(super) fn linger(&mut self, now: BootNs) {
        self.is_over(now);
        if self.hindsight.as_ref().is_some_and(|hindsight| hindsight.is_due(now)) {
            let candidates = self.at_work();
            self.hindsight.iter_mut().for_each(|hindsight| hindsight.make_up(now, &candidates));
        }
        while let Some((closed, id)) = self.lingering.front().copied() {
            let until = closed.saturating_add(REACH);
            if until > now {
                return;
            }
            self.lingering.pop_front();
            self.leave_for_good(until, id);
        }
    }

    fn leave_for_good(&mut self, now: BootNs, id: ExchangeId) {
        let kind = self.kind_of(id).unwrap_or(Kind::Other);
        let Some(held) = self.held.get_mut(&id).filter(|held| held.lingers) else { return };
        self.affinity.forget(id);
        held.lingers = false;
        held.mixed = match self.threads.peek(&held.inbound.execution) {
            Some(thread) if self.discipline.holds() => thread.unclear_until >= held.inbound.started,
            _ => !self.open.counts.are_valid() || self.unclear_until >= held.inbound.started,
        };
        for (_, class) in self.classes.iter_mut() {
            class.left(now, held, kind);
        }
    }

    /// It was open for too long: no candidate any more. A call that carries its trace-id is still its own.
    pub(super) fn expire(&mut self, now: BootNs, id: ExchangeId) {
        self.leave(now, id, false, 0);
        if let Some(held) = self.held.get_mut(&id) {
            held.expired = true;
        }
    }

    /// It may still be at work until `works_until`.
    fn leave(&mut self, now: BootNs, id: ExchangeId, responded: bool, works_until: BootNs) {
        let kind = self.kind_of(id).unwrap_or(Kind::Other);
        let Some(held) = self.held.get_mut(&id).filter(|held| held.open) else { return };
        held.close(now);
        held.lingers = true;
        self.affinity.closed(id);
        if let Some(delays) = &mut self.delays {
            delays.closed(now, id);
        }
        let execution = held.inbound.execution;
        let unclear = held.inbound.kind != Kind::Valid && !held.inbound.ignored;
        self.open.ids.remove(&id);
        self.open.counts.remove(kind);
        if let Some(thread) = self.threads.peek_mut(&execution) {
            thread.settle(now);
            if thread.open.ids.remove(&id) {
                thread.open.counts.remove(kind);
            }
            if responded {
                thread.responded = Some((now, id));
            }
            if unclear {
                thread.unclear_until = thread.unclear_until.max(works_until);
            }
        }
        if unclear {
            self.unclear_until = self.unclear_until.max(works_until);
        }
        for (_, class) in self.classes.iter_mut() {
            class.closed(now, held, kind);
            if responded {
                class.milestone(now, held);
            }
            if unclear {
                class.unclear(now, works_until, execution);
            }
        }
        if responded {
            held.milestone = now;
        }
        self.lingering.push_back((now, id));
    }

    /// Forgets requests that were answered long ago; says which.
    pub(super) fn expired(&mut self, now: BootNs) -> Option<ExchangeId> {
        let (closed, id) = *self.recent.front()?;
        if closed + REMEMBERED > now {
            if self.calls || self.recent.len() <= IDLE {
                return None;
            }
            self.forgot_until = BootNs::MAX;
        }
        self.recent.pop_front();
        self.forget(now, id);
        Some(id)
    }

    /// Drops a request from every index. It must be closed.
    pub(super) fn forget(&mut self, now: BootNs, id: ExchangeId) {
        let lingered = self.held.get(&id).is_some_and(|held| held.lingers);
        self.leave_for_good(now, id);
        let Some(held) = self.held.remove(&id) else { return };
        for key in TraceKey::of(&held.inbound.carried) {
            if let Some(same) = self.traces.get_mut(&key) {
                same.ids.retain(|other| *other != id);
                same.forgotten |= lingered;
                if same.ids.is_empty() {
                    self.traces.remove(&key);
                }
            }
        }
        if self.recent.front().is_some_and(|(_, front)| *front == id) {
            self.recent.pop_front();
        }
    }

    /// Of the requests whose context this call carries on, the one that made it: byte for byte, then received on this
    /// thread, then the latest. With it those that may have made it as well, and how many there are in all.
    pub(super) fn by_trace(&self, outbound: &Outbound<'_>, execution: Execution) -> Option<ByTrace> {
        let sent = outbound.sent;
        let keys = TraceKey::of(sent);
        let same = || keys.iter().filter_map(|key| self.traces.get(key));
        let mut ids: SmallVec<[ExchangeId; 8]> = same().flat_map(|same| &same.ids).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        // A process may call itself.
        ids.retain(|id| Some(*id) != outbound.received_as);
        // Neither half an id nor a hash is proof, and an inbound that carries the id is not one that carries the broken
        // value.
        let matches =
            ids.iter().filter_map(|id| self.held.get(id)).filter(|held| sent.continues(&held.inbound.carried));
        let matches: SmallVec<[&Held; 8]> = matches.collect();
        // Who takes over the very span of a request takes it from there.
        let repeats = |held: &Held| (sent.repeats(&held.inbound.carried), sent.keeps_span_of(&held.inbound.carried));
        let is_here = |held: &Held| held.inbound.execution == execution;
        let best = *matches.iter().max_by_key(|held| (repeats(held), is_here(held), held.open, held.inbound.id))?;
        let by_thread = best.open && is_here(best) && self.discipline.is_proven();
        // What was accepted and answered may be worked on for long.
        let may = |held: &Held| repeats(held) == repeats(best) && (!by_thread || held.open && is_here(held));
        let others = matches.iter().filter(|held| held.inbound.id != best.inbound.id && may(held));
        Some(ByTrace {
            parent: best.inbound.clone(),
            others: others.map(|held| held.inbound.clone()).collect(),
            count: matches.len(),
            may_copy: !by_thread && !repeats(best).0 && same().any(|same| same.forgotten),
        })
    }

    /// The one inbound route that all of these requests share.
    pub(super) fn shared_route(&self, ids: &BTreeSet<ExchangeId>) -> bool {
        let mut routes = ids.iter().filter_map(|id| self.held.get(id)).map(|held| held.inbound.route_key);
        let first = routes.next();
        ids.len() <= COMPARED && routes.all(|route| Some(route) == first)
    }

    /// History of a thread, for a class it joins: how many requests are open, those of a kind, and its clock.
    pub(super) fn thread_history(
        &mut self,
        now: BootNs,
        execution: Execution,
        kind: Kind,
    ) -> Option<(Counts, BTreeSet<ExchangeId>, Clock)> {
        self.threads.get_mut(&execution)?.settle(now);
        let thread = self.threads.peek(&execution)?;
        Some((thread.open.counts, self.of_kind(&thread.open.ids, kind), thread.clock.clone()))
    }

    /// What a request carried; `None`: it was open when records were lost, who knows.
    pub(super) fn kind_of(&self, id: ExchangeId) -> Option<Kind> {
        self.held.get(&id).filter(|_| self.tainted_through < Some(id)).map(|held| held.inbound.kind)
    }

    /// Of `open`, the latest of a kind.
    pub(super) fn of_kind(&self, open: &BTreeSet<ExchangeId>, kind: Kind) -> BTreeSet<ExchangeId> {
        let from = self.tainted_through.map_or(Bound::Unbounded, Bound::Excluded);
        let latest = open.range((from, Bound::Unbounded)).rev().take(LEARNT).copied();
        latest.filter(|id| self.held.get(id).is_some_and(|held| held.inbound.kind == kind)).collect()
    }

    /// Records are missing, or state was evicted: what is open may be anything, for all we know.
    pub(super) fn taint(&mut self, now: BootNs, until: BootNs) {
        self.tainted_until = self.tainted_until.max(until);
        if let Some(hindsight) = &mut self.hindsight {
            hindsight.taint();
        }
        self.after_loss = true;
        self.tainted_through = self.open.ids.last().copied().max(self.tainted_through);
        self.open.counts.taint();
        for (_, thread) in self.threads.iter_mut() {
            thread.open.counts.taint();
        }
        for (_, class) in self.classes.iter_mut() {
            class.taint(now);
        }
    }
}

impl Thread {
    fn settle(&mut self, now: BootNs) {
        let state = if self.open.ids.is_empty() { State::Idle } else { State::Fresh };
        self.clock.advance(now, state);
        self.clock.touch(now);
    }
}
