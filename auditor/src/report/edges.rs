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
use crate::audit::Outcome;
use crate::context::format::Status;
use crate::pair::{Suspicion, Target};
use crate::record::{BootNs, Process};

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
    pub process: Option<Arc<Process>>,
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

/// A call that is done.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// Who made it.
    pub process: &'a Arc<Process>,
    /// As in [`Edge::transport`].
    pub transport: &'static str,
    /// What became of the trace.
    pub outcome: Outcome,
    /// While it is not certain.
    pub suspicion: Option<Suspicion>,
    /// It got no answer.
    pub failed: bool,
    /// Of its answer.
    pub status: Option<u16>,
    /// Nanoseconds from its first byte to its answer, as far as is known.
    pub duration: Option<BootNs>,
    /// What became of each format that it, or the request that it was made for, carried.
    pub formats: &'a [(&'static str, Status)],
    /// Who received it, where that was seen.
    pub peer: Option<&'a Process>,
}

impl Edge {
    fn count(&mut self, call: &Counted<'_>) {
        for counts in [&mut self.interval.counts, &mut self.total] {
            counts.add(call.outcome, call.suspicion);
            if call.failed {
                counts.failed();
            }
            if let Some(status) = call.status {
                counts.answered(status);
            }
        }
        if let Some(duration) = call.duration {
            self.interval.durations.add(duration);
        }
        if call.outcome != Outcome::Unknown {
            self.interval.formats.add(call.formats);
        }
        if self.process.as_ref().is_none_or(|process| !Arc::ptr_eq(process, call.process)) {
            self.process = Some(call.process.clone());
        }
        self.transport = call.transport;
        if let Some(Process { service, id, .. }) = call.peer
            && self.peer.as_ref().is_none_or(|peer| (&peer.service, peer.pid) != (service, id.tgid))
        {
            self.peer = Some(Peer { service: service.clone(), pid: id.tgid });
        }
    }
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
    pub fn count(&mut self, key: &EdgeKey, call: &Counted<'_>) -> Option<(EdgeKey, Edge)> {
        if let Some(edge) = self.edges.get_mut(key) {
            edge.count(call);
            return None;
        }
        let mut edge = Edge::default();
        edge.count(call);
        let (gone, edge) = self.edges.push(key.clone(), edge)?;
        self.evicted += 1;
        self.contrasts.forget(&gone);
        (edge.interval.counts.calls() > 0).then_some((gone, edge))
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
                process: edge.process.clone(),
                transport: edge.transport,
                peer: edge.peer.clone(),
            };
            drained.push((key.clone(), std::mem::replace(edge, next)));
        }
        drained.sort_by(|a, b| a.0.cmp(&b.0));
        drained
    }
}
