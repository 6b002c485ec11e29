//! Calls counted by what became of their context, and by what became of themselves.

use std::collections::BTreeMap;

use crate::audit::Outcome;
use crate::pair::Suspicion;

/// Calls by outcome; and how many of them broke, whatever became of their context.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    calls: u64,
    failed: u64,
    server_errors: u64,
    outcomes: BTreeMap<Outcome, u64>,
    suspected: BTreeMap<Suspicion, u64>,
}

impl Counts {
    pub(super) fn add(&mut self, outcome: Outcome, suspicion: Option<Suspicion>) {
        self.calls += 1;
        *self.outcomes.entry(outcome).or_default() += 1;
        if let Some(suspicion) = suspicion {
            *self.suspected.entry(suspicion).or_default() += 1;
        }
    }

    /// A call got no answer: its connection closed.
    pub(super) fn failed(&mut self) {
        self.failed += 1;
    }

    /// A call got an answer with this status.
    pub(super) fn answered(&mut self, status: u16) {
        // What is above 599 counts as a server error too: RFC 9110, section 15.
        self.server_errors += u64::from(status >= 500);
    }

    /// So many suspected calls are certain now; fewer if the others were before the interval.
    pub(super) fn confirm(&mut self, suspicion: Suspicion, count: u64) {
        let suspected = self.suspected.entry(suspicion).or_default();
        let count = count.min(*suspected);
        *suspected -= count;
        let unknown = self.outcomes.entry(Outcome::Unknown).or_default();
        *unknown = unknown.saturating_sub(count);
        *self.outcomes.entry(Outcome::of(suspicion)).or_default() += count;
    }

    pub(super) fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// As the output shows them.
    pub fn info(&self) -> BTreeMap<&'static str, u64> {
        let outcomes = Outcome::ALL.into_iter().map(|outcome| (outcome.as_str(), self.of(outcome)));
        let others = [
            ("calls", self.calls),
            ("failed", self.failed),
            ("server_errors", self.server_errors),
            ("suspected", self.suspected.values().sum::<u64>()),
        ];
        others.into_iter().chain(outcomes).collect()
    }

    /// All calls.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Calls that carried the context on.
    pub(super) fn kept(&self) -> u64 {
        self.of(Outcome::Continued) + self.of(Outcome::PassedThrough) + self.of(Outcome::Translated)
    }

    /// Calls that carried the context on, of those whose request had one.
    pub fn coverage(&self) -> Option<f64> {
        let kept = self.kept();
        let all = kept + self.of(Outcome::Dropped) + self.of(Outcome::Restarted);
        (all > 0).then(|| round4(kept as f64 / all as f64))
    }
}

/// Four digits are more than the evidence has.
pub(crate) fn round4(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
