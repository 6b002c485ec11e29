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
//!   the thread scope (calls on threads that receive requests) have theirs. The average of likelihood ratios is one.
//! - On a thread, q is the larger of the thread's own fraction and that of all threads of the class together: a
//!   runtime may run its timers on the busiest of its threads. A thread that just appeared brings its own history.
//! - Real timers are no Poisson process: never is there a call right after a call. [`super::rhythm`] says how long, and
//!   that time counts for neither side; and it holds back calls that are even but do not follow the requests.
//! - Most requests of a route must have made such a call, or it is not the requests of that route that make it: a flush
//!   after every so many requests, a cache that expires, the calls that another route makes.
//! - A request without context that has ended may work on unseen, in step with the next one of its session. For a while
//!   neither calls nor time count.
//! - After records were lost the evidence so far is forgotten, except where it speaks for the service.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::clock::{Clock, smoothed};
use super::rhythm::Rhythm;
use super::scope::{Counts, Kind, LANES, Scope};
use crate::exchange::ExchangeId;
use crate::record::BootNs;
use crate::report::address::Destination;

/// A lane's share in the average; they sum to 1.
const WEIGHT: [f64; LANES] = [0.5, 0.125, 0.125, 0.25];
const HIT_RATE: f64 = 0.99;
const FRACTION: (f64, f64) = (0.2, 0.99);
const PRIOR_ODDS: f64 = 100.0;
/// Bounds of ln E.
const LOG_BOUND: f64 = 50.0;
/// What a loss costs a class, in ln E: more than the records that are missing could have said for the service.
const LOSS_PENALTY: f64 = 7.0;
/// Losses cost no more than this together.
const LOSS_FLOOR: f64 = -20.0;
/// Fewest calls that make an accusation.
const MIN_HITS: u64 = 5;
const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// What a class of calls is suspected of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suspicion {
    /// Valid in, none out.
    Dropped,
    /// Valid in, another trace out.
    Restarted,
    /// None in, none out.
    NotStarted,
}

impl Suspicion {
    pub(super) fn wants(self) -> Kind {
        match self {
            Self::Dropped | Self::Restarted => Kind::Valid,
            Self::NotStarted => Kind::Absent,
        }
    }
}

/// Which calls are judged together, within a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClassKey {
    pub(super) suspicion: Suspicion,
    pub(super) destination: Destination,
    pub(super) method: Box<str>,
    pub(super) route: Box<str>,
}

/// How a class stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// That its calls come from requests, 0 to 1.
    pub confidence: f64,
    /// Enough calls, not just a timer in step with the requests.
    pub solid: bool,
}

/// The evidence on one class.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) seq: u64,
    want: Kind,
    pub(super) process: Scope,
    process_log: [f64; LANES],
    pub(super) threads: LruCache<u32, Scope>,
    /// (fresh, stale, cycles) of threads that are no longer in `threads`.
    folded: [(u64, u64, u64); LANES],
    thread_log: [f64; LANES],
    hits: u64,
    pub(super) last_parent: Option<ExchangeId>,
    pub(super) rhythm: Rhythm,
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
            threads: LruCache::new(THREADS),
            folded: [(0, 0, 0); LANES],
            thread_log: [log; LANES],
            hits: 0,
            last_parent: None,
            rhythm: Rhythm::default(),
        }
    }

    /// Lets a thread's requests count from now on; `history` is the thread's own clock.
    pub(super) fn join(
        &mut self,
        now: BootNs,
        tid: u32,
        counts: Counts,
        unused: BTreeSet<ExchangeId>,
        history: &Clock,
    ) {
        if self.threads.contains(&tid) {
            return;
        }
        let scope = Scope::new(now, self.want, counts, unused, history);
        if let Some((_, mut old)) = self.threads.push(tid, scope) {
            old.settle(now);
            self.folded.iter_mut().zip(&old.lanes).for_each(|(sum, lane)| fold(sum, &lane.clock));
        }
    }

    /// A call of the class is made. The `first` is no evidence; while `tainted` only what speaks for the service is.
    pub(super) fn observe(&mut self, now: BootNs, tid: Option<u32>, first: bool, tainted: bool) {
        self.rhythm.beat(now);
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
        let Some(tid) = tid else { return };
        let mut pool = self.folded;
        for (_, scope) in self.threads.iter_mut() {
            scope.settle(now);
            pool.iter_mut().zip(&scope.lanes).for_each(|(sum, lane)| fold(sum, &lane.clock));
        }
        let Some(scope) = self.threads.get_mut(&tid) else { return };
        let found = scope.look(now);
        for (((log, found), lane), pool) in self.thread_log.iter_mut().zip(found).zip(&scope.lanes).zip(pool) {
            weigh(log, found, lane.clock.fraction().max(smoothed(pool.0, pool.1, pool.2)));
        }
    }

    /// The call is taken to come from `id`, its `used`-th of the class.
    pub(super) fn assign(&mut self, id: ExchangeId, tid: u32, used: u32, offset: BootNs) {
        self.process.assigned(id, used);
        if let Some(scope) = self.threads.peek_mut(&tid) {
            scope.assigned(id, used);
        }
        if used == 1 {
            self.rhythm.called(offset);
        }
        self.last_parent = Some(id);
    }

    /// A call of the class had a possible parent.
    pub(super) fn hit(&mut self) {
        self.hits += 1;
    }

    /// Whether a request of this kind could have made its calls.
    pub(super) fn wants(&self, kind: Kind) -> bool {
        self.want == kind
    }

    /// Until then a request that has ended may still be at work, on this thread or for the process.
    pub(super) fn unclear(&mut self, now: BootNs, until: BootNs, tid: u32) {
        if self.want == Kind::Valid {
            self.process.unclear(now, until);
            if let Some(scope) = self.threads.peek_mut(&tid) {
                scope.unclear(now, until);
            }
        }
    }

    /// How the class stands with the calls for requests of one route; `None`: of several, nobody knows which.
    pub(super) fn standing(&self, route: Option<u64>) -> Standing {
        let mean = |logs: &[f64; LANES]| logs.iter().zip(WEIGHT).map(|(log, weight)| weight * log.exp()).sum::<f64>();
        let ratio = (mean(&self.process_log) + mean(&self.thread_log)) / 2.0;
        Standing {
            confidence: ratio / (ratio + PRIOR_ODDS),
            solid: self.hits >= MIN_HITS
                && !self.rhythm.is_clockwork()
                && route.is_some_and(|route| self.rhythm.is_covered(route)),
        }
    }

    /// Records are missing, or something was evicted.
    pub(super) fn taint(&mut self, now: BootNs) {
        self.process.taint(now);
        for (_, scope) in self.threads.iter_mut() {
            scope.taint(now);
        }
        for log in self.process_log.iter_mut().chain(&mut self.thread_log) {
            *log = (log.min(0.0) - LOSS_PENALTY).max(log.min(LOSS_FLOOR));
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
