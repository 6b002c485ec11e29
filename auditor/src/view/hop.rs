//! A hop: the calls of a service for one kind of request to one destination.

use std::collections::BTreeMap;

use serde::Serialize;

use super::clean::clean;
use super::counts::{Tally, Verdict};
use super::entry::{Attributes, Inbound, Resource};
use crate::rule::Severity;

/// Nodes that are told apart while a hop is known by its findings only.
const NODES: usize = 64;
/// Trace ids that are kept as examples.
const EXAMPLES: usize = 3;

/// A method and a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Operation {
    /// Method.
    #[serde(rename = "http.request.method")]
    pub method: String,
    /// Path with its variable segments replaced.
    #[serde(rename = "http.route")]
    pub route: String,
}

impl Operation {
    pub(super) fn new(method: &str, route: &str) -> Self {
        Self { method: clean(method), route: clean(route) }
    }

    /// `GET /cart`.
    pub fn text(&self) -> String {
        format!("{} {}", self.method, self.route)
    }
}

/// Which calls are counted together, over runs and nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopKey {
    /// Who calls.
    pub service: String,
    /// For which requests; `None` when not paired.
    pub inbound: Option<Operation>,
    /// What for.
    pub outbound: Operation,
    /// Whom: the name the client used, else an address or the path of a socket.
    pub address: String,
    /// The port the client used.
    pub port: Option<u16>,
}

impl HopKey {
    pub(super) fn new(resource: &Resource, inbound: Option<&Inbound>, call: &Attributes) -> Self {
        let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".into());
        Self {
            service: service(resource),
            inbound: inbound.map(|inbound| Operation::new(&inbound.method, &inbound.route)),
            outbound: Operation::new(&or_unknown(&call.method), &or_unknown(&call.route)),
            address: clean(&or_unknown(&call.server_address)),
            port: call.server_port,
        }
    }

    /// Where the calls go: `payments:8080`.
    pub fn destination(&self) -> String {
        match self.port {
            Some(port) if self.address.contains(':') => format!("[{}]:{port}", self.address),
            Some(port) => format!("{}:{port}", self.address),
            None => self.address.clone(),
        }
    }

    /// What the calls are made for.
    pub fn request(&self) -> String {
        self.inbound.as_ref().map_or_else(|| "(no request)".into(), Operation::text)
    }
}

pub(super) fn service(resource: &Resource) -> String {
    if resource.service_name.is_empty() { "?".into() } else { clean(&resource.service_name) }
}

/// What is known of a hop.
#[derive(Clone, Debug, Default)]
pub struct Hop {
    /// Of its summaries.
    summarised: Tally,
    /// Of its findings, which count the run so far: the latest of each node.
    told: BTreeMap<String, (String, Tally)>,
    /// The service at the other end, where known.
    pub(super) peer: Option<String>,
    /// Of the worst finding.
    pub(super) level: Option<Severity>,
    pub(super) codes: BTreeMap<String, u64>,
    pub(super) examples: Examples,
}

impl Hop {
    pub(super) fn summary(&mut self, tally: &Tally, call: &Attributes) {
        self.summarised.add(tally);
        self.peer(call);
    }

    pub(super) fn peer(&mut self, call: &Attributes) {
        if let Some(peer) = call.peer_service.as_deref().filter(|peer| !peer.is_empty()) {
            self.peer = Some(clean(peer));
        }
    }

    /// A finding says what the edge amounts to so far.
    pub(super) fn told(&mut self, node: &str, timestamp: &str, tally: Tally) {
        if self.told.len() >= NODES && !self.told.contains_key(node) {
            return;
        }
        let latest = self.told.entry(node.to_owned()).or_default();
        if *latest.0 <= *timestamp {
            *latest = (timestamp.to_owned(), tally);
        }
    }

    /// Its calls; and whether there may be more, for no summary counts them.
    pub(super) fn tally(&self) -> (Tally, bool) {
        if self.summarised.calls > 0 || self.told.is_empty() {
            return (self.summarised.clone(), false);
        }
        let mut sum = Tally::default();
        self.told.values().for_each(|(_, tally)| sum.add(tally));
        (sum, true)
    }
}

/// The latest few traces in which something was seen.
#[derive(Clone, Debug, Default)]
pub struct Examples(Vec<(String, String)>);

impl Examples {
    pub(super) fn add(&mut self, timestamp: &str, trace_id: &str) {
        let seen = self.0.iter_mut().find(|(_, known)| known == trace_id);
        match seen {
            Some((time, _)) if **time < *timestamp => *time = timestamp.to_owned(),
            Some(_) => {}
            None => self.0.push((timestamp.to_owned(), trace_id.to_owned())),
        }
        self.0.sort_by(|a, b| b.cmp(a));
        self.0.truncate(EXAMPLES);
    }

    /// The latest first.
    pub fn trace_ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, id)| id.as_str())
    }
}

/// How a hop stands, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Traces end here.
    Broken,
    /// The trace goes on, but something else is wrong.
    Faulty,
    /// Traces seem to end here; it is not certain.
    Suspected,
    /// Traces end here, and whoever configured the auditor said that they may.
    Allowed,
    /// The trace goes on.
    Kept,
    /// No call could be judged, or none had a trace to carry on.
    Unjudged,
}

impl Standing {
    /// For people, and as a class of the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Faulty => "faulty",
            Self::Suspected => "suspected",
            Self::Allowed => "allowed",
            Self::Kept => "kept",
            Self::Unjudged => "unjudged",
        }
    }

    pub(super) fn of(tally: &Tally, level: Option<Severity>) -> Self {
        if tally.lost() > 0 {
            return if level == Some(Severity::Info) { Self::Allowed } else { Self::Broken };
        }
        match level {
            Some(Severity::Error | Severity::Warning) => Self::Faulty,
            _ if tally.suspected > 0 => Self::Suspected,
            _ if tally.kept() > 0 => Self::Kept,
            _ => Self::Unjudged,
        }
    }
}

/// One row of the hop table.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Which calls.
    pub key: &'a HopKey,
    /// The service at the other end, where known.
    pub peer: Option<&'a str>,
    /// How many.
    pub tally: Tally,
    /// There may be more: only findings counted them.
    pub at_least: bool,
    /// How it stands.
    pub standing: Standing,
    /// What became of the trace.
    pub verdict: Verdict,
    /// Occurrences of findings by code.
    pub codes: &'a BTreeMap<String, u64>,
    /// The latest traces in which something was found.
    pub examples: &'a Examples,
}

impl Row<'_> {
    /// `GET /cart → POST /charge payments:8080`.
    pub fn hop(&self) -> String {
        format!("{} → {} {}", self.key.request(), self.key.outbound.text(), self.destination())
    }

    /// Where the calls go, by name where it is known.
    pub fn destination(&self) -> String {
        match (self.peer, self.key.port) {
            (Some(peer), Some(port)) if peer != self.key.address => format!("{peer}:{port}"),
            _ => self.key.destination(),
        }
    }

    /// The worst first: how it stands, the least coverage, of two the one that drops, then the one that lost more.
    pub(super) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let coverage = |row: &Self| row.tally.coverage().unwrap_or(0.0);
        (self.standing.cmp(&other.standing))
            .then(coverage(self).total_cmp(&coverage(other)))
            .then(self.verdict.rank().cmp(&other.verdict.rank()))
            .then(other.tally.lost().cmp(&self.tally.lost()))
            .then_with(|| self.key.cmp(other.key))
    }
}
