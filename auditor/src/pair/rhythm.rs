//! Timers tick evenly. Calls that do are not held against a service unless nearly every request makes one.
//!
//! The test in [`super::class`] supposes that background calls fall anywhere in time. A timer that runs in lockstep
//! with evenly spaced requests does not: it meets an open request always or never. Such calls look no different from
//! calls the requests make, except that a timer serves only some of the requests.

use std::collections::{BTreeMap, VecDeque};

use crate::record::BootNs;

const WINDOW: usize = 8;
const ENOUGH: usize = 4;
/// Standard deviation over mean of the intervals below which they count as even.
const EVEN: f64 = 0.05;
/// Share of the requests of the routes in question that must have made a call all the same.
const COVERED: f64 = 0.5;
const ROUTES: usize = 32;

/// The spacing of a class's calls, and how many requests of their routes made one.
#[derive(Clone, Debug, Default)]
pub(super) struct Rhythm {
    last: Option<BootNs>,
    intervals: VecDeque<f64>,
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

    /// A request of this route made its first call of the class.
    pub(super) fn called(&mut self, route: u64) {
        if self.routes.len() < ROUTES || self.routes.contains_key(&route) {
            // The request that brings a route in was opened before.
            self.routes.entry(route).or_insert((1, 0)).1 += 1;
        }
    }

    /// A call of the class was made.
    pub(super) fn beat(&mut self, now: BootNs) {
        let Some(last) = self.last else {
            self.last = Some(now);
            return;
        };
        let interval = now.saturating_sub(last) as f64;
        // Several calls at one tick of a timer are one beat.
        if self.intervals.len() >= ENOUGH / 2 && interval < self.mean() / 4.0 {
            return;
        }
        self.last = Some(now);
        if self.intervals.len() == WINDOW {
            self.intervals.pop_front();
        }
        self.intervals.push_back(interval);
    }

    /// Whether the calls look like those of a timer.
    pub(super) fn is_clockwork(&self) -> bool {
        if self.intervals.len() < ENOUGH {
            return false;
        }
        let mean = self.mean();
        let variance = self.intervals.iter().map(|i| (i - mean).powi(2)).sum::<f64>() / self.intervals.len() as f64;
        if variance.sqrt() > EVEN * mean {
            return false;
        }
        let (opened, called) = self.routes.values().fold((0, 0), |sum, r| (sum.0 + r.0, sum.1 + r.1));
        (called as f64) < COVERED * opened as f64
    }

    fn mean(&self) -> f64 {
        self.intervals.iter().sum::<f64>() / self.intervals.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_rare_is_clockwork() {
        let mut rhythm = Rhythm::default();
        for beat in 0..10 {
            rhythm.called(1);
            for _ in 0..10 {
                rhythm.opened(1);
            }
            rhythm.beat(beat * 1000);
            rhythm.beat(beat * 1000 + 1);
        }
        assert!(rhythm.is_clockwork());
        for beat in [10_000, 10_700, 12_000, 12_100, 13_500, 14_000, 15_900, 16_000, 17_000] {
            rhythm.beat(beat);
        }
        assert!(!rhythm.is_clockwork());
    }

    #[test]
    fn even_calls_of_every_request_are_not() {
        let mut rhythm = Rhythm::default();
        for beat in 0..10 {
            rhythm.opened(1);
            rhythm.called(1);
            rhythm.beat(beat * 1000);
        }
        assert!(!rhythm.is_clockwork());
    }
}
