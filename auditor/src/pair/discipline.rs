//! How a process uses its threads: whether the thread of a call tells whose it is.

/// Requests that a thread is taken to have kept to before any was seen.
const TRUST: f64 = 20.0;
/// Requests on threads of their own beside others that prove it.
const PROOF: u64 = 20;
/// As much as is remembered of it.
const REMEMBERED_PROOF: u64 = 5 * PROOF;

/// Whether a process keeps each request to one thread. Only then does the thread of a call tell whose it is: an event
/// loop has many requests open on one thread, and a runtime that schedules tasks on many moves them about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Discipline {
    kept: u64,
    broken: u64,
    /// Requests that came to a thread of their own while others were open. An event loop has none such.
    apart: u64,
}

impl Discipline {
    /// A request was kept to its thread, or was not.
    pub(super) fn saw(&mut self, kept: bool) {
        *if kept { &mut self.kept } else { &mut self.broken } += 1;
    }

    /// A request came to a thread of its own while others were open.
    pub(super) fn saw_apart(&mut self) {
        self.apart += 1;
    }

    /// That the request of a thread is the one that it works for.
    pub(super) fn confidence(self) -> f64 {
        let (kept, broken) = (self.kept as f64, self.broken as f64);
        (kept + TRUST) / (kept + broken + TRUST + 0.1)
    }

    /// One slip in twenty is forgiven: pipelining, a response that another thread finished.
    pub(super) fn holds(self) -> bool {
        self.broken.saturating_mul(20) <= self.kept
    }

    /// What is remembered of it from turn to turn: little enough to be outweighed soon.
    pub(super) fn remembered(self) -> Self {
        let shift = (self.kept.max(self.apart) / REMEMBERED_PROOF).checked_ilog2().map_or(0, |halves| halves + 1);
        Self { kept: self.kept >> shift, broken: self.broken >> shift, apart: self.apart >> shift }
    }

    /// Whether that is known of what was seen, whatever else there is: a request that nobody saw has another thread.
    pub(super) fn is_proven(self) -> bool {
        self.holds() && self.apart >= PROOF && self.broken.saturating_mul(20) <= self.apart
    }
}
