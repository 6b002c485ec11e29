//! Edges: service and inbound route → destination and route, with what became of their calls.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::address::Destination;
use super::contrast::{Contrasts, Fate, Mixed};
use super::counts::Counts;
use super::durations::Durations;
use super::features::Call;
use super::formats::FormatCounts;
use super::line::Resource;
use crate::audit::Outcome;
use crate::context::format::Status;
use crate::pair::{Suspicion, Target};
use crate::record::BootNs;

/// Which calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeKey {
    /// Who calls; replicas and prefork workers are one service.
    pub service: Arc<str>,
    /// For which requests; `None` when not paired.
    pub inbound: Option<Target>,
    /// Where they arrived; `None` for Unix sockets, and when not paired.
    pub local_port: Option<u16>,
    /// Whom.
    pub destination: Destination,
    /// What for.
    pub outbound: Target,
}

/// The calls of an edge since the summary before.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// By outcome.
    pub counts: Counts,
    /// By how long their answers took.
    pub durations: Durations,
    /// By what became of each format.
    pub formats: FormatCounts,
}

/// One edge: its calls in the interval and in the run, and the workload seen last.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// In the interval.
    pub interval: Interval,
    /// In the run.
    pub total: Counts,
    /// The workload seen last.
    pub resource: Resource,
    /// `tcp` or `unix`.
    pub transport: &'static str,
    /// Who was last seen to receive its calls, on this node.
    pub peer: Option<Peer>,
}

/// The process at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name of its service.
    pub service: String,
    /// Its process id.
    pub pid: u32,
}

/// All edges.
#[derive(Debug)]
pub struct Edges {
    edges: LruCache<EdgeKey, Edge>,
    contrasts: Contrasts,
    /// Edges forgotten because the table was full.
    pub evicted: u64,
}

impl Edges {
    /// At most `limit` of them.
    pub fn new(limit: usize) -> Self {
        let edges = LruCache::new(NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN));
        Self { edges, contrasts: Contrasts::new(), evicted: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Counts a call. Returns the edge that had to go, with what it has not reported yet.
    pub fn count(
        &mut self,
        key: &EdgeKey,
        resource: &Resource,
        transport: &'static str,
        outcome: Outcome,
        suspicion: Option<Suspicion>,
    ) -> Option<(EdgeKey, Edge)> {
        let mut gone: Option<(EdgeKey, Edge)> = None;
        if !self.edges.contains(key) {
            gone = self.edges.push(key.clone(), Edge::default());
            self.evicted += u64::from(gone.is_some());
            if let Some((gone, _)) = &gone {
                self.contrasts.forget(gone);
            }
        }
        if let Some(edge) = self.edges.get_mut(key) {
            edge.interval.counts.add(outcome, suspicion);
            edge.total.add(outcome, suspicion);
            if edge.resource != *resource {
                edge.resource = resource.clone();
            }
            edge.transport = transport;
        }
        gone.filter(|(_, edge)| edge.interval.counts.calls() > 0)
    }

    /// Who received a counted call.
    pub fn peer(&mut self, key: &EdgeKey, peer: Peer) {
        if let Some(edge) = self.edges.peek_mut(key) {
            edge.peer = Some(peer);
        }
    }

    /// A counted call got no answer.
    pub fn failed(&mut self, key: &EdgeKey) {
        if let Some(edge) = self.edges.peek_mut(key) {
            edge.interval.counts.failed();
            edge.total.failed();
        }
    }

    /// A counted call got an answer with this status, so many nanoseconds after its first byte; as far as is known.
    pub fn answered(&mut self, key: &EdgeKey, status: Option<u16>, duration: Option<BootNs>) {
        if let Some(edge) = self.edges.peek_mut(key) {
            if let Some(status) = status {
                edge.interval.counts.answered(status);
                edge.total.answered(status);
            }
            if let Some(duration) = duration {
                edge.interval.durations.add(duration);
            }
        }
    }

    /// What became of each format that a counted call, or the request that it was made for, carried.
    pub fn formats(&mut self, key: &EdgeKey, formats: &[(&'static str, Status)]) {
        if let Some(edge) = self.edges.peek_mut(key) {
            edge.interval.formats.add(formats);
        }
    }

    /// So many suspected calls of the edge are certain now, of these formats.
    pub fn confirm(&mut self, key: &EdgeKey, suspicion: Suspicion, count: u64, formats: &FormatCounts) {
        if let Some(edge) = self.edges.peek_mut(key) {
            edge.interval.formats.merge(formats);
            edge.interval.counts.confirm(suspicion, count);
            edge.total.confirm(suspicion, count);
        }
        self.contrasts.confirm(key, suspicion);
    }

    /// What a counted call is like, and what became of it.
    pub fn contrast(&mut self, key: &EdgeKey, call: &Call<'_>, fate: Fate) {
        self.contrasts.add(key, call, fate);
    }

    /// How many calls of an edge are broken like this, and what tells them from the others; `None` if there are no
    /// others.
    pub fn mixed(&self, key: &EdgeKey, suspicion: Suspicion) -> Option<Mixed> {
        let total = &self.edges.peek(key)?.total;
        let broken = total.of(Outcome::of(suspicion));
        (broken > 0 && total.kept() > 0).then(|| Mixed {
            broken,
            calls: total.calls(),
            splits: self.contrasts.splits(key, suspicion),
        })
    }

    /// Mixed edges of which it is no longer known what tells their calls apart.
    pub fn contrasts_evicted(&self) -> u64 {
        self.contrasts.evicted
    }

    /// Counts of an edge over the run.
    pub fn total(&self, key: &EdgeKey) -> Option<BTreeMap<&'static str, u64>> {
        self.edges.peek(key).map(|edge| edge.total.info())
    }

    /// Ends the interval: the edges with calls in it, in order.
    pub fn drain(&mut self) -> Vec<(EdgeKey, Edge)> {
        let mut drained = Vec::new();
        for (key, edge) in self.edges.iter_mut().filter(|(_, edge)| edge.interval.counts.calls() > 0) {
            let next = Edge {
                interval: Interval::default(),
                total: edge.total.clone(),
                resource: edge.resource.clone(),
                transport: edge.transport,
                peer: edge.peer.clone(),
            };
            drained.push((key.clone(), std::mem::replace(edge, next)));
        }
        drained.sort_by(|a, b| a.0.cmp(&b.0));
        drained
    }
}
