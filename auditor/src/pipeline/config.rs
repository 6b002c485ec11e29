//! What a user may set of the stages behind the exchanges.

use std::time::Duration;

use crate::audit::{Boundaries, Ignore, Severity};
use crate::context::{Selection, history};
use crate::pair;

/// Settings of [`super::Back`].
#[derive(Clone, Debug)]
pub struct Config {
    /// What is audited.
    pub selection: Selection,
    /// One line per finding and window; zero: one per occurrence.
    pub aggregation_window: Duration,
    /// Findings written in a second, on average, and ten times as many at once; 0: no limit. Does not apply to a window of
    /// zero.
    pub max_findings_per_second: u32,
    /// Time between summaries; zero: only at the end.
    pub summary_interval: Duration,
    /// Time between stats; zero: only at the end.
    pub stats_interval: Duration,
    /// Places with which traces are not shared.
    pub boundaries: Boundaries,
    /// What nobody wants to hear of.
    pub ignores: Vec<Ignore>,
    /// What is less certain is not reported.
    pub min_confidence: f64,
    /// What is less severe is counted but not written.
    pub min_severity: Severity,
    /// Local ports on which requests are audited; none: on all. The others stay candidates for the calls of their process;
    /// neither they nor the calls that were made for them, or for none that is known, are counted or written.
    pub ports: Vec<u16>,
    /// Limits of the pairing's tables.
    pub pairing: pair::Limits,
    /// Limits of what is remembered of services to judge several calls together.
    pub samples: history::Limits,
    /// Calls that wait for their response.
    pub max_pending: usize,
    /// Processes that are described.
    pub max_processes: usize,
    /// Edges.
    pub max_edges: usize,
    /// Fingerprints, and classes with suspected calls.
    pub max_fingerprints: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            aggregation_window: Duration::from_secs(60),
            max_findings_per_second: 20,
            summary_interval: Duration::from_secs(60),
            stats_interval: Duration::from_secs(60),
            selection: Selection::default(),
            boundaries: Boundaries::default(),
            ignores: Vec::new(),
            min_confidence: 0.99,
            min_severity: Severity::Info,
            ports: Vec::new(),
            pairing: pair::Limits::default(),
            samples: history::Limits::default(),
            max_pending: 65_536,
            max_processes: 8192,
            max_edges: 8192,
            max_fingerprints: 4096,
        }
    }
}
