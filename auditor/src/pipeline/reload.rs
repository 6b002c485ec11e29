//! Other settings from now on, and the same state.

use super::Config;
use super::back::{Back, Known, nanos};
use super::filter::Changed;
use crate::report::{LifecycleLine, Line, SCHEMA_VERSION};

impl Back {
    /// Other processes are looked at.
    pub(super) fn choose(&mut self, changed: Changed) {
        for process in changed.joined {
            self.pairer.joined(self.now);
            self.processes.put(process.id, Known::new(process));
        }
        for process in changed.left {
            self.pairer.left(self.now, process);
        }
    }

    /// From now on, with these settings. The limits of tables stay, and so does what is audited: requests that are open
    /// remember the formats they carry by their places in it, and read in another order they would accuse the healthy.
    pub(super) fn reconfigure(&mut self, config: Config, message: String, out: &mut Vec<Line>) {
        let old = &self.config;
        let (pairing, samples) = (old.pairing, old.samples);
        let (max_pending, max_processes) = (old.max_pending, old.max_processes);
        let (max_edges, max_fingerprints) = (old.max_edges, old.max_fingerprints);
        let selection = old.selection.clone();
        let limits = Config { pairing, samples, max_pending, max_processes, max_edges, max_fingerprints, ..config };
        self.config = Config { selection, ..limits };
        self.fold.set(nanos(self.config.aggregation_window), self.config.max_findings_per_second);
        self.samples.set_min_confidence(self.config.min_confidence);
        self.next_stats = self.now.saturating_add(nanos(self.config.stats_interval));
        out.push(Line::Lifecycle(Box::new(LifecycleLine {
            schema_version: SCHEMA_VERSION,
            timestamp: self.timeline.format(self.now),
            event_name: "auditor.reloaded",
            message,
            auditor: None,
            totals: None,
            degraded: None,
        })));
    }
}
