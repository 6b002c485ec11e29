//! Findings with the same fingerprint, over lines, files and nodes.

use std::collections::BTreeSet;

use super::clean::clean;
use super::entry::FindingEntry;
use super::hop::{Examples, HopKey, service};
use crate::rule::Severity;

/// Nodes that are named.
const NODES: usize = 8;

/// A breakage, added up.
#[derive(Clone, Debug)]
pub struct Found {
    /// The rule.
    pub code: String,
    /// How bad, at worst.
    pub level: Severity,
    /// Same code on the same edge.
    pub fingerprint: String,
    /// Occurrences.
    pub count: u64,
    /// Which service it is about.
    pub service: String,
    /// The calls it is about; `None` when it is about requests that the service received.
    pub hop: Option<HopKey>,
    /// First occurrence.
    pub first_seen: String,
    /// Last occurrence.
    pub last_seen: String,
    /// What follows is of the latest line: the sentence,
    pub message: String,
    /// what was received,
    pub received: Option<String>,
    /// what was sent,
    pub sent: Option<String>,
    /// how the call was paired with its request, and how certain that is,
    pub correlation: Option<(String, f64)>,
    /// what exactly is wrong,
    pub reason: Option<String>,
    /// and the status of the response, or why there was none.
    pub answer: Option<String>,
    /// The latest traces in which it was seen.
    pub examples: Examples,
    /// Nodes on which it was seen, some of them.
    pub nodes: BTreeSet<String>,
}

impl Found {
    pub(super) fn new(entry: &FindingEntry) -> Self {
        let outbound = entry.finding.direction != "inbound";
        let key = || HopKey::new(&entry.resource, entry.finding.inbound.as_ref(), &entry.attributes);
        let mut found = Self {
            code: clean(&entry.finding.code),
            level: level(&entry.level),
            fingerprint: clean(&entry.finding.fingerprint),
            count: 0,
            service: service(&entry.resource),
            hop: outbound.then(key),
            first_seen: clean(&entry.finding.first_seen),
            last_seen: String::new(),
            message: String::new(),
            received: None,
            sent: None,
            correlation: None,
            reason: None,
            answer: None,
            examples: Examples::default(),
            nodes: BTreeSet::new(),
        };
        found.add(entry);
        found
    }

    /// Another line.
    pub(super) fn add(&mut self, entry: &FindingEntry) {
        let finding = &entry.finding;
        self.count = self.count.saturating_add(finding.count);
        self.level = self.level.max(level(&entry.level));
        let first = clean(&finding.first_seen);
        if first < self.first_seen {
            self.first_seen = first;
        }
        if let Some(id) = &entry.trace_id {
            self.examples.add(&clean(&entry.timestamp), &clean(id));
        }
        if self.nodes.len() < NODES && !entry.resource.host_name.is_empty() {
            self.nodes.insert(clean(&entry.resource.host_name));
        }
        let last = clean(&finding.last_seen);
        if last < self.last_seen {
            return;
        }
        let some = |text: &Option<String>| text.as_deref().map(clean);
        self.last_seen = last;
        self.message = clean(&entry.message);
        (self.received, self.sent) = (some(&finding.received), some(&finding.sent));
        self.correlation = finding.correlation.as_ref().map(|how| (clean(&how.method), how.confidence));
        self.reason = match (some(&finding.reason), some(&finding.detail)) {
            (Some(reason), Some(detail)) => Some(format!("{reason}: {detail}")),
            (reason, detail) => reason.or(detail),
        };
        let status = entry.attributes.status_code.map(|status| status.to_string());
        self.answer = status.or_else(|| some(&entry.attributes.error_type));
    }

    /// The worst first, then the most frequent.
    pub(super) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        (other.level.cmp(&self.level))
            .then(other.count.cmp(&self.count))
            .then_with(|| (&self.code, &self.fingerprint).cmp(&(&other.code, &other.fingerprint)))
    }
}

fn level(text: &str) -> Severity {
    text.parse().unwrap_or(Severity::Info)
}
