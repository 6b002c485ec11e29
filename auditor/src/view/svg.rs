//! The graph as a picture. Every edge is a link to the row of its worst hop, so that it works without a script.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::clean::cut;
use super::graph::{Edge, Graph};
use super::hop::Standing;
use super::html::escape;
use super::text::percent;

/// From a layer to the next, in pixels.
const COLUMN: f64 = 232.0;
/// From a node to the one below.
const LINE: f64 = 27.0;
/// Size of a node.
const NODE: (f64, f64) = (154.0, 20.0);
/// Characters of a name that fit into it.
const NAME: usize = 21;
/// Around everything.
const MARGIN: f64 = 12.0;

/// The picture; `row_of` has for each edge its first row in the table.
pub(super) fn graph(graph: &Graph, row_of: &BTreeMap<usize, usize>) -> String {
    let layout = graph.layout();
    let width = (layout.layers.max(1) - 1) as f64 * COLUMN + NODE.0 + 2.0 * MARGIN;
    let height = layout.height * LINE + 2.0 * MARGIN;
    let mut text = format!(
        "<svg id=\"picture\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"group\" aria-label=\"Graph of the services; the table has the same in words\">\n"
    );
    // What is broken lies above what is not.
    let mut edges: Vec<_> = graph.edges.iter().enumerate().zip(&layout.edges).collect();
    edges.sort_by_key(|((_, edge), _)| std::cmp::Reverse(edge.standing));
    for ((index, edge), points) in edges {
        let name = |node: usize| graph.nodes.get(node).map(|node| escape(&node.name)).unwrap_or_default();
        let (from, to) = (name(edge.ends.0), name(edge.ends.1));
        let loops = layout.nodes.get(edge.ends.0).copied().unwrap_or_default();
        let (path, label) = if points.is_empty() { around(loops) } else { curve(points) };
        let _ = writeln!(
            text,
            "<a class=\"e {standing}\" data-edge=\"{index}\" href=\"#hop{row}\"{focus}><title>{from} → {to}: {what}, {share} \
             of {calls} calls carry the trace on</title><path class=\"hit\" d=\"{path}\"/><path d=\"{path}\"/>{label}</a>",
            standing = edge.standing.as_str(),
            row = row_of.get(&index).copied().unwrap_or(0),
            focus = if edge.standing < Standing::Kept { "" } else { " tabindex=\"-1\"" },
            what = edge.verdict,
            share = percent(edge.coverage),
            calls = edge.calls,
            label = mark(edge, label),
        );
    }
    for (node, at) in graph.nodes.iter().zip(&layout.nodes) {
        let (x, y) = position(*at);
        let _ = writeln!(
            text,
            "<g class=\"n {kind} {standing}\"><title>{full}</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w}\" \
             height=\"{h}\" rx=\"4\"/><text x=\"{tx:.1}\" y=\"{ty:.1}\">{name}</text></g>",
            kind = if node.is_service { "service" } else { "address" },
            standing = node.standing.map_or("", Standing::as_str),
            full = escape(&node.name),
            y = y - NODE.1 / 2.0,
            w = NODE.0,
            h = NODE.1,
            tx = x + 7.0,
            ty = y + 4.0,
            name = escape(&cut(&node.name, NAME)),
        );
    }
    text + "</svg>\n"
}

/// Left end and middle of a node, or of the place through which an edge passes.
fn position((layer, y): (usize, f64)) -> (f64, f64) {
    (MARGIN + layer as f64 * COLUMN, MARGIN + y * LINE)
}

/// The share that is kept, where it is not all.
fn mark(edge: &Edge, (x, y): (f64, f64)) -> String {
    if edge.standing >= Standing::Kept {
        return String::new();
    }
    let what = match (edge.standing, edge.coverage) {
        (Standing::Suspected, _) => "?".to_owned(),
        (Standing::Faulty, _) => "!".to_owned(),
        (_, share) => percent(share),
    };
    format!("<text x=\"{x:.1}\" y=\"{:.1}\">{what}</text>", y + 3.5)
}

/// From the right of the caller to the left of the callee, or the other way round where it leads back; and where its
/// label stands.
fn curve(points: &[(usize, f64)]) -> (String, (f64, f64)) {
    let back = points.first().map(|point| point.0) > points.last().map(|point| point.0);
    let mut path = String::new();
    let (mut last, mut label) = ((0.0, 0.0), None);
    for (index, point) in points.iter().enumerate() {
        let (left, y) = position(*point);
        let (enter, leave) = if back { (left + NODE.0, left) } else { (left, left + NODE.0) };
        if index == 0 {
            let _ = write!(path, "M{leave:.1} {y:.1}");
        } else {
            let (x0, y0) = last;
            let bend = (enter - x0) * 0.5;
            let _ = write!(path, "C{:.1} {y0:.1} {:.1} {y:.1} {enter:.1} {y:.1}", x0 + bend, enter - bend);
            // On the curve at a third of it.
            let t = 0.33;
            let on = |a: f64, b: f64, c: f64, d: f64| {
                let s: f64 = 1.0 - t;
                s.powi(3) * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t.powi(3) * d
            };
            label = label.or(Some((on(x0, x0 + bend, enter - bend, enter), on(y0, y0, y, y))));
            if index + 1 < points.len() {
                let _ = write!(path, "H{leave:.1}");
            }
        }
        last = (leave, y);
    }
    (path, label.unwrap_or(last))
}

/// A service that calls itself.
fn around(node: (usize, f64)) -> (String, (f64, f64)) {
    let (x, y) = position(node);
    let (right, top) = (x + NODE.0, y - NODE.1 / 2.0);
    (format!("M{right:.1} {y:.1}c26 0 26 -16 0 -16H{:.1}V{top:.1}", right - 20.0), (right + 22.0, y - 8.0))
}
