//! Is it the requests, or is it background work? The test that stands between a suspicion and an accusation.
//!
//! A call without the context of an open request proves nothing: the service may run a timer, and the request may just
//! happen to be open. So suspect calls are gathered in a *class* (process, destination, method and route, kind of
//! fault), and the hypothesis "these calls are background work, independent of the requests" is tested.
//!
//! A request is *fresh* for a class while it is open and has not had its share of calls of the class. A background
//! call finds a fresh request with probability q, the fraction of time in which there is one (Poisson arrivals see
//! time averages). A call that a request makes always finds one, but for 1 % of oddities. Each call multiplies the
//! likelihood ratio E by 0.99/q (found one) or 0.01/(1-q) (found none). Under the background hypothesis E is a
//! supermartingale, so it ever exceeds x with probability at most 1/x, no matter how long we look (Ville); and
//! overestimating q keeps it one. E starts against prior odds of 100:1 for background: confidence = E / (E + 100).
//! (10:1 accused one of a thousand random healthy worlds, which is what Ville promises, and too many.)
//!
//! - q is clamped to [0.2, 0.99]. Below, five coincidences would do; above, a *miss* would speak for the request.
//! - Time is observed from the first suspect call of the class on, not from the first request of the process: q must
//!   be measured over the time in which the calls are made, or a load test after a quiet night makes every timer look
//!   guilty. That first call chose the moment, so it is not evidence.
//! - Each number of calls a request may make (1, 2, 3, any) is a lane with its own clock and E; the process scope and
//!   the thread scope (calls on threads that receive requests) have theirs, and so has each route, where the test looks
//!   at delays as well ([`super::follow`]). The average of likelihood ratios is one.
//! - On a thread, q is the larger of the thread's own fraction and that of all threads of the class together: a
//!   runtime may run its timers on the busiest of its threads. A thread that just appeared brings its own history.
//! - Real timers are no Poisson process: never is there a call right after a call. [`super::rhythm`] says how long, and
//!   that time counts for neither side; and it holds back calls that are even but do not follow the requests.
//! - Most of the latest calls must be such that a request could have made them. The requests of a service that makes each
//!   call for one explain all, those of a service that polls as many as happen to come by: however closely these follow a
//!   request, because a poll waits for the connection that a request has, or for the processor.
//! - Most requests of a route must have made such a call, or it is not the requests of that route that make it: a flush
//!   after every so many requests, a cache that expires, the calls that another route makes.
//! - A request without context that is open, or ended a moment ago, may make calls in step with the others, of its
//!   session or of everybody: neither calls nor time count, nor the requests that saw it. So what is said of a busy
//!   service rests on the moments in which there was none.
//! - After records were lost the evidence so far is forgotten, except where it speaks for the service.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use super::clock::{Clock, smoothed};
use super::evidence::{Evidence, Explained, LOG_BOUND};
use super::follow::{Follow, Found};
use super::inbound::{Execution, Held};
use super::rhythm::Rhythm;
use super::scope::{Counts, Kind, LANES, Scope};
use crate::exchange::ExchangeId;
use crate::record::BootNs;
use lru::LruCache;

/// A lane's share in the average; they sum to 1.
const WEIGHT: [f64; LANES] = [0.5, 0.125, 0.125, 0.25];
/// The shares of the threads and of the route in the average; the rest is that of the process.
const THREAD_WEIGHT: f64 = 0.45;
const ROUTE_WEIGHT: f64 = 0.1;
const HIT_RATE: f64 = 0.99;
const FRACTION: (f64, f64) = (0.2, 0.99);
/// What a loss costs a class, in ln E: more than the records that are missing could have said for the service.
const LOSS_PENALTY: f64 = 7.0;
/// Losses cost no more than this together.
const LOSS_FLOOR: f64 = -20.0;
/// As much evidence as a call ever is, in ln E: what a process calls that exists for one request, or what carries its
/// name. A user's token is none: work that goes on for users who are away carries it as well. Nor is a child that was
/// forked meanwhile: the thread of an event loop has requests open while it forks for a timer.
const WITNESS: f64 = 1.6;
/// What speaks for calls following the requests of a route must be this many times likelier than chance, for the route to
/// be a rival of another.
const FOLLOWS: f64 = 2.0;
/// And it must account for this share of them. Where one request comes after the other, each route is now and then the
/// next after one that goes on calling.
const MOST: f64 = 0.5;
const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
const ROUTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// The evidence on one class.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) seq: u64,
    want: Kind,
    pub(super) process: Scope,
    process_log: [f64; LANES],
    pub(super) threads: LruCache<Execution, Scope>,
    /// (fresh, stale, cycles) of threads that are no longer in `threads`.
    folded: [(u64, u64, u64); LANES],
    thread_log: [f64; LANES],
    follows: LruCache<u64, Follow>,
    /// Where the evidence of a route begins.
    log: f64,
    hits: u64,
    explained: Explained,
    pub(super) last_parent: Option<ExchangeId>,
    rhythm: Rhythm,
}

/// Whether a call is the first of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It is not.
    No,
    /// It chose the moment at which the class begins, and is no evidence.
    OfMany,
    /// It is, but in a process that began with the only request it received: a process for each request makes no other.
    OfNewborn,
}

/// A route whose requests could have made a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) route: u64,
    /// The likeliest of its requests.
    pub(super) id: ExchangeId,
    /// How much likelier than chance.
    pub(super) ratio: f64,
    /// That it is this one, among those of its route.
    pub(super) alone: f64,
    /// What speaks for such calls following its requests, as a likelihood ratio.
    pub(super) evidence: f64,
    /// Share of the calls that do.
    share: f64,
}

impl Caller {
    /// Whether this route could as well be the one: it is no less likely than chance now, and calls do follow it. However
    /// much likelier another is: of two that come together the one that comes just before a call always seems to make it.
    pub(super) fn is_possible(&self) -> bool {
        self.ratio >= 1.0 && self.evidence >= FOLLOWS && self.share >= MOST
    }
}

impl Class {
    pub(super) fn new(
        now: BootNs,
        seq: u64,
        want: Kind,
        counts: Counts,
        unused: BTreeSet<ExchangeId>,
        after_loss: bool,
    ) -> Self {
        let log = if after_loss { -LOSS_PENALTY } else { 0.0 };
        Self {
            seq,
            want,
            process: Scope::new(now, want, counts, unused, &Clock::new(now)),
            process_log: [log; LANES],
            threads: LruCache::sparse(THREADS),
            folded: [(0, 0, 0); LANES],
            thread_log: [log; LANES],
            follows: LruCache::sparse(ROUTES),
            log,
            hits: 0,
            explained: Explained::default(),
            last_parent: None,
            rhythm: Rhythm::default(),
        }
    }

    /// Lets a thread's requests count from now on; `history` is the thread's own clock.
    pub(super) fn join(
        &mut self,
        now: BootNs,
        execution: Execution,
        counts: Counts,
        unused: BTreeSet<ExchangeId>,
        history: &Clock,
    ) {
        if self.threads.contains(&execution) {
            return;
        }
        let scope = Scope::new(now, self.want, counts, unused, history);
        if let Some((_, mut old)) = self.threads.push(execution, scope) {
            old.settle(now);
            self.folded.iter_mut().zip(&old.lanes).for_each(|(sum, lane)| fold(sum, &lane.clock));
        }
    }

    /// A call of the class is made. The `first` is no evidence; while `tainted` only what speaks for the service is.
    /// Says which routes it could come from.
    pub(super) fn observe(
        &mut self,
        now: BootNs,
        execution: Option<Execution>,
        first: First,
        tainted: bool,
    ) -> Vec<Caller> {
        self.rhythm.beat(now);
        self.settle(now);
        if first == First::OfNewborn && !tainted {
            self.process_log.iter_mut().for_each(|log| *log += WITNESS);
        }
        let first = first != First::No;
        let (from, neutral) = self.unseen();
        let callers: Vec<Caller> = self.callers(self.follows.iter().map(|(route, follow)| (*route, follow.caller())));
        if !neutral {
            for (_, follow) in self.follows.iter_mut() {
                follow.look(!first && !tainted && now >= from);
            }
        }
        let weigh = |log: &mut f64, found: Option<bool>, fraction: f64| {
            let q = fraction.clamp(FRACTION.0, FRACTION.1);
            let step = match found {
                _ if first => return,
                Some(true) if tainted => return,
                Some(true) => (HIT_RATE / q).ln(),
                Some(false) => ((1.0 - HIT_RATE) / (1.0 - q)).ln(),
                None => return,
            };
            *log = (*log + step).clamp(-LOG_BOUND, LOG_BOUND);
        };
        let found = self.process.look(now);
        for ((log, found), lane) in self.process_log.iter_mut().zip(found).zip(&self.process.lanes) {
            weigh(log, found, lane.clock.fraction());
        }
        let Some(execution) = execution else { return callers };
        let mut pool = self.folded;
        for (_, scope) in self.threads.iter_mut() {
            scope.settle(now);
            pool.iter_mut().zip(&scope.lanes).for_each(|(sum, lane)| fold(sum, &lane.clock));
        }
        let Some(scope) = self.threads.get_mut(&execution) else { return callers };
        let found = scope.look(now);
        for (((log, found), lane), pool) in self.thread_log.iter_mut().zip(found).zip(&scope.lanes).zip(pool) {
            weigh(log, found, lane.clock.fraction().max(smoothed(pool.0, pool.1, pool.2)));
        }
        callers
    }

    fn callers(&self, found: impl Iterator<Item = (u64, Option<Found>)>) -> Vec<Caller> {
        let caller = |(route, found): (u64, Option<Found>)| {
            let Found { id, ratio, alone } = found?;
            let follow = self.follows.peek(&route)?;
            Some(Caller { route, id, ratio, alone, evidence: follow.ratio(), share: follow.share() })
        };
        found.filter_map(caller).collect()
    }

    /// Accounts for the time up to `now` in what the routes know.
    fn settle(&mut self, now: BootNs) {
        let (from, neutral) = self.unseen();
        for (_, follow) in self.follows.iter_mut() {
            follow.settle(now, from, neutral);
        }
    }

    /// A request was received.
    pub(super) fn opened(&mut self, now: BootNs, held: &Held) {
        let inbound = &held.inbound;
        if inbound.kind != self.want {
            self.settle(now);
        }
        self.process.opened(now, inbound.id, inbound.kind);
        if let Some(scope) = self.threads.peek_mut(&inbound.execution) {
            scope.opened(now, inbound.id, inbound.kind);
        }
        self.works(now, held);
    }

    fn follow(&mut self, held: &Held) -> Option<&mut Follow> {
        if held.inbound.kind == self.want { self.follows.peek_mut(&held.inbound.route_key) } else { None }
    }

    /// Until when the routes know nothing, and whether they do now.
    fn unseen(&self) -> (BootNs, bool) {
        (self.process.blind_until(), self.process.is_neutral())
    }

    /// A request that is at work may make calls of the class.
    pub(super) fn works(&mut self, now: BootNs, held: &Held) {
        let (from, neutral) = self.unseen();
        let log = self.log;
        if held.inbound.kind != self.want {
            return;
        }
        let follow = self.follows.get_or_insert_mut(held.inbound.route_key, || Follow::new(now, log));
        follow.settle(now, from, neutral);
        follow.milestone(held.milestone, held.inbound.id, None);
    }

    /// A request is no longer open, but may go on working for a while.
    pub(super) fn closed(&mut self, now: BootNs, held: &Held, kind: Kind) {
        if kind != self.want {
            self.settle(now);
        }
        let (id, used) = (held.inbound.id, held.used(self.seq));
        // Whoever carried context may still make its call; the others are not waited for.
        if self.want == kind
            && kind == Kind::Absent
            && let Some(made) = held.made(self.seq)
        {
            self.rhythm.closed(held.inbound.route_key, made);
        }
        self.process.closed(now, id, kind, used);
        if let Some(scope) = self.threads.peek_mut(&held.inbound.execution) {
            scope.closed(now, id, kind, used);
        }
    }

    /// Something set the request off again; the last time was at `held.milestone`.
    pub(super) fn milestone(&mut self, now: BootNs, held: &Held) {
        let (from, neutral) = self.unseen();
        if let Some(follow) = self.follow(held) {
            follow.settle(now, from, neutral);
            follow.milestone(now, held.inbound.id, Some(held.milestone));
        }
    }

    /// A request does not work any more.
    pub(super) fn left(&mut self, now: BootNs, held: &Held, kind: Kind) {
        let (from, neutral) = self.unseen();
        let (id, route) = (held.inbound.id, held.inbound.route_key);
        if let Some(follow) = self.follow(held) {
            follow.settle(now, from, neutral);
            follow.left(id, held.milestone);
        }
        // What perhaps made one says nothing of whether most do.
        if self.want == kind
            && kind == Kind::Valid
            && !held.mixed
            && let Some(made) = held.made(self.seq)
        {
            self.rhythm.closed(route, made);
        }
    }

    /// The call is taken to come from this request, its `used`-th of the class.
    pub(super) fn assign(&mut self, now: BootNs, held: &Held, used: u32) {
        self.take(held, used);
        if used == 1 {
            self.rhythm.called(now.saturating_sub(held.inbound.started));
        }
        self.last_parent = Some(held.inbound.id);
        self.hits += 1;
    }

    /// Whether a request could have made a call of the class, of which that is known.
    pub(super) fn explained(&mut self, is: bool) {
        self.explained.count(is);
    }

    /// The call carries the name of its request: background work does not.
    pub(super) fn witnessed(&mut self) {
        for log in &mut self.process_log {
            *log = (*log + WITNESS).min(LOG_BOUND);
        }
    }

    /// The request made such a call, but for the fault.
    pub(super) fn take(&mut self, held: &Held, used: u32) {
        let id = held.inbound.id;
        self.process.assigned(id, used);
        if let Some(scope) = self.threads.peek_mut(&held.inbound.execution) {
            scope.assigned(id, used);
        }
        if let Some(follow) = self.follow(held) {
            follow.called(id, held.milestone);
        }
    }

    /// Until then a request that has ended may still be at work, on this thread or for the process.
    pub(super) fn unclear(&mut self, now: BootNs, until: BootNs, execution: Execution) {
        if self.want == Kind::Valid {
            self.settle(now);
            self.process.unclear(now, until);
            if let Some(scope) = self.threads.peek_mut(&execution) {
                scope.unclear(now, until);
            }
        }
    }

    /// Whether enough calls were seen to tell background work by its delays.
    pub(super) fn is_learnt(&self) -> bool {
        self.follows.iter().any(|(_, follow)| follow.is_learnt())
    }

    /// How much likelier it is that requests of this route make its calls than that they are background work; there need
    /// not be much that speaks for either.
    pub(super) fn ratio(&self, route: u64) -> f64 {
        let follow = self.follows.peek(&route).map_or(0.0, Follow::ratio);
        follow.max(self.mixture(Some(route)))
    }

    fn mixture(&self, route: Option<u64>) -> f64 {
        let mean = |logs: &[f64; LANES]| logs.iter().zip(WEIGHT).map(|(log, weight)| weight * log.exp()).sum::<f64>();
        // As many routes, so many chances to find one that fits.
        let follow = route.and_then(|route| self.follows.peek(&route)).map_or(0.0, Follow::ratio);
        let follow = follow / self.follows.len().max(1) as f64;
        // Of threads that tell nothing there is nothing to average.
        let thread = if self.threads.is_empty() { 0.0 } else { THREAD_WEIGHT };
        let process = 1.0 - ROUTE_WEIGHT - thread;
        process * mean(&self.process_log) + thread * mean(&self.thread_log) + ROUTE_WEIGHT * follow
    }

    /// What speaks for its calls being made for requests of one route; `None`: of several, nobody knows which.
    pub(super) fn evidence(&self, route: Option<u64>) -> Evidence {
        let ratio = self.mixture(route);
        Evidence {
            log: ratio.max(f64::MIN_POSITIVE).ln(),
            hits: self.hits,
            explained: self.explained,
            is_clockwork: self.rhythm.is_clockwork(),
            ended: route.map(|route| self.rhythm.ended(route)).unwrap_or_default(),
        }
    }

    /// What it says goes on without it, for each route and for none; from now on it says nothing that it said already.
    pub(super) fn hand_over(&mut self) -> Vec<(Option<u64>, Evidence)> {
        let routes = std::iter::once(None).chain(self.follows.iter().map(|(route, _)| Some(*route)));
        let said = routes.map(|route| (route, self.evidence(route))).collect();
        for log in self.process_log.iter_mut().chain(&mut self.thread_log).chain([&mut self.log]) {
            *log = 0.0;
        }
        for (_, follow) in self.follows.iter_mut() {
            follow.hand_over();
        }
        self.hits = 0;
        self.explained = Explained::default();
        self.rhythm.hand_over();
        said
    }

    /// Records are missing, or something was evicted.
    pub(super) fn taint(&mut self, now: BootNs) {
        self.process.taint(now);
        for (_, scope) in self.threads.iter_mut() {
            scope.taint(now);
        }
        let penalty = |log: f64| (log.min(0.0) - LOSS_PENALTY).max(log.min(LOSS_FLOOR));
        for log in self.process_log.iter_mut().chain(&mut self.thread_log).chain([&mut self.log]) {
            *log = penalty(*log);
        }
        for (_, follow) in self.follows.iter_mut() {
            follow.settle(now, 0, true);
            follow.taint(penalty);
        }
        self.hits = 0;
        self.last_parent = None;
    }
}

/// Adds the history of one more thread.
fn fold((fresh, stale, cycles): &mut (u64, u64, u64), clock: &Clock) {
    *fresh = fresh.saturating_add(clock.fresh);
    *stale = stale.saturating_add(clock.stale);
    *cycles += clock.cycles;
}
