//! Who calls whom: the hops of a report as a graph of services.

use std::collections::{BTreeMap, BTreeSet};

use super::hop::{HopKey, Row, Standing};
use super::layout;

/// Services that are drawn; the table has the others.
pub const NODES: usize = 400;
/// Edges that are drawn.
pub const EDGES: usize = 1600;

/// A service, or a destination of which no service is known.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, or its address.
    pub name: String,
    /// It was seen making calls, or its name is known.
    pub is_service: bool,
    /// How the worst of its calls stand.
    pub standing: Option<Standing>,
}

/// All calls of one service to another.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Caller and callee, as places in the list of nodes.
    pub ends: (usize, usize),
    /// Of its worst hop.
    pub standing: Standing,
    /// Of its worst hop.
    pub coverage: Option<f64>,
    /// Of its worst hop.
    pub verdict: String,
    /// Of all its hops.
    pub calls: u64,
}

/// Services and their calls.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// In the order of the worst call.
    pub nodes: Vec<Node>,
    /// The worst first.
    pub edges: Vec<Edge>,
    /// For each row its edge; `None` where it is not drawn.
    pub edge_of: Vec<Option<usize>>,
    /// Edges for which there is no room.
    pub left_out: usize,
}

/// What a call leads to.
enum Callee<'a> {
    Service(&'a str),
    Address(String),
}

impl Graph {
    /// Of rows in their order, the worst first.
    pub fn new(rows: &[Row<'_>]) -> Self {
        let services: BTreeSet<&str> = rows.iter().map(|row| row.key.service.as_str()).collect();
        let mut graph = Self::default();
        let mut node_of: BTreeMap<(bool, String), usize> = BTreeMap::new();
        let mut edge_of: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        for row in rows {
            let callee = match callee(row, &services) {
                Callee::Service(name) => (true, name.to_owned()),
                Callee::Address(address) => (false, address),
            };
            let ends = [(true, row.key.service.clone()), callee];
            let unknown = ends.iter().filter(|end| !node_of.contains_key(end)).count();
            if graph.nodes.len() + unknown > NODES || graph.edges.len() >= EDGES {
                left_out.insert(ends);
                graph.edge_of.push(None);
                continue;
            }
            let [from, to] = ends.map(|(is_service, name)| {
                *node_of.entry((is_service, name.clone())).or_insert_with(|| {
                    graph.nodes.push(Node { name, is_service, standing: None });
                    graph.nodes.len() - 1
                })
            });
            if let Some(node) = graph.nodes.get_mut(from) {
                node.standing = Some(node.standing.map_or(row.standing, |worst| worst.min(row.standing)));
            }
            let index = *edge_of.entry((from, to)).or_insert_with(|| {
                graph.edges.push(Edge {
                    ends: (from, to),
                    standing: row.standing,
                    coverage: row.tally.coverage(),
                    verdict: row.verdict.text(),
                    calls: 0,
                });
                graph.edges.len() - 1
            });
            if let Some(edge) = graph.edges.get_mut(index) {
                edge.calls = edge.calls.saturating_add(row.tally.calls);
            }
            graph.edge_of.push(Some(index));
        }
        graph.left_out = left_out.len();
        graph
    }

    /// Where everything stands.
    pub fn layout(&self) -> layout::Layout {
        let ends: Vec<_> = self.edges.iter().map(|edge| edge.ends).collect();
        layout::layout(self.nodes.len(), &ends)
    }
}

/// The service that is known to be at the other end, or that the host is named after, as in Kubernetes.
fn callee<'a>(row: &'a Row<'_>, services: &BTreeSet<&'a str>) -> Callee<'a> {
    let HopKey { address, .. } = row.key;
    if let Some(peer) = row.peer {
        return Callee::Service(peer);
    }
    let name = match address.split_once('.') {
        Some((name, rest)) if rest.ends_with(".svc") || rest.ends_with(".svc.cluster.local") => name,
        _ => address,
    };
    match services.get(name) {
        Some(service) => Callee::Service(service),
        None => Callee::Address(row.key.destination()),
    }
}
