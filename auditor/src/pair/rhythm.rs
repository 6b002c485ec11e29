//! Timers tick evenly. Calls that do are not held against a service unless they follow the requests closely.
//!
//! The test in [`super::class`] supposes that background calls fall anywhere in time. Those of a timer do not: right
//! after one call there is never another, and in lockstep with evenly spaced requests a timer meets an open request
//! always or never. What tells a timer from the requests' own calls: it meets them at any point of their life. A request
//! makes its call at about the same one, and if it does not, then its calls are not evenly spaced either.
//!
//! And, evenly spaced or not, what only some of the requests of a route do is not held against it.

use std::collections::{BTreeMap, VecDeque};

use crate::record::BootNs;

const WINDOW: usize = 16;
const ENOUGH: usize = 4;
/// Standard deviation over mean of the intervals below which they count as even; of a Poisson process it is 1.
const EVEN: f64 = 0.35;
/// Standard deviation of the time from a request to its call, over the mean interval, up to which calls follow.
const CLOSE: f64 = 0.15;
/// Share of the mean interval in which no other call is expected, and how much unevenness takes away from it.
const SILENT: (f64, f64) = (0.5, 0.85);
const SILENT_SLOPE: f64 = 2.5;
/// Share of the requests of a route that must have made a call; and the share that this is tested against, with the
/// likelihood ratio it takes: of a few requests many may have made one by chance.
const COVERED: f64 = 0.7;
const UNCOVERED: f64 = 0.4;
const COVERED_RATIO: f64 = 100.0;
/// Requests of a route that are remembered, about.
const REMEMBERED: u64 = 48;
const ROUTES: usize = 32;

/// How far calls are apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Spacing {
    last: Option<BootNs>,
    intervals: VecDeque<f64>,
}

impl Spacing {
    /// A call was made. Several at one tick of a timer are one beat.
    pub(super) fn beat(&mut self, now: BootNs) {
        if let Some(last) = self.last {
            let interval = now.saturating_sub(last) as f64;
            if self.intervals.len() >= ENOUGH / 2 && interval < mean(&self.intervals) / 4.0 {
                return;
            }
            push(&mut self.intervals, interval);
        }
        self.last = Some(now);
    }

    /// Until when, after the last beat, no other is to be expected. A timer makes none right after the last, so the
    /// time when the request of the last call has had its share says nothing of what the next one would find; the more
    /// even the beats, the longer.
    pub(super) fn silent_until(&self) -> BootNs {
        let Some(last) = self.last.filter(|_| self.intervals.len() >= ENOUGH / 2) else { return 0 };
        let mean = mean(&self.intervals);
        let share = (1.0 - SILENT_SLOPE * deviation(&self.intervals) / mean.max(1.0)).clamp(SILENT.0, SILENT.1);
        last.saturating_add((mean * share) as BootNs)
    }

    fn is_even(&self) -> bool {
        self.intervals.len() >= ENOUGH && deviation(&self.intervals) <= EVEN * mean(&self.intervals)
    }
}

/// The spacing of a class's calls, and how many requests of their routes made one.
#[derive(Clone, Debug, Default)]
pub(super) struct Rhythm {
    spacing: Spacing,
    /// From a request to its first call.
    offsets: VecDeque<f64>,
    routes: BTreeMap<u64, Ended>,
}

/// Requests of a route that have ended, and what they called.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    all: u64,
    called: u64,
    kept: u64,
    both: u64,
}

impl Ended {
    /// The first requests count less and less: whose calls they made had to be learnt.
    pub(super) fn fade(&mut self) {
        if self.all < REMEMBERED {
            return;
        }
        for count in [&mut self.all, &mut self.called, &mut self.kept, &mut self.both] {
            *count /= 2;
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.all += other.all;
        self.called += other.called;
        self.kept += other.kept;
        self.both += other.both;
    }

    /// Whether most requests of a route make such a call. One that is not suspect counts for it if it is instead of the
    /// suspect one, not beside it.
    pub(super) fn are_covered(self) -> bool {
        let instead = self.both as f64 <= (1.0 - COVERED) * self.called as f64;
        let covered = if instead { self.called + self.kept - self.both } else { self.called };
        let (covered, all) = (covered as f64, self.all as f64);
        let ratio = covered * (COVERED / UNCOVERED).ln() + (all - covered) * ((1.0 - COVERED) / (1.0 - UNCOVERED)).ln();
        self.called > 0 && covered >= COVERED * all && ratio >= COVERED_RATIO.ln()
    }
}

impl Rhythm {
    /// A request of this route that could make such calls has ended; whether it made one, and one that is not suspect.
    pub(super) fn closed(&mut self, route: u64, (called, kept): (bool, bool)) {
        if self.routes.len() < ROUTES || self.routes.contains_key(&route) {
            let ended = self.routes.entry(route).or_default();
            ended.all += 1;
            ended.called += u64::from(called);
            ended.kept += u64::from(kept);
            ended.both += u64::from(called && kept);
            ended.fade();
        }
    }

    /// A request made its first call of the class, so long after it was opened.
    pub(super) fn called(&mut self, offset: BootNs) {
        push(&mut self.offsets, offset as f64);
    }

    /// Requests of a route that have ended.
    pub(super) fn ended(&self, route: u64) -> Ended {
        self.routes.get(&route).copied().unwrap_or_default()
    }

    /// What is known of its requests is kept elsewhere.
    pub(super) fn hand_over(&mut self) {
        self.routes.clear();
    }

    /// A call of the class was made.
    pub(super) fn beat(&mut self, now: BootNs) {
        self.spacing.beat(now);
    }

    /// Whether the calls look like those of a timer.
    pub(super) fn is_clockwork(&self) -> bool {
        self.spacing.is_even() && deviation(&self.offsets) > CLOSE * mean(&self.spacing.intervals)
    }
}

fn push(window: &mut VecDeque<f64>, value: f64) {
    if window.len() == WINDOW {
        window.pop_front();
    }
    window.push_back(value);
}

fn mean(window: &VecDeque<f64>) -> f64 {
    window.iter().sum::<f64>() / window.len().max(1) as f64
}

fn deviation(window: &VecDeque<f64>) -> f64 {
    let mean = mean(window);
    (window.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / window.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_requests_do_is_not_theirs() {
        let mut rhythm = Rhythm::default();
        for request in 0..10 {
            rhythm.closed(1, (request % 2 == 0, false));
            rhythm.closed(2, (true, false));
            if request < 3 {
                rhythm.closed(3, (true, false));
            }
        }
        assert!(!rhythm.ended(1).are_covered(), "every other");
        assert!(rhythm.ended(2).are_covered(), "all");
        assert!(!rhythm.ended(3).are_covered(), "too few to tell");
        assert!(!rhythm.ended(4).are_covered(), "never seen");
    }

    #[test]
    fn even_calls_at_any_point_of_a_request_are_clockwork() {
        let mut rhythm = Rhythm::default();
        for beat in 0..10 {
            rhythm.called(beat * 90);
            rhythm.beat(beat * 1000);
        }
        assert!(rhythm.is_clockwork());
    }

    #[test]
    fn even_calls_at_one_point_are_not() {
        let mut rhythm = Rhythm::default();
        for beat in 0..10 {
            rhythm.called(10);
            rhythm.beat(beat * 1000);
            rhythm.beat(beat * 1000 + 1);
        }
        assert!(!rhythm.is_clockwork());
    }
}
