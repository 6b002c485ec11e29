//! What speaks for a class of calls being made for requests, and what that comes to.

use super::rhythm::Ended;

/// Of background work, for all that is known before any call was seen.
const PRIOR_ODDS: f64 = 100.0;
/// Bounds of ln E.
pub(super) const LOG_BOUND: f64 = 50.0;
/// Fewest calls that make an accusation.
const MIN_HITS: u64 = 5;

/// How a class stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// That its calls come from requests, 0 to 1.
    pub confidence: f64,
    /// Enough calls, not just a timer in step with the requests.
    pub solid: bool,
}

/// What speaks for a class. That of several processes of one service adds up: each is a test of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// Of the likelihood ratio.
    pub(super) log: f64,
    pub(super) hits: u64,
    pub(super) is_clockwork: bool,
    /// Requests of the route.
    pub(super) ended: Ended,
}

impl Evidence {
    pub(super) fn add(&mut self, other: Self) {
        self.log += other.log;
        self.hits += other.hits;
        self.is_clockwork |= other.is_clockwork;
        self.ended.add(other.ended);
    }

    /// The same, for as long as the service runs. Of what looked like a timer when it was last seen only that stays which
    /// speaks for the service.
    pub(super) fn keep(&mut self, other: Self) {
        let timer = Self { log: other.log.min(0.0), hits: 0, is_clockwork: false, ..other };
        self.add(if other.is_clockwork { timer } else { other });
        self.log = self.log.clamp(-LOG_BOUND, LOG_BOUND);
        self.ended.fade();
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            confidence: 1.0 / (1.0 + PRIOR_ODDS * (-self.log).exp()),
            solid: self.hits >= MIN_HITS && !self.is_clockwork && self.ended.are_covered(),
        }
    }
}
