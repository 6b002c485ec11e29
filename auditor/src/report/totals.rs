//! What a run amounts to: what `check` decides its exit code by.

use std::collections::{BTreeMap, BTreeSet};

use super::line::TotalsInfo;
use crate::audit::{Code, Outcome, Severity};

/// Stands for the format of calls that carry nothing, for requests that carried nothing.
pub const NO_FORMAT: &str = "none";

/// Totals of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Occurrences by code and severity, whatever `min_severity` lets through.
    pub findings: BTreeMap<(Code, Severity), u64>,
    /// Calls by outcome. What only looks faulty counts as `unknown` until it is certain.
    pub hops: BTreeMap<Outcome, u64>,
    /// The same without those that only look faulty, by the format that says so: each number only grows.
    pub settled: BTreeMap<(Outcome, &'static str), u64>,
    /// Formats that a call carried, or its request, of which it is known what became of the trace.
    pub judged: BTreeSet<&'static str>,
    /// Calls that look faulty without certainty; `unknown` in `hops`.
    pub suspected: u64,
    /// Calls that may have been made for a request that nobody saw; `unknown` in `hops`.
    pub calls_unseen: u64,
    /// Requests that were received.
    pub requests: u64,
    /// Those of them with a valid context.
    pub requests_with_context: u64,
    /// Requests that are not hops.
    pub ignored: u64,
    /// Occurrences that nobody wants to hear of.
    pub findings_ignored: u64,
    /// Records lost.
    pub lost: u64,
}

impl Totals {
    /// Counts calls whose outcome will not change any more. `format`: the one that the trace came in first, else the one
    /// that it was started in.
    pub(crate) fn settle(&mut self, outcome: Outcome, format: &'static str, count: u64) {
        let format = if outcome == Outcome::Absent { NO_FORMAT } else { format };
        *self.settled.entry((outcome, format)).or_default() += count;
    }

    /// The worst that was found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.keys().map(|(_, severity)| *severity).max()
    }

    /// As the output shows it.
    pub fn info(&self) -> TotalsInfo {
        let mut findings = BTreeMap::new();
        for ((code, _), count) in &self.findings {
            *findings.entry(code.as_str()).or_default() += count;
        }
        TotalsInfo {
            findings,
            hops: Outcome::ALL
                .into_iter()
                .map(|outcome| (outcome.as_str(), self.hops.get(&outcome).copied().unwrap_or(0)))
                .collect(),
            requests: self.requests,
            requests_with_context: self.requests_with_context,
            ignored: self.ignored,
            findings_ignored: Some(self.findings_ignored).filter(|count| *count > 0),
            lost: self.lost,
        }
    }
}
