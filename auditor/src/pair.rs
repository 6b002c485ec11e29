//! Which received request caused a call: candidates, the evidence for each, and how sure that makes us.
//!
//! The order of evidence: the trace-id (proof whatever the threading); the thread, while exactly one request is open
//! there; a child process of the thread or process that holds the request; the only request open in the process; any
//! of several, where the verdict is the same for each of them. Apart from the first none of these is proof, because
//! the call may be background work: `pair/class.rs` tests that, and nothing is reported before.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod class;
mod clock;
pub mod delay;
mod inbound;
mod process;
mod rhythm;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::Arc;

use auditor_ebpf::wire;
use lru::LruCache;

pub use class::{Standing, Suspicion};
pub use inbound::{Inbound, Target, reported_path};

use crate::context::w3c::Context;
use crate::exchange::{ExchangeId, Request};
use crate::record::{BootNs, ProcessId};
use crate::report::address::Destination;
use class::{Class, ClassKey};
use process::{Open, Process, TAINT};
use scope::Kind;

/// A request that got no response for so long has none coming whose end would be seen: its sender reset the connection
/// before it was read, or abandoned a Unix socket.
const ABANDONED: BootNs = 600_000_000_000;

/// How a call was paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// It carries the trace-id of a request.
    TraceId,
    /// The thread has exactly one request open.
    Thread,
    /// A process above it has.
    ChildProcess,
    /// The process has exactly one request open.
    SoleCandidate,
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
            Self::Thread => "thread",
            Self::ChildProcess => "child_process",
            Self::SoleCandidate => "sole_candidate",
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
    process: ProcessId,
    key: ClassKey,
    /// Its number, unique within a run.
    pub seq: u64,
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
    /// The class whose evidence decides whether it may be reported.
    pub suspect: Option<(Suspicion, ClassRef)>,
}

/// Limits of the pairing's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processes that receive requests.
    pub processes: usize,
    /// Requests, open or answered less than a minute ago.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { processes: 4096, requests: 65_536 }
    }
}

/// What was evicted, and what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processes forgotten because the table was full.
    pub processes_evicted: u64,
    /// Requests forgotten for the same reason.
    pub requests_evicted: u64,
    /// Threads.
    pub threads_evicted: u64,
    /// Classes of calls.
    pub classes_evicted: u64,
    /// Requests without a response for so long that they are no candidates any more.
    pub requests_expired: u64,
}

/// Pairs calls with the requests that caused them.
#[derive(Debug)]
pub struct Pairer {
    limits: Limits,
    processes: LruCache<ProcessId, Process>,
    by_tgid: LruCache<u32, ProcessId>,
    /// Every request held anywhere, oldest first.
    requests: BTreeMap<ExchangeId, ProcessId>,
    /// Requests up to this one are too old to be open.
    expired_through: ExchangeId,
    losses: u64,
    lost_at: BootNs,
    /// When a process or its state was last evicted: what a process that turns up after has open is not known.
    forgot_at: Option<BootNs>,
    next_class: u64,
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
            requests: BTreeMap::new(),
            expired_through: ExchangeId(0),
            losses: 0,
            lost_at: 0,
            forgot_at: None,
            next_class: 0,
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
    pub fn opened(&mut self, now: BootNs, inbound: Arc<Inbound>) {
        self.expire(now);
        let (pid, id) = (inbound.process, inbound.id);
        if !self.processes.contains(&pid) {
            let lost = if self.losses > 0 { self.lost_at + TAINT } else { 0 };
            let tainted_until = self.forgot_at.map_or(lost, |at| lost.max(at + TAINT));
            if let Some((_, old)) = self.processes.push(pid, Process::new(self.losses, tainted_until)) {
                self.counters.processes_evicted += 1;
                self.forgot_at = Some(now);
                for id in old.held.keys() {
                    self.requests.remove(id);
                }
            }
            self.by_tgid.put(pid.tgid, pid);
        }
        self.requests.insert(id, pid);
        if let Some(process) = self.process(pid) {
            let evicted = process.opened(now, inbound);
            let mut expired = Vec::new();
            while let Some(id) = process.expired(now) {
                expired.push(id);
            }
            self.counters.threads_evicted += evicted;
            for id in expired {
                self.requests.remove(&id);
            }
        }
        while self.requests.len() > self.limits.requests {
            let Some((id, pid)) = self.requests.pop_first() else { break };
            self.counters.requests_evicted += 1;
            let Some(process) = self.process(pid) else { continue };
            // An open one that is forgotten may be the parent of anything. Once in a while is often enough to say so:
            // the taint lasts.
            if process.open.ids.contains(&id) {
                process.closed(now, id, false);
                if process.tainted_until < now + TAINT / 2 {
                    process.taint(now, now + TAINT);
                }
            }
            process.forget(id);
        }
    }

    /// Closes what has been open for too long. Ids increase with time, so each request is looked at once.
    fn expire(&mut self, now: BootNs) {
        let after = |id| (Bound::Excluded(id), Bound::Unbounded);
        while let Some((&id, &pid)) = self.requests.range(after(self.expired_through)).next() {
            if let Some(held) = self.processes.peek(&pid).and_then(|process| process.held.get(&id)) {
                if held.inbound.started.saturating_add(ABANDONED) > now {
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

    /// The response head was sent (`responded`), or the exchange ended.
    pub fn closed(&mut self, now: BootNs, id: ExchangeId, responded: bool) {
        if let Some(pid) = self.requests.get(&id).copied()
            && let Some(process) = self.process(pid)
        {
            process.closed(now, id, responded);
        }
    }

    /// Records are missing.
    pub fn lost(&mut self, now: BootNs) {
        self.losses += 1;
        self.lost_at = now;
    }

    /// A request was sent: where does it come from?
    pub fn outbound(&mut self, now: BootNs, request: &Request, sent: &Context, destination: &Destination) -> Pairing {
        self.expire(now);
        if let Some(pairing) = self.by_trace(request, sent) {
            return pairing;
        }
        let unpaired = |service| Pairing {
            service,
            method: Method::None,
            candidates: 0,
            parents: Parents::None,
            parent: None,
            suspect: None,
        };
        let Some((pid, tid, born)) = self.actor(request) else { return unpaired(request.process) };
        let target = Target::of(request);
        let (losses_seen, seq) = (self.losses > 0, self.next_class);
        let Some(process) = self.process(pid) else { return unpaired(request.process) };

        // Candidates: of the thread if it has any, else of the process.
        let thread = process.threads.get(&tid);
        let serving = thread.is_some();
        let just_answered =
            thread.and_then(|t| t.responded).is_some_and(|at| now.saturating_sub(at) < process::AFTERMATH);
        let on_thread = thread.is_some_and(|t| !t.open.ids.is_empty());
        let open = match thread {
            Some(thread) if on_thread => thread.open.candidates(),
            _ => process.open.candidates(),
        };
        // A child that was there before the request does not work for it.
        let orphan = born.is_some_and(|born| {
            open.first.and_then(|id| process.held.get(&id)).is_none_or(|held| held.inbound.started > born)
        });
        let candidates = if orphan { 0 } else { open.count };
        let parents = match (candidates, open.kind) {
            (0, _) if just_answered => Parents::JustAnswered,
            (0, _) => Parents::None,
            (_, Some(Kind::Valid)) => Parents::Valid,
            (_, Some(Kind::Absent)) => Parents::Absent,
            _ => Parents::Unclear,
        };
        let method = match (candidates, on_thread, born.is_some()) {
            (0, ..) => Method::None,
            (1, _, true) => Method::ChildProcess,
            (1, true, _) => Method::Thread,
            (1, false, _) => Method::SoleCandidate,
            _ => Method::AnyParent,
        };
        let tainted = now < process.tainted_until;
        let unclear_until =
            if on_thread { thread.map_or(0, |thread| thread.unclear_until) } else { process.unclear_until };

        // The class under test, if the call is of a kind that could be a fault.
        let suspicions: &[Suspicion] = match sent {
            Context::Absent => &[Suspicion::Dropped, Suspicion::NotStarted],
            Context::Valid(..) => &[Suspicion::Restarted],
            _ => &[],
        };
        let mut made = 0;
        let mut evicted = 0;
        let mut unclear = false;
        let mut suspect = None;
        let mut parent = if candidates == 1 { open.first } else { None };
        for suspicion in suspicions.iter().copied() {
            if !process.kinds.contains(&suspicion.wants()) {
                continue;
            }
            let key = ClassKey {
                suspicion,
                destination: destination.clone(),
                method: target.method.clone(),
                route: target.route.clone(),
            };
            let want = suspicion.wants();
            let first = !process.classes.contains(&key);
            if first {
                let unused = process.of_kind(&process.open.ids, want);
                let after_loss = process.after_loss || losses_seen;
                let mut class = Class::new(now, seq + made, want, process.open.counts, unused, after_loss);
                class.unclear(now, process.unclear_until, tid);
                made += 1;
                evicted += u64::from(process.classes.push(key.clone(), class).is_some());
            }
            let joins = serving && process.classes.get(&key).is_some_and(|class| !class.threads.contains(&tid));
            let history = if joins { process.thread_history(now, tid) } else { None };
            let history = history.map(|(open, clock)| (process.of_kind(&open.ids, want), open.counts, clock));
            let Some(class) = process.classes.get_mut(&key) else { continue };
            if let Some((unused, counts, clock)) = history {
                class.join(now, tid, counts, unused, &clock);
                class.unclear(now, unclear_until, tid);
            }
            class.observe(now, serving.then_some(tid), first, tainted);
            let matches = candidates > 0 && open.kind == Some(want);
            if !matches || tainted {
                continue;
            }
            if suspicion.wants() == Kind::Valid && now < unclear_until {
                unclear = true;
                continue;
            }
            // Who makes the call: the one that has waited longest without one, else the one that made the last.
            let seq = class.seq;
            let fresh = if on_thread {
                class.threads.peek(&tid).map(|scope| &scope.unused)
            } else {
                Some(&class.process.unused)
            };
            let fresh: BTreeSet<_> = fresh.into_iter().flatten().take(process::COMPARED + 1).copied().collect();
            let last = class.last_parent;
            let all = if on_thread { process.threads.peek(&tid).map(|t| &t.open.ids) } else { Some(&process.open.ids) };
            let chosen = fresh
                .first()
                .copied()
                .or_else(|| last.filter(|id| all.is_some_and(|all| all.contains(id))))
                .or(open.first);
            let same_route = process.shared_route(if fresh.is_empty() { all.unwrap_or(&fresh) } else { &fresh });
            let Some(chosen) = chosen else { continue };
            let Some(held) = process.held.get_mut(&chosen) else { continue };
            let used = held.bump(seq);
            let route = held.inbound.route_key;
            let owner = held.inbound.tid;
            let offset = now.saturating_sub(held.inbound.started);
            if let Some(class) = process.classes.get_mut(&key) {
                class.assign(chosen, owner, used, offset);
                class.hit();
            }
            parent = (candidates == 1 || same_route).then_some(chosen);
            suspect = Some((suspicion, ClassRef { process: pid, key, seq, route: parent.map(|_| route) }));
        }
        let parent = parent.and_then(|id| process.held.get(&id)).map(|held| held.inbound.clone());
        let parents = if (tainted || unclear) && candidates > 0 { Parents::Unclear } else { parents };
        self.next_class += made;
        self.counters.classes_evicted += evicted;
        Pairing { service: pid, method, candidates, parents, parent, suspect }
    }

    /// How the class of a suspect call stands now, losses included: a call that waits for its answer may be judged
    /// before anything else of the process is looked at.
    pub fn standing(&mut self, class: &ClassRef) -> Option<Standing> {
        let process = self.process(class.process)?;
        process.classes.peek(&class.key).filter(|c| c.seq == class.seq).map(|c| c.standing(class.route))
    }

    fn by_trace(&mut self, request: &Request, sent: &Context) -> Option<Pairing> {
        sent.raw()?;
        let own = (request.process, request.tid);
        let above = request.ancestors.iter().filter(|a| a.tgid != 0 && a.tgid != request.process.tgid);
        let above: Vec<_> = above.filter_map(|a| Some((*self.by_tgid.peek(&a.tgid)?, a.tid))).collect();
        for (pid, tid) in std::iter::once(own).chain(above) {
            let Some(process) = self.process(pid) else { continue };
            if let Some((parent, count)) = process.by_trace(sent, tid) {
                return Some(Pairing {
                    service: pid,
                    method: Method::TraceId,
                    candidates: u32::try_from(count).unwrap_or(u32::MAX),
                    parents: Parents::Unclear,
                    parent: Some(parent),
                    suspect: None,
                });
            }
        }
        None
    }

    /// The process and thread on whose behalf a request is sent, with the birth of the child that sends it: itself if
    /// it receives requests, else the nearest process above that does.
    fn actor(&mut self, request: &Request) -> Option<(ProcessId, u32, Option<BootNs>)> {
        if self.processes.contains(&request.process) {
            return Some((request.process, request.tid, None));
        }
        request.ancestors.iter().filter(|a: &&wire::Task| a.tgid != 0 && a.tgid != request.process.tgid).find_map(|a| {
            let pid = *self.by_tgid.peek(&a.tgid)?;
            // A pid that was reused belongs to a process younger than the child.
            let older = pid.start_ns <= request.process.start_ns;
            (older && self.processes.contains(&pid)).then_some((pid, a.tid, Some(request.process.start_ns)))
        })
    }

    fn process(&mut self, pid: ProcessId) -> Option<&mut Process> {
        let process = self.processes.get_mut(&pid)?;
        // Told of a loss when next looked at: a loss costs nothing for the processes that are quiet.
        if process.epoch != self.losses {
            process.epoch = self.losses;
            process.taint(self.lost_at, self.lost_at + TAINT);
        }
        Some(process)
    }
}

/// Of a set of open requests, what the choice of a parent needs.
#[derive(Clone, Copy)]
struct Candidates {
    first: Option<ExchangeId>,
    count: u32,
    kind: Option<Kind>,
}

impl Open {
    fn candidates(&self) -> Candidates {
        let kind = [Kind::Valid, Kind::Absent].into_iter().find(|kind| self.counts.only(*kind));
        Candidates { first: self.ids.first().copied(), count: self.counts.total(), kind }
    }
}
