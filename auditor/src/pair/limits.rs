//! How much the pairing holds, and what it forgot for that.

/// Limits of the pairing's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processes that receive requests.
    pub processes: usize,
    /// Requests, open or answered less than a minute ago; of a process that calls nobody fewer.
    pub requests: usize,
    /// …of them answered: at a high rate the latest.
    pub answered: usize,
    /// Bytes of their audited fields.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { processes: 4096, requests: 65_536, answered: 16_384, bytes: 32 << 20 }
    }
}

/// What was evicted, and what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processes forgotten because the table was full.
    pub processes_evicted: u64,
    /// Requests forgotten for the same reason.
    pub requests_evicted: u64,
    /// Threads.
    pub threads_evicted: u64,
    /// Classes of calls.
    pub classes_evicted: u64,
    /// Requests without a response for so long that they are no candidates any more.
    pub requests_expired: u64,
    /// Requests forgotten earlier than a minute after their response, because so many had been answered since.
    pub requests_superseded: u64,
    /// How often a process was left alone because it calls nobody.
    pub rested: u64,
}
