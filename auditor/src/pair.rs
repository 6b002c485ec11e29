//! Which received request caused a call: candidates, the evidence for each, and how sure that makes us.
//!
//! The order of evidence: the trace-id (proof whatever the threading); the coroutine or thread, where the process keeps
//! to them, while exactly one request is open there; a child process of the thread or process that holds the request;
//! values that the call has in common with one request alone; the only request open in the process; the delay since what
//! sets requests of a route off; any of several, where the verdict is the same for each of them. Apart from the first
//! none of these is proof, because the call may be background work: `pair/class.rs` tests that, and nothing is reported
//! before.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod affinity;
mod callers;
mod calls;
mod children;
mod class;
mod clock;
mod delay;
mod discipline;
mod evidence;
mod follow;
mod hindsight;
mod inbound;
mod key;
mod leaves;
mod limits;
mod pairing;
mod process;
mod replicas;
mod requests;
mod rhythm;
mod scope;
mod suspect;
mod turns;
mod unseen;

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

pub use evidence::Standing;
pub use inbound::{Inbound, Outbound, Target, reported_path};
pub use key::Suspicion;
pub use leaves::Rest;
pub use limits::{Counters, Limits};
pub use pairing::{Claim, ClassRef, Method, Pairing, Parents};

use crate::exchange::ExchangeId;
use crate::record::{BootNs, ProcessId};
use callers::Callers;
use evidence::Evidence;
use hindsight::Room;
use inbound::execution;
use key::ClassKey;
use leaves::Leaves;
use process::{ByTrace, Process, TAINT};
use replicas::Replicas;
use requests::Requests;
use suspect::{Call, Chosen, Named, Suspect};
use turns::Turns;
use unseen::Hidden;

/// Keyed for the run, as those of the tables that forget: strangers choose what is looked up.
type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// For so many requests held one call may wait to be looked at again.
const WAITING: usize = 8;
/// Processes whose calls are looked at again: those that made such calls last.
const LOOKED_AT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// A request that got no response for so long has none coming whose end would be seen: its sender reset the connection
/// before it was read, or abandoned a Unix socket.
const ABANDONED: BootNs = 600_000_000_000;

/// That the parent is the right one where nothing speaks against it: it is alone, forked the child, or carried the value.
const CLEAR: f64 = 0.998;
/// Delays looked at one call at a time never make a claim surer than this.
const PERHAPS: f64 = 0.85;
/// That the best of several requests with the call's trace-id is.
const SAME_TRACE: f64 = 0.9;

/// Pairs calls with the requests that caused them.
#[derive(Debug)]
pub struct Pairer {
    limits: Limits,
    processes: LruCache<ProcessId, Process>,
    by_tgid: LruCache<u32, ProcessId>,
    services: LruCache<Arc<str>, Replicas>,
    requests: Requests,
    /// Requests up to this one are too old to be open.
    expired_through: ExchangeId,
    /// Before then none of the others is.
    expires: BootNs,
    losses: u64,
    lost_at: BootNs,
    /// When a process or its state was last evicted: what a process that turns up after has open is not known.
    forgot_at: Option<BootNs>,
    next_class: u64,
    /// For calls that are looked at again.
    room: Room,
    looked_at: LruCache<ProcessId, ()>,
    joint: bool,
    turns: Option<Turns>,
    leaves: Option<Leaves>,
    hidden: Hidden,
    /// Processes whose delays may have told something new.
    touched: Vec<ProcessId>,
    counters: Counters,
}

impl Pairer {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        let size = NonZeroUsize::new(limits.processes).unwrap_or(NonZeroUsize::MIN);
        Self {
            limits,
            processes: LruCache::new(size),
            by_tgid: LruCache::new(size),
            services: LruCache::new(size),
            requests: Requests::default(),
            expired_through: ExchangeId(0),
            expires: 0,
            losses: 0,
            lost_at: 0,
            forgot_at: None,
            next_class: 0,
            room: Room::new(limits.requests / WAITING),
            looked_at: LruCache::new(LOOKED_AT),
            joint: false,
            turns: None,
            leaves: None,
            hidden: Hidden::new(size),
            touched: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// What was evicted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Processes and requests held.
    pub fn held(&self) -> (usize, usize) {
        (self.processes.len(), self.requests.len())
    }

    /// A request was received.
    pub fn opened(&mut self, now: BootNs, inbound: Arc<Inbound>, service: &Arc<str>) {
        self.expire(now);
        self.rest(now);
        self.wake(now);
        let (pid, id) = (inbound.process, inbound.id);
        if self.is_left_alone(pid) {
            return;
        }
        if !self.processes.contains(&pid) {
            self.begin(now, pid, service);
        }
        self.requests.insert(id, pid, inbound.carried.size());
        if let Some(process) = self.process(pid) {
            process.linger(now);
            let evicted = process.opened(now, inbound);
            let mut expired = Vec::new();
            while let Some(id) = process.expired(now) {
                expired.push(id);
            }
            self.counters.threads_evicted += evicted;
            for id in expired {
                self.requests.remove(id);
            }
        }
        self.bustles(now, pid);
        while self.requests.len() > self.limits.requests || self.requests.bytes() > self.limits.bytes {
            let Some((id, pid)) = self.requests.pop_first() else { break };
            self.counters.requests_evicted += 1;
            let Some(process) = self.process(pid) else { continue };
            // An open one that is forgotten may be the parent of anything. Once in a while is often enough to say so:
            // the taint lasts.
            if process.open.ids.contains(&id) {
                process.closed(now, id, None);
                if process.tainted_until < now + TAINT / 2 {
                    process.taint(now, now + TAINT);
                }
            }
            process.forget(now, id);
        }
    }

    /// A process that receives requests is heard of.
    fn begin(&mut self, now: BootNs, pid: ProcessId, service: &Arc<str>) {
        let lost = if self.losses > 0 { self.lost_at + TAINT } else { 0 };
        let tainted_until = self.forgot_at.map_or(lost, |at| lost.max(at + TAINT));
        let mut process = Process::new(service.clone(), self.losses, tainted_until);
        process.delays = self.joint.then(Box::default);
        // In each of its turns it would have to be seen to call again.
        process.calls = self.turns.is_some();
        if let Some(turns) = &mut self.turns {
            turns.begin(now, pid, &mut process);
        }
        if let Some((old_pid, old)) = self.processes.push(pid, process) {
            self.misses_turn(now, old_pid);
            self.counters.processes_evicted += 1;
            self.forgot_at = Some(now);
            for id in old.held.keys() {
                self.requests.remove(*id);
            }
        }
        self.by_tgid.put(pid.tgid, pid);
        let replicas = self.services.get_or_insert_mut(service.clone(), Replicas::new);
        let is_busy = |pid| self.processes.peek(&pid).is_some_and(|process| !process.open.ids.is_empty());
        for oldest in replicas.push(pid, is_busy) {
            self.retire(oldest, service);
        }
    }

    /// Has the service remember what this process of it says.
    fn retire(&mut self, pid: ProcessId, service: &Arc<str>) {
        let losses = self.losses;
        let said = self.process(pid).map(|process| {
            let classes = process.classes.iter_mut();
            let said = classes.map(|(key, class)| (key.hash(service), class.hand_over()));
            said.flat_map(|(key, said)| said.into_iter().map(move |(route, evidence)| ((key, route), evidence)))
                .collect()
        });
        let said: Vec<_> = said.unwrap_or_default();
        if let Some(replicas) = self.services.get_mut(service) {
            replicas.keep(losses, said);
        }
    }

    /// Closes what has been open for too long. Ids increase with time, so each request is looked at once.
    fn expire(&mut self, now: BootNs) {
        if now < self.expires {
            return;
        }
        while let Some((id, pid)) = self.requests.after(self.expired_through) {
            if let Some(held) = self.processes.peek(&pid).and_then(|process| process.held.get(&id)) {
                self.expires = held.inbound.started.saturating_add(ABANDONED);
                if self.expires > now {
                    return;
                }
                if held.open
                    && let Some(process) = self.process(pid)
                {
                    process.expire(now, id);
                    self.counters.requests_expired += 1;
                }
            }
            self.expired_through = id;
        }
    }

    /// The response head was sent, by this thread and coroutine, or the exchange ended.
    pub fn closed(&mut self, now: BootNs, id: ExchangeId, responded: Option<(u32, u64)>) {
        self.rest(now);
        if let Some(pid) = self.requests.process(id)
            && let Some(process) = self.process(pid)
        {
            process.linger(now);
            process.closed(now, id, responded.map(|(tid, coroutine)| execution(tid, coroutine)));
            process.look_again(now, false);
            if !process.settled.is_empty() {
                self.touched.push(pid);
            }
            self.requests.answered(id);
        }
        while let Some((id, pid)) = self.requests.superseded(self.limits.answered) {
            self.counters.requests_superseded += 1;
            if let Some(process) = self.process(pid) {
                process.forget(now, id);
            }
        }
    }

    /// A call was answered: the request that made it goes on. Only where that is proven: background work that makes one
    /// call after another would make any request look busy that it is credited to.
    pub fn answered(&mut self, now: BootNs, call: ExchangeId, pairing: &Pairing) {
        if let Some(process) = self.process(pairing.service) {
            process.answered(now, call);
        }
        if pairing.method == Method::TraceId
            && let Some(parent) = &pairing.parent
            && let Some(process) = self.process(pairing.service)
        {
            process.linger(now);
            process.went_on(now, parent.id);
        }
    }

    /// From now on, solves jointly which request made which call, for [`Pairer::decided`]. It finds the very request
    /// where many are alike. The verdict does not need that, and it costs too much for a live run: it is
    /// there to measure the pairing.
    pub fn solve_jointly(&mut self) {
        self.joint = true;
    }

    /// More processes are looked at from now on: what they have open is not known.
    pub fn joined(&mut self, now: BootNs) {
        self.forgot_at = Some(now);
    }

    /// A process is not looked at any more: what it had open says nothing of the calls of its children.
    pub fn left(&mut self, now: BootNs, pid: ProcessId) {
        if self.by_tgid.peek(&pid.tgid) == Some(&pid) {
            self.by_tgid.pop(&pid.tgid);
        }
        self.leaves_no_more(pid);
        self.forget(now, pid);
    }

    fn forget(&mut self, now: BootNs, pid: ProcessId) {
        self.misses_turn(now, pid);
        let Some(process) = self.processes.pop(&pid) else { return };
        for id in process.held.keys() {
            self.requests.remove(*id);
        }
    }

    /// Records are missing.
    pub fn lost(&mut self, now: BootNs) {
        self.losses += 1;
        self.lost_at = now;
    }

    /// A request was sent: where does it come from?
    pub fn outbound(&mut self, now: BootNs, outbound: &Outbound<'_>) -> Pairing {
        self.expire(now);
        self.rest(now);
        self.wake(now);
        let callers = self.own_and_above(outbound.request);
        for (pid, _) in &callers {
            self.wake_one(now, *pid);
            self.processes.peek_mut(pid).into_iter().for_each(|process| process.calls(now));
        }
        if let Some(pairing) = self.by_trace(now, outbound, callers) {
            return pairing;
        }
        let request = outbound.request;
        let Some((pid, execution, child)) = self.actor(request) else { return self.unpaired(now, request) };
        let hidden = self.may_be_hidden(now, request, Some(pid));
        let (losses, seq, room) = (self.losses > 0, self.next_class, self.room.clone());
        let Some(process) = self.process(pid) else { return Pairing::unpaired(request.process) };
        process.linger(now);
        let unseen = hidden || process.turn.is_some();
        let call = Call { now, execution, outbound, unseen };
        let candidates = process.candidates(now, execution, child);
        let candidates = process.narrowed(candidates, &request.head.affinity);
        let forgotten = outbound.carries_trace() && process.may_have_forgotten(now);
        if forgotten || unseen && process.may_be_unseen(&candidates) {
            return Pairing { candidates: candidates.count, ..Pairing::unpaired(pid).unseen() };
        }
        let seen = process.suspect(&call, &candidates, losses, seq);
        let tainted = now < process.tainted_until;
        let mut method = candidates.method(child.is_some());
        if method == Method::Thread && request.coroutine != 0 {
            method = Method::Coroutine;
        }
        let mut parent =
            if candidates.affine || candidates.count == 1 && !candidates.late { candidates.first } else { None };
        let (mut suspect, mut claimed, mut by_delay, mut caused) = (None, parent, 0.0, 1.0);
        if let Some(Suspect { suspicion, key, class, chosen: Chosen { id, named, confidence, caused: c, .. }, route }) =
            seen.suspect
        {
            (by_delay, caused) = (confidence, c);
            if named == Named::ToldApart && parent != Some(id) {
                method = Method::DelayModel;
            }
            if named == Named::Background {
                method = Method::None;
            }
            claimed = (caused >= 0.5).then_some(id);
            parent = named.is_told().then_some(id);
            // One that has just ended is as likely.
            if parent.is_none() && method == Method::SoleCandidate {
                method = Method::AnyParent;
            }
            let group = key.hash(&process.service);
            let route = parent.map(|_| route);
            suspect = Some((suspicion, ClassRef { process: pid, group, key, seq: class, route }));
        }
        let exact = candidates.affine || candidates.is_of_thread();
        let made_by = [parent.filter(|_| exact), claimed];
        // It is not learnt anew in every turn how calls follow requests.
        let room = Some(&room).filter(|_| process.turn.is_none());
        let again = process.sent(now, request.id, outbound, execution, made_by, room);
        let confidence = match (claimed, method) {
            (None, _) if caused < 0.5 => (1.0 - caused).min(PERHAPS),
            (None, _) => 0.0,
            (_, Method::Thread | Method::Coroutine) => process.discipline.confidence(),
            (_, Method::ChildProcess | Method::SoleCandidate | Method::Affinity) => CLEAR * caused,
            _ => by_delay.min(PERHAPS),
        };
        let inbound = |id: Option<ExchangeId>| Some(process.held.get(&id?)?.inbound.clone());
        let (parent, claimed) = (inbound(parent), inbound(claimed));
        let unclear = (tainted || seen.unclear) && candidates.count > 0;
        let parents = if unclear { Parents::Unclear } else { candidates.parents };
        self.next_class += seen.made;
        self.counters.classes_evicted += seen.evicted;
        if again {
            self.looks_at(pid);
        }
        Pairing {
            service: pid,
            method,
            candidates: candidates.count,
            parents,
            parent,
            others: Vec::new(),
            may_copy: true,
            unseen: false,
            claimed,
            confidence,
            again,
            suspect,
        }
    }

    /// How the class of a suspect call stands now, losses included: a call that waits for its answer may be judged
    /// before anything else of the process is looked at. All processes of the service bear witness.
    pub fn standing(&mut self, now: BootNs, class: &ClassRef) -> Option<Standing> {
        let process = self.process(class.process)?;
        process.classes.peek(&class.key).filter(|c| c.seq == class.seq)?;
        let service = process.service.clone();
        let replicas = self.services.peek(&service);
        let mut evidence = replicas.map_or_else(Evidence::default, |replicas| {
            replicas.said(self.losses, &(class.key.hash(&service), class.route))
        });
        let mut asked: Vec<ProcessId> = replicas.into_iter().flat_map(Replicas::asked).collect();
        if !asked.contains(&class.process) {
            asked.push(class.process);
        }
        for pid in asked {
            let Some(process) = self.process(pid) else { continue };
            process.linger(now);
            if let Some(class_of_it) = process.classes.peek(&class.key) {
                evidence.add(class_of_it.evidence(class.route));
            }
        }
        Some(evidence.standing())
    }

    fn by_trace(&mut self, now: BootNs, outbound: &Outbound<'_>, callers: Callers) -> Option<Pairing> {
        if !outbound.carries_trace() {
            return None;
        }
        let request = outbound.request;
        for (pid, execution) in callers {
            let hidden = self.may_be_hidden(now, request, Some(pid));
            let Some(process) = self.process(pid) else { continue };
            let Some(ByTrace { parent, others, count, may_copy }) = process.by_trace(outbound, execution) else {
                continue;
            };
            let hidden = hidden && !process.is_at(&parent, execution);
            let unseen = hidden || process.may_share_trace(now) || process.may_have_forgotten(now);
            let may_copy = may_copy || unseen;
            process.linger(now);
            process.called(execution, parent.execution);
            process.sent(now, request.id, outbound, execution, [Some(parent.id), None], None);
            // What calls carry that no request has is the service's own.
            process.affinity.shared(&request.head.affinity, |_| false);
            if !process.classes.is_empty() {
                let keys =
                    [Suspicion::Dropped, Suspicion::Restarted].map(|suspicion| ClassKey::of(suspicion, outbound));
                process.kept(parent.id, keys.into_iter());
            }
            return Some(Pairing {
                service: pid,
                method: Method::TraceId,
                candidates: u32::try_from(count).unwrap_or(u32::MAX),
                parents: Parents::Unclear,
                // Retries and joint requests carry one trace-id more than once.
                confidence: if count == 1 { 1.0 } else { SAME_TRACE },
                claimed: Some(parent.clone()),
                parent: Some(parent),
                others,
                may_copy,
                unseen,
                again: false,
                suspect: None,
            });
        }
        None
    }

    fn process(&mut self, pid: ProcessId) -> Option<&mut Process> {
        let process = self.processes.get_mut(&pid)?;
        // Told of a loss when next looked at: a loss costs nothing for the processes that are quiet.
        if process.delays.is_some() && self.touched.last() != Some(&pid) {
            self.touched.push(pid);
        }
        if process.epoch != self.losses {
            process.epoch = self.losses;
            process.taint(self.lost_at, self.lost_at + TAINT);
        }
        Some(process)
    }
}
