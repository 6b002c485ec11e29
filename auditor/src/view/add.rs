//! Records added up: over intervals, files and nodes. What is held is bounded, whatever is read.

use std::collections::{BTreeMap, BTreeSet};

use super::clean::clean;
use super::counts::Tally;
use super::entry::{BlindEntry, Entry, FindingEntry, SummaryEntry};
use super::findings::Found;
use super::hop::{Hop, HopKey, Row, Standing, service};

/// Hops that are told apart.
const HOPS: usize = 10_000;
/// Findings that are told apart.
const FINDINGS: usize = 10_000;
/// Blind spots that are told apart.
const BLIND_SPOTS: usize = 2_000;
/// Nodes that are told apart.
const NODES: usize = 10_000;

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Report {
    hops: BTreeMap<HopKey, Hop>,
    findings: BTreeMap<(String, String), Found>,
    blind: BTreeMap<(String, String), Blind>,
    nodes: BTreeSet<String>,
    from: Option<String>,
    to: Option<String>,
    /// Records that found no room.
    pub left_out: u64,
}

/// Something of a service that could not be audited.
#[derive(Clone, Debug, Default)]
pub struct Blind {
    /// Which service; empty when it is not known, or of the node.
    pub service: String,
    /// Why.
    pub code: String,
    /// Records, requests or sightings.
    pub count: u64,
    /// The latest sentence.
    pub message: String,
}

impl Report {
    /// One more record.
    pub(super) fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Finding(entry) => self.finding(&entry),
            Entry::Summary(entry) => self.summary(&entry),
            Entry::BlindSpot(entry) => self.blind_spot(&entry),
            Entry::Lifecycle(entry) => {
                let node = entry.auditor.map(|auditor| auditor.host_name).unwrap_or_default();
                self.seen(&node, [&entry.timestamp]);
            }
            Entry::Other => {}
        }
    }

    fn summary(&mut self, entry: &SummaryEntry) {
        self.seen(&entry.resource.host_name, [&entry.interval_start, &entry.timestamp]);
        let key = HopKey::new(&entry.resource, entry.inbound.as_ref(), &entry.attributes);
        match self.hop(key) {
            Some(hop) => hop.summary(&Tally::of_record(&entry.edge), &entry.attributes),
            None => self.left_out += 1,
        }
    }

    fn finding(&mut self, entry: &FindingEntry) {
        self.seen(&entry.resource.host_name, [&entry.finding.first_seen, &entry.timestamp]);
        let key = (clean(&entry.finding.fingerprint), clean(&entry.finding.code));
        let full = self.findings.len() >= FINDINGS;
        let found = match self.findings.get_mut(&key) {
            Some(found) => {
                found.add(entry);
                found
            }
            None if full => {
                self.left_out += 1;
                return;
            }
            None => self.findings.entry(key).or_insert_with(|| Found::new(entry)),
        };
        let (level, code) = (found.level, found.code.clone());
        let Some(key) = found.hop.clone() else { return };
        let Some(hop) = self.hop(key) else { return };
        hop.peer(&entry.attributes);
        hop.level = hop.level.max(Some(level));
        let count = hop.codes.entry(code).or_default();
        *count = count.saturating_add(entry.finding.count);
        if let Some(id) = &entry.trace_id {
            hop.examples.add(&clean(&entry.timestamp), &clean(id));
        }
        if let Some(edge) = &entry.finding.edge {
            hop.told(&clean(&entry.resource.host_name), &clean(&entry.timestamp), Tally::of_record(edge));
        }
    }

    fn hop(&mut self, key: HopKey) -> Option<&mut Hop> {
        let room = self.hops.len() < HOPS || self.hops.contains_key(&key);
        room.then(|| self.hops.entry(key).or_default())
    }

    fn blind_spot(&mut self, entry: &BlindEntry) {
        let node = entry.resource.as_ref().map(|resource| resource.host_name.as_str()).unwrap_or_default();
        self.seen(node, [&entry.timestamp]);
        let service = entry.resource.as_ref().map(service).unwrap_or_default();
        let code = clean(&entry.blind_spot.code);
        let key = (code.clone(), service.clone());
        if self.blind.len() >= BLIND_SPOTS && !self.blind.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let blind = self.blind.entry(key).or_insert_with(|| Blind { service, code, ..Blind::default() });
        blind.count = blind.count.saturating_add(entry.blind_spot.count);
        blind.message = clean(&entry.message);
    }

    fn seen<const N: usize>(&mut self, node: &str, times: [&str; N]) {
        if !node.is_empty() && self.nodes.len() < NODES {
            self.nodes.insert(clean(node));
        }
        for time in times.into_iter().filter(|time| !time.is_empty()).map(clean) {
            if self.from.as_ref().is_none_or(|from| time < *from) {
                self.from = Some(time.clone());
            }
            if self.to.as_ref().is_none_or(|to| time > *to) {
                self.to = Some(time);
            }
        }
    }

    /// The hops, the worst first.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<_> = self.hops.iter().map(|(key, hop)| row(key, hop)).collect();
        rows.retain(|row| row.tally.calls > 0);
        rows.sort_by(Row::compare);
        rows
    }

    /// The findings, the worst first.
    pub fn findings(&self) -> Vec<&Found> {
        let mut findings: Vec<_> = self.findings.values().collect();
        findings.sort_by(|a, b| a.compare(b));
        findings
    }

    /// What could not be audited, by code and service.
    pub fn blind(&self) -> impl Iterator<Item = &Blind> {
        self.blind.values()
    }

    /// Nodes that lines came from.
    pub fn nodes(&self) -> &BTreeSet<String> {
        &self.nodes
    }

    /// First and last moment that a line speaks of.
    pub fn period(&self) -> Option<(&str, &str)> {
        self.from.as_deref().zip(self.to.as_deref())
    }
}

fn row<'a>(key: &'a HopKey, hop: &'a Hop) -> Row<'a> {
    let (tally, at_least) = hop.tally();
    Row {
        key,
        peer: hop.peer.as_deref(),
        standing: Standing::of(&tally, hop.level),
        verdict: tally.verdict(),
        tally,
        at_least,
        codes: &hop.codes,
        examples: &hop.examples,
    }
}
