//! Do calls of a class follow the requests of one route? The sharper half of the test in [`super::class`].
//!
//! With many requests open at once there is always one that could have made a call, and "some request was open" proves
//! nothing. But a request makes its call a short time after something that set it off: its arrival, the answer to the
//! call before, or its own response when it works on afterwards. So the state of a route is how long ago the latest of
//! these *milestones* was, among the requests that have not had their call yet, in octaves. Under the background
//! hypothesis a call finds each state as often as the route is in it: `p`. If requests of the route make a share `w` of
//! the calls, then these find the states as `h` says, and the likelihood ratio is (1 - w) + w h / p. Both w and h are
//! learnt from the calls before, so nothing is supposed about delays, and the test is valid whatever the states mean.
//!
//! Calls that come right after one that counted do not count: they would find the same coincidence again. What p is then
//! depends on how background calls are spread: those that fall anywhere find each state as often as the route is in it
//! while a call would count; those that are evenly apart find it rather as often as in all. The larger share is taken.
//!
//! Three lanes look at different requests: the latest milestone of any (calls are made at once, and perhaps several); the
//! latest among those that wait for their first call; and the earliest among those (calls wait in a queue).

use std::collections::BTreeSet;

use crate::exchange::ExchangeId;
use crate::record::BootNs;

/// Lags in octaves from this one up; the first state is "no request waits for its call".
const SHORTEST: BootNs = 1 << 16;
const STATES: usize = 20;
/// Requests of a route that are at work; beyond, the oldest are taken to make no calls.
const WORKING: usize = 1024;
/// A route without any activity is taken to be used this much longer.
const LINGER: BootNs = 1_000_000_000;
/// How many calls the expectation weighs that half of the calls are made by requests, after no particular lag.
const STRENGTH: f64 = 2.0;
/// A state is taken to be no rarer than this.
const RAREST: f64 = 0.003;
/// A route is never so many times as likely as chance. Those that are this likely are all as likely: who comes just
/// before a call, in step with the one that makes it, would else always win.
const LIKELIEST: f64 = 30.0;
/// One call is no stronger evidence than this: five coincidences are no proof.
const MOST: f64 = 5.0;
/// What every call costs: p is never exact, and over many calls the smallest error would add up to certainty.
const TAX: f64 = 0.03;
const LOG_BOUND: f64 = 50.0;

#[derive(Clone, Copy, Debug, Default)]
struct State {
    time: u64,
    /// Of it, the time in which a call would be evidence.
    counting: u64,
    /// Calls found here that requests are taken to have made.
    made: f64,
}

#[derive(Clone, Debug)]
struct Lane {
    states: [State; STATES],
    calls: u64,
    log: f64,
}

const LANES: usize = 3;
/// Requests of a route that are compared to tell which one makes a call.
const NEAREST: usize = 8;
/// Calls after which delays tell one request from another.
const LEARNT: u64 = 8;
/// A request that waits for its first call is preferred to one that has had it, unless this much less likely.
const PREFERRED: f64 = 0.3;

/// The likeliest request of a route to make a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) id: ExchangeId,
    /// How much likelier than chance it is that one of its route does.
    pub(super) ratio: f64,
    /// That it is this one, if it is one of its route.
    pub(super) alone: f64,
}

/// The requests of one route, as one class of calls sees them.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    /// (milestone, request) of those at work.
    working: BTreeSet<(BootNs, ExchangeId)>,
    /// Of those without their call.
    waiting: BTreeSet<(BootNs, ExchangeId)>,
    at: BootNs,
    alive_until: BootNs,
    /// Milestones so far: the number of independent looks.
    looks: u64,
    /// A milestone passed since the last call that counted: else the next one would count the same coincidence again.
    armed: bool,
    lanes: [Lane; LANES],
}

impl Follow {
    /// Looks from now on; `log` is where the evidence starts.
    pub(super) fn new(now: BootNs, log: f64) -> Self {
        let lane = Lane { states: [State::default(); STATES], calls: 0, log };
        Self {
            working: BTreeSet::new(),
            waiting: BTreeSet::new(),
            at: now,
            alive_until: now.saturating_add(LINGER),
            looks: 0,
            armed: false,
            lanes: std::array::from_fn(|_| lane.clone()),
        }
    }

    /// Whether a call would be evidence now: not right after another one.
    fn counts(&self) -> bool {
        self.armed || self.working.is_empty()
    }

    /// Accounts for the time up to `now`, of which none before `from` counts, and none at all if `neutral`.
    pub(super) fn settle(&mut self, now: BootNs, from: BootNs, neutral: bool) {
        let begin = self.at.max(from);
        self.at = self.at.max(now);
        if neutral || begin >= now {
            return;
        }
        let (ends, counts) = (self.ends(), self.counts());
        let idle = now.min(self.alive_until).saturating_sub(begin);
        for (lane, end) in self.lanes.iter_mut().zip(ends) {
            let Some((milestone, _)) = end else {
                lane.add(0, idle, counts);
                continue;
            };
            // Through the octaves that the lag went through since then.
            let mut time = begin;
            while time < now {
                let state = state(time.saturating_sub(milestone));
                let until = milestone.saturating_add(end_of(state)).max(time + 1).min(now);
                lane.add(state, until - time, counts);
                time = until;
            }
        }
    }

    /// A request arrived (`before` is `None`), or went on.
    pub(super) fn milestone(&mut self, now: BootNs, id: ExchangeId, before: Option<BootNs>) {
        let known = before.is_none_or(|before| self.working.remove(&(before, id)));
        if !known {
            return;
        }
        let waits = before.is_none_or(|before| self.waiting.remove(&(before, id)));
        self.alive_until = self.alive_until.max(now.saturating_add(LINGER));
        self.looks += 1;
        self.armed = true;
        self.working.insert((now, id));
        if waits {
            self.waiting.insert((now, id));
        }
        for set in [&mut self.working, &mut self.waiting] {
            if set.len() > WORKING {
                set.pop_first();
            }
        }
    }

    /// It has had its call.
    pub(super) fn called(&mut self, id: ExchangeId, milestone: BootNs) {
        self.waiting.remove(&(milestone, id));
    }

    /// It makes no calls any more.
    pub(super) fn left(&mut self, id: ExchangeId, milestone: BootNs) {
        self.working.remove(&(milestone, id));
        self.waiting.remove(&(milestone, id));
    }

    /// How much likelier it is than chance that a request of the route makes a call now, and which.
    pub(super) fn caller(&self) -> Option<Found> {
        let mut seen: [Option<Found>; LANES] = [None; LANES];
        for (((number, lane), end), seen) in self.lanes.iter().enumerate().zip(self.ends()).zip(&mut seen) {
            let Some((milestone, id)) = end else { continue };
            let state = state(self.at.saturating_sub(milestone));
            let ratio = (lane.share() * lane.made(state) / lane.time(state)).min(LIKELIEST);
            let alone = if self.is_learnt() { self.alone(number) } else { 0.0 };
            *seen = Some(Found { id, ratio, alone });
        }
        let best = seen.iter().flatten().map(|found| found.ratio).max_by(f64::total_cmp)?;
        let [any, youngest, oldest] = seen;
        let chosen = [youngest, oldest, any].into_iter().flatten().find(|found| found.ratio >= PREFERRED * best)?;
        Some(Found { ratio: best, ..chosen })
    }

    /// Share of the calls that follow its requests, as the lane has it that finds most.
    pub(super) fn share(&self) -> f64 {
        self.lanes.iter().map(Lane::share).fold(0.0, f64::max)
    }

    /// Whether enough calls were seen.
    pub(super) fn is_learnt(&self) -> bool {
        self.lanes.iter().all(|lane| lane.calls >= LEARNT)
    }

    /// How likely the request that a lane looks at is to make the call, among those of the route.
    fn alone(&self, number: usize) -> f64 {
        let Some(lane) = self.lanes.get(number) else { return 0.0 };
        let density = |(milestone, _): &(BootNs, ExchangeId)| {
            let state = state(self.at.saturating_sub(*milestone));
            lane.made(state) / width(state)
        };
        let nearest: Vec<f64> = match number {
            0 => self.working.iter().rev().take(NEAREST).map(density).collect(),
            1 => self.waiting.iter().rev().take(NEAREST).map(density).collect(),
            _ => self.waiting.iter().take(NEAREST).map(density).collect(),
        };
        nearest.first().map_or(0.0, |first| first / nearest.iter().sum::<f64>().max(f64::MIN_POSITIVE))
    }

    /// A call of the class is made. It is evidence only if it `counts`.
    pub(super) fn look(&mut self, counts: bool) {
        let counts = counts && self.counts();
        self.armed &= !counts;
        let states = self.ends().map(|end| self.state(end));
        for (lane, state) in self.lanes.iter_mut().zip(states) {
            let (share, made, time) = (lane.share(), lane.made(state), lane.time(state));
            if counts {
                // Laplace's estimate: that many looks found it so.
                let looks = self.looks as f64;
                let smoothed = (time.max(lane.counting(state)) * looks + 1.0) / (looks + 2.0);
                let step = (1.0 - share + share * (made / smoothed).min(MOST)).ln() - TAX;
                lane.log = (lane.log + step).clamp(-LOG_BOUND, LOG_BOUND);
            }
            lane.calls = lane.calls.saturating_add(1);
            if let Some(state) = lane.states.get_mut(state) {
                state.made += share * made / ((1.0 - share) * time + share * made).max(f64::MIN_POSITIVE);
            }
        }
    }

    fn state(&self, end: Option<(BootNs, ExchangeId)>) -> usize {
        end.map_or(0, |(milestone, _)| state(self.at.saturating_sub(milestone)))
    }

    /// The request that each lane looks at.
    fn ends(&self) -> [Option<(BootNs, ExchangeId)>; LANES] {
        [self.working.last(), self.waiting.last(), self.waiting.first()].map(|end| end.copied())
    }

    /// The likelihood ratio.
    pub(super) fn ratio(&self) -> f64 {
        self.lanes.iter().map(|lane| lane.log.exp()).sum::<f64>() / self.lanes.len() as f64
    }

    /// The evidence is kept elsewhere.
    pub(super) fn hand_over(&mut self) {
        for lane in &mut self.lanes {
            lane.log = 0.0;
        }
    }

    /// Nothing is known any more of what waits; the evidence is what `penalty` makes of it.
    pub(super) fn taint(&mut self, penalty: impl Fn(f64) -> f64) {
        self.working.clear();
        self.waiting.clear();
        self.armed = false;
        for lane in &mut self.lanes {
            lane.log = penalty(lane.log);
        }
    }
}

impl Lane {
    fn add(&mut self, state: usize, time: BootNs, counts: bool) {
        if let Some(state) = self.states.get_mut(state) {
            state.time = state.time.saturating_add(time);
            state.counting = state.counting.saturating_add(if counts { time } else { 0 });
        }
    }

    /// Share of the calls that requests make.
    fn share(&self) -> f64 {
        let made: f64 = self.states.iter().map(|state| state.made).sum();
        (made + STRENGTH / 2.0) / (self.calls as f64 + STRENGTH)
    }

    /// Share of these that find this state. Where no request is, none can be.
    fn made(&self, state: usize) -> f64 {
        if state == 0 {
            return 0.0;
        }
        let all: f64 = self.states.iter().map(|state| state.made).sum();
        let here = self.states.get(state).map_or(0.0, |state| state.made);
        (here + STRENGTH / (STATES - 1) as f64) / (all + STRENGTH)
    }

    /// Share of the time in this state.
    fn time(&self, state: usize) -> f64 {
        self.share_of(state, |state| state.time)
    }

    /// Share of the time in which a call would be evidence.
    fn counting(&self, state: usize) -> f64 {
        self.share_of(state, |state| state.counting)
    }

    fn share_of(&self, state: usize, time: impl Fn(&State) -> u64) -> f64 {
        let all = self.states.iter().map(&time).fold(0, u64::saturating_add);
        let here = self.states.get(state).map_or(0, time);
        if all == 0 { 1.0 } else { (here as f64 / all as f64).max(RAREST) }
    }
}

/// State of a lag: 1 for the shortest.
fn state(lag: BootNs) -> usize {
    let octave = (lag / SHORTEST).checked_ilog2().map_or(0, |octave| octave as usize + 1);
    (octave + 1).min(STATES - 1)
}

/// The lag at which a state ends.
fn end_of(state: usize) -> BootNs {
    if state >= STATES - 1 { BootNs::MAX } else { SHORTEST << (state - 1) }
}

/// Length of a state, in octaves' shortest.
fn width(state: usize) -> f64 {
    f64::from(1u32 << state.saturating_sub(2).min(30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::HashMap;

    const MS: BootNs = 1_000_000;

    #[test]
    fn states_are_octaves() {
        for lag in [0, 1, SHORTEST - 1, SHORTEST, 3 * SHORTEST, 77 * MS, 12_345 * MS, BootNs::MAX] {
            let state = state(lag);
            assert!(lag < end_of(state) || end_of(state) == BootNs::MAX, "{lag}");
            assert!(state == 1 || lag >= end_of(state - 1), "{lag}");
        }
    }

    /// Requests come every 10 ms and stay; calls come 1 ms after one, or anywhere.
    fn follow(lag: impl Fn(u64) -> BootNs) -> f64 {
        let mut follow = Follow::new(0, 0.0);
        for n in 0..100 {
            let (time, id) = (n * 10 * MS, ExchangeId(n));
            follow.settle(time, 0, false);
            follow.milestone(time, id, None);
            follow.settle(time + lag(n), 0, false);
            follow.look(n > 0);
        }
        follow.ratio()
    }

    #[test]
    fn what_follows_closely_is_certain_and_what_does_not_is_not() {
        assert!(follow(|_| MS) > 1e6);
        assert!(follow(|n| (n * 7919) % 10 * MS) < 10.0);
    }

    /// A job that sleeps, calls and sleeps again, whatever the requests do: these come at random, call, answer, and work
    /// on for a tenth of a second. How sure it ever looks that the job's calls follow them.
    fn beside_a_job(seed: u64, gap: BootNs) -> f64 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut exponential = |mean: BootNs| (-(1.0 - dice.f64()).ln() * mean as f64) as BootNs;
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        enum What {
            Opened(u64),
            Milestone(u64),
            Left(u64),
            Call,
        }
        let (mut happens, mut time) = (Vec::new(), 0);
        for id in 0..2000 {
            time += exponential(gap);
            let answered = time + exponential(8 * MS).clamp(MS, 15 * MS);
            let all = [(0, What::Opened(id)), (answered - time, What::Milestone(id))];
            let all = all.into_iter().chain([(answered - time + 100 * MS, What::Left(id))]);
            happens.extend(all.map(|(after, what)| (time + after, what)));
        }
        let (end, mut time) = (time, 0);
        while time < end {
            time += 6 * MS + exponential(8 * MS).min(24 * MS);
            happens.push((time, What::Call));
        }
        happens.sort_unstable();
        let (mut follow, mut milestones, mut most) = (Follow::new(0, 0.0), HashMap::default(), 0.0_f64);
        for (at, (time, what)) in happens.into_iter().enumerate() {
            follow.settle(time, 0, false);
            match what {
                What::Opened(id) | What::Milestone(id) => {
                    follow.milestone(time, ExchangeId(id), milestones.insert(id, time));
                }
                What::Left(id) => follow.left(ExchangeId(id), milestones[&id]),
                What::Call => {
                    follow.look(at > 0);
                    most = most.max(follow.ratio());
                    // It is taken to be that of the latest that waits for one.
                    if let Some((milestone, id)) = follow.ends()[1] {
                        follow.called(id, milestone);
                    }
                }
            }
        }
        most
    }

    #[test]
    fn a_job_that_follows_nobody_does_not_seem_to() {
        for gap in [20 * MS, 30 * MS, 50 * MS] {
            let most: Vec<f64> = (0..20).map(|seed| beside_a_job(seed, gap)).collect();
            assert!(most.iter().all(|most| *most < 1e3), "{gap}: {most:?}");
        }
    }

    #[test]
    fn nothing_waits_after_a_taint() {
        let mut follow = Follow::new(0, 0.0);
        follow.milestone(5, ExchangeId(1), None);
        follow.taint(|log| log);
        assert_eq!(follow.caller(), None);
        follow.milestone(9, ExchangeId(1), Some(5));
        assert_eq!(follow.caller(), None);
    }
}
