//! How much of the time a call made at random would have found a request to blame.

use crate::record::BootNs;

/// A scope without any activity is taken to exist this much longer. It bounds the weight of quiet nights, and of
/// threads that have ended, which nobody tells us.
const LINGER: BootNs = 1_000_000_000;
/// Weight of the newest interval between two calls in the recent fraction.
const RECENT_WEIGHT: f64 = 0.2;

/// What a call would find in a scope right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A request that could have caused it.
    Fresh,
    /// Requests, but each has had its share of such calls.
    Used,
    /// No request.
    Idle,
    /// A request of which it cannot be said whether it carried context: neither for nor against.
    Neutral,
}

/// Integrates the states of one scope over time.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    at: BootNs,
    alive_until: BootNs,
    /// Time in [`State::Fresh`].
    pub(super) fresh: u64,
    /// Time in [`State::Used`] and [`State::Idle`].
    pub(super) stale: u64,
    /// Requests that were opened: the number of independent looks at the scope.
    pub(super) cycles: u64,
    mark: (u64, u64),
    recent: Option<f64>,
}

impl Clock {
    pub(super) fn new(now: BootNs) -> Self {
        Self { at: now, alive_until: now + LINGER, fresh: 0, stale: 0, cycles: 0, mark: (0, 0), recent: None }
    }

    /// Accounts for the time up to `now`, in which the scope was in `state`.
    pub(super) fn advance(&mut self, now: BootNs, state: State) {
        let from = self.at;
        if now <= from {
            return;
        }
        self.at = now;
        match state {
            State::Fresh => self.fresh += now - from,
            State::Used => self.stale += now - from,
            State::Idle => self.stale += now.min(self.alive_until).saturating_sub(from),
            State::Neutral => {}
        }
    }

    /// Something happened in the scope.
    pub(super) fn touch(&mut self, now: BootNs) {
        self.alive_until = self.alive_until.max(now + LINGER);
    }

    /// The same history for a class that begins to look at the scope now.
    pub(super) fn joined(&self) -> Self {
        Self { mark: (self.fresh, self.stale), recent: None, ..self.clone() }
    }

    /// A call was made: closes the interval since the previous one.
    pub(super) fn mark(&mut self) {
        let (fresh, stale) = (self.fresh - self.mark.0, self.stale - self.mark.1);
        self.mark = (self.fresh, self.stale);
        if fresh + stale > 0 {
            let now = share(fresh, stale);
            self.recent = Some(self.recent.map_or(now, |recent| recent + RECENT_WEIGHT * (now - recent)));
        }
    }

    /// The fraction of time in which a call would have found a fresh request: over everything, or over the recent
    /// intervals between calls if that is more. Overestimating it errs on the side of the service; taking the larger
    /// keeps a long quiet time from making a busy one look suspicious.
    pub(super) fn fraction(&self) -> f64 {
        let total = smoothed(self.fresh, self.stale, self.cycles);
        self.recent.map_or(total, |recent| total.max(recent))
    }
}

/// Laplace's estimate: `cycles` looks at a scope that was fresh for this share of the time.
pub(super) fn smoothed(fresh: u64, stale: u64, cycles: u64) -> f64 {
    let looks = cycles as f64;
    (share(fresh, stale) * looks + 1.0) / (looks + 2.0)
}

fn share(fresh: u64, stale: u64) -> f64 {
    let total = fresh.saturating_add(stale);
    if total == 0 { 1.0 } else { fresh as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_integrated_by_state() {
        let mut clock = Clock::new(0);
        clock.advance(10, State::Idle);
        clock.advance(40, State::Fresh);
        clock.advance(90, State::Neutral);
        clock.advance(100, State::Used);
        clock.advance(100, State::Fresh);
        clock.advance(50, State::Fresh);
        assert_eq!((clock.fresh, clock.stale), (30, 20));
    }

    #[test]
    fn silence_counts_no_longer_than_the_linger() {
        let mut clock = Clock::new(0);
        clock.advance(5 * LINGER, State::Idle);
        assert_eq!(clock.stale, LINGER);
        clock.touch(5 * LINGER);
        clock.advance(20 * LINGER, State::Idle);
        assert_eq!(clock.stale, 2 * LINGER);
    }
}
