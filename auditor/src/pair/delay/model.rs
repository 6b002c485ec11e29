//! What the requests of a process do: which calls they make (`totals`), and when (`trigger`).

use std::collections::BTreeMap;

use super::totals::Totals;
use super::trigger::{Follow, Step, Triggers};

/// Kinds of calls (destinations) told apart, and routes; what comes later shares the last one.
pub(super) const KINDS: usize = 64;
/// Requests after which the past counts half for the first time, and again whenever their number has doubled: the first
/// were understood worst.
const AGE: u32 = 100;
/// Share of the requests that call after they were answered, before any was seen; of those that are answered before
/// their calls are. And how many requests these expectations weigh.
const LATE: f64 = 0.005;
const EARLY: f64 = 0.005;
const EXPECTED: f64 = 100.0;

/// Least time, in seconds, that a rate is measured over.
const LEAST: f64 = 0.1;

/// What requests of a route do rarely.
#[derive(Clone, Debug, Default)]
struct Rare {
    /// Answered; of them, before their calls.
    ends: f64,
    early: f64,
    /// Calls after the response, by kind; requests that made none (more).
    late: BTreeMap<u16, f64>,
    nothing: f64,
}

/// What the requests of a process do.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) kinds: u16,
    pub(super) totals: Totals,
    follow: Follow,
    rare: BTreeMap<u16, Rare>,
    /// Calls found to have no parent, by kind.
    background: BTreeMap<u16, f64>,
    /// All calls.
    calls: BTreeMap<u16, f64>,
    seconds: f64,
    /// Of these, with open requests.
    busy: f64,
    fresh: u32,
    next_age: u32,
    trained: u32,
}

impl Model {
    pub(super) fn clear(&mut self) {
        self.follow.clear();
        self.rare.clear();
        self.background.clear();
        self.totals = Totals::default();
        (self.trained, self.next_age) = (0, 0);
    }

    pub(super) fn trained(&self) -> u32 {
        self.trained
    }

    /// Log density of the next step, per second.
    pub(super) fn log(&self, route: u16, step: Step, triggers: &Triggers) -> f64 {
        let log = self.follow.log(route, step, triggers);
        match step {
            Step::Late(kind) => {
                let (rare, share) = (self.rare.get(&route), LATE / f64::from(self.kinds.max(1)));
                let seen = rare.and_then(|rare| rare.late.get(&kind)).copied().unwrap_or_default();
                log + ((seen + EXPECTED * share) / (rare.map_or(0.0, Rare::after) + EXPECTED)).ln()
            }
            Step::Call(..) | Step::End(_) => log,
        }
    }

    /// Log probability that a request is answered before its calls are, or not.
    pub(super) fn early(&self, route: u16, early: bool) -> f64 {
        let (seen, ends) = self.rare.get(&route).map_or((0.0, 0.0), |rare| (rare.early, rare.ends));
        let share = (seen + EXPECTED * EARLY) / (ends + EXPECTED);
        if early { share.ln() } else { (-share).ln_1p() }
    }

    /// Log probability that it makes no call (any more) after the response.
    pub(super) fn nothing(&self, route: u16) -> f64 {
        let (seen, after) = self.rare.get(&route).map_or((0.0, 0.0), |rare| (rare.nothing, rare.after()));
        ((seen + EXPECTED * (1.0 - LATE)) / (after + EXPECTED)).ln()
    }

    pub(super) fn add(&mut self, route: u16, step: Step, triggers: &Triggers) {
        self.follow.add(route, step, triggers);
        if let Step::Late(kind) = step {
            *self.rare.entry(route).or_default().late.entry(kind).or_default() += 1.0;
        }
    }

    /// A request was answered, before its calls were or not.
    pub(super) fn add_end(&mut self, route: u16, early: bool) {
        let rare = self.rare.entry(route).or_default();
        rare.ends += 1.0;
        rare.early += f64::from(u8::from(early));
    }

    /// It made no call (any more) after that.
    pub(super) fn add_nothing(&mut self, route: u16) {
        self.rare.entry(route).or_default().nothing += 1.0;
    }

    /// A call was sent, whoever made it.
    pub(super) fn sent(&mut self, kind: u16) {
        *self.calls.entry(kind).or_default() += 1.0;
    }

    /// Log of the calls of a kind per second with open requests: how likely one comes at some moment by chance.
    pub(super) fn chance(&self, kind: u16) -> f64 {
        (self.calls.get(&kind).copied().unwrap_or_default().max(1.0) / self.busy.max(LEAST)).ln()
    }

    /// A call has no parent.
    pub(super) fn add_background(&mut self, kind: u16) {
        *self.background.entry(kind).or_default() += 1.0;
    }

    /// Time passed, while requests were open or not.
    pub(super) fn elapsed(&mut self, seconds: f64, busy: bool) {
        self.seconds += seconds;
        self.busy += if busy { seconds } else { 0.0 };
    }

    /// Calls of a kind per second that were found to have no parent.
    pub(super) fn found(&self, kind: u16) -> f64 {
        (self.background.get(&kind).copied().unwrap_or_default() + 0.25) / self.seconds.max(1.0)
    }

    /// A request is done with.
    pub(super) fn learnt(&mut self) {
        self.fresh += 1;
        self.trained += 1;
    }

    /// Forgets some of the past when it is time to.
    pub(super) fn age(&mut self) {
        if self.trained < self.next_age.max(AGE) {
            return;
        }
        self.next_age = self.trained.saturating_mul(2);
        self.totals.age();
        self.follow.age();
        self.rare.values_mut().for_each(Rare::age);
    }

    pub(super) fn is_stale(&self) -> bool {
        self.fresh > (self.trained / 20).max(8)
    }

    /// Makes what was added count. Times are multiples of `clock` nanoseconds.
    pub(super) fn refresh(&mut self, clock: u64) {
        self.fresh = 0;
        self.totals.refresh();
        self.follow.refresh(clock);
    }
}

impl Rare {
    /// Steps after the response.
    fn after(&self) -> f64 {
        self.nothing + self.late.values().sum::<f64>()
    }

    fn age(&mut self) {
        for count in [&mut self.ends, &mut self.early, &mut self.nothing].into_iter().chain(self.late.values_mut()) {
            *count /= 2.0;
        }
    }
}
