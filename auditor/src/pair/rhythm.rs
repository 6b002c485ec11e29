//! Timers tick evenly. Calls that do are not held against a service unless they follow the requests closely.
//!
//! The test in [`super::class`] supposes that background calls fall anywhere in time. Those of a timer do not: right
//! after one call there is never another, and in lockstep with evenly spaced requests a timer meets an open request
//! always or never. What tells a timer from the requests' own calls: it serves only some of the requests, or it meets
//! them at any point of their life. A request makes its call at about the same one, and if it does not, then its calls
//! are not evenly spaced either.

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
/// Share of the requests of the routes in question that must have made a call all the same.
const COVERED: f64 = 0.5;
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
    /// By route: requests opened, requests with a call.
    routes: BTreeMap<u64, (u64, u64)>,
}

impl Rhythm {
    /// A request of this route was opened.
    pub(super) fn opened(&mut self, route: u64) {
        if let Some((opened, _)) = self.routes.get_mut(&route) {
            *opened += 1;
        }
    }

    /// A request of this route made its first call of the class, so long after it was opened.
    pub(super) fn called(&mut self, route: u64, offset: BootNs) {
        push(&mut self.offsets, offset as f64);
        if self.routes.len() < ROUTES || self.routes.contains_key(&route) {
            // The request that brings a route in was opened before.
            self.routes.entry(route).or_insert((1, 0)).1 += 1;
        }
    }

    /// A call of the class was made.
    pub(super) fn beat(&mut self, now: BootNs) {
        self.spacing.beat(now);
    }

    /// Whether the calls look like those of a timer.
    pub(super) fn is_clockwork(&self) -> bool {
        if !self.spacing.is_even() {
            return false;
        }
        let (opened, called) = self.routes.values().fold((0, 0), |sum, r| (sum.0 + r.0, sum.1 + r.1));
        (called as f64) < COVERED * opened as f64 || deviation(&self.offsets) > CLOSE * mean(&self.spacing.intervals)
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
    fn even_and_rare_is_clockwork() {
        let mut rhythm = Rhythm::default();
        for beat in 0..10 {
            rhythm.called(1, 10);
            for _ in 0..10 {
                rhythm.opened(1);
            }
            rhythm.beat(beat * 1000);
            rhythm.beat(beat * 1000 + 1);
        }
        assert!(rhythm.is_clockwork());
        for beat in 0..20 {
            rhythm.beat(10_000 + beat * beat * 1000);
        }
        assert!(!rhythm.is_clockwork());
    }

    #[test]
    fn even_calls_at_any_point_of_a_request_are_clockwork() {
        let mut rhythm = Rhythm::default();
        for beat in 0..10 {
            rhythm.opened(1);
            rhythm.called(1, beat * 90);
            rhythm.beat(beat * 1000);
        }
        assert!(rhythm.is_clockwork());
    }

    #[test]
    fn even_calls_of_every_request_are_not() {
        let mut rhythm = Rhythm::default();
        for beat in 0..10 {
            rhythm.opened(1);
            rhythm.called(1, 10);
            rhythm.beat(beat * 1000);
        }
        assert!(!rhythm.is_clockwork());
    }
}
