//! What speaks for a class of calls being made for requests, and what that comes to.

use super::rhythm::Ended;

/// Of background work, for all that is known before any call was seen.
const PRIOR_ODDS: f64 = 100.0;
/// Bounds of ln E.
pub(super) const LOG_BOUND: f64 = 50.0;
/// Fewest calls that make an accusation.
const MIN_HITS: u64 = 5;
/// How many of the latest calls may be such that no request explains them: these, and this share; and how many the latest
/// are, about.
const ODDITIES: (f64, f64) = (1.0, 0.1);
const LATEST: u64 = 64;

/// How a class stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// That its calls come from requests, 0 to 1.
    pub confidence: f64,
    /// Enough calls, not just a timer in step with the requests.
    pub solid: bool,
}

/// How many of the latest calls of a class a request could have made, and how many none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Explained {
    by_request: u64,
    by_none: u64,
}

impl Explained {
    /// One more. The first calls count less and less: whose they are had to be learnt.
    pub(super) fn count(&mut self, by_request: bool) {
        *if by_request { &mut self.by_request } else { &mut self.by_none } += 1;
        self.fade();
    }

    fn fade(&mut self) {
        if self.by_request + self.by_none >= LATEST {
            self.by_request /= 2;
            self.by_none /= 2;
        }
    }

    fn add(&mut self, other: Self) {
        self.by_request += other.by_request;
        self.by_none += other.by_none;
    }

    fn are_most(self) -> bool {
        self.by_none as f64 <= ODDITIES.0 + ODDITIES.1 * (self.by_request + self.by_none) as f64
    }
}

/// What speaks for a class. That of several processes of one service adds up: each is a test of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// Of the likelihood ratio.
    pub(super) log: f64,
    pub(super) hits: u64,
    pub(super) explained: Explained,
    pub(super) is_clockwork: bool,
    /// Requests of the route.
    pub(super) ended: Ended,
}

impl Evidence {
    pub(super) fn add(&mut self, other: Self) {
        self.log += other.log;
        self.hits += other.hits;
        self.explained.add(other.explained);
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
        self.explained.fade();
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            confidence: 1.0 / (1.0 + PRIOR_ODDS * (-self.log).exp()),
            solid: self.hits >= MIN_HITS && self.explained.are_most() && !self.is_clockwork && self.ended.are_covered(),
        }
    }
}
