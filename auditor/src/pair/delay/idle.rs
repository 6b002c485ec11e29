//! Calls at moments without any request: nothing but background can explain them, and there is as much of it while
//! requests are open.

use std::collections::BTreeMap;

use crate::record::BootNs;

/// Calls from which on a rate is believed.
const ENOUGH: f64 = 3.0;

/// Time and calls with open requests, and long after the last one.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle {
    /// Seconds: busy, idle.
    busy: f64,
    idle: f64,
    /// Calls by kind: busy, idle.
    calls: BTreeMap<u16, (f64, f64)>,
    /// From when on the last request does not go on in the background: it has rested for as long as it took.
    quiet: BootNs,
}

impl Idle {
    /// Time passed while requests were open, or not.
    pub(super) fn passed(&mut self, from: BootNs, to: BootNs, busy: bool) {
        let seconds = |from: BootNs| to.saturating_sub(from) as f64 / 1e9;
        if busy {
            self.busy += seconds(from);
        } else {
            self.idle += seconds(from.max(self.quiet));
        }
    }

    /// A request ended.
    pub(super) fn ended(&mut self, start: BootNs, end: BootNs) {
        self.quiet = self.quiet.max(end.saturating_add(end.saturating_sub(start)));
    }

    /// A call was sent.
    pub(super) fn sent(&mut self, now: BootNs, kind: u16, busy: bool) {
        let (with, without) = self.calls.entry(kind).or_default();
        if busy {
            *with += 1.0;
        } else if now >= self.quiet {
            *without += 1.0;
        }
    }

    /// Background calls of a kind per second, and their share among those sent while requests were open.
    pub(super) fn background(&self, kind: u16) -> (f64, f64) {
        let (with, without) = self.calls.get(&kind).copied().unwrap_or_default();
        if without < ENOUGH || self.idle <= 0.0 {
            return (0.0, 0.0);
        }
        let rate = without / self.idle;
        // Two standard deviations more than were counted: what is left must be sure to be there.
        let most = rate * (1.0 + 2.0 / without.sqrt());
        (rate, (most * self.busy / with.max(1.0)).min(1.0))
    }
}
