//! Places the nodes of a graph in layers, so that calls lead from left to right, with few crossings: the method of
//! Sugiyama, Tagawa and Toda (1981). Pure and deterministic.

mod order;
mod place;
mod rank;

/// Where things stand: layers count from the left, `y` is in units of a node's height with its gap.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Layer and middle of each node.
    pub nodes: Vec<(usize, f64)>,
    /// The points of each edge from its caller to its callee, in layers and heights; none for a loop.
    pub edges: Vec<Vec<(usize, f64)>>,
    /// How many layers.
    pub layers: usize,
    /// How high the highest is.
    pub height: f64,
}

/// Room that an edge takes where it passes between nodes, of that of a node.
const PASSING: f64 = 0.45;

/// What stands in a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Item {
    layer: usize,
    room: f64,
}

/// Nodes, and edges from the first of a pair to the second.
pub(super) fn layout(nodes: usize, edges: &[(usize, usize)]) -> Layout {
    let ranks = rank::ranks(nodes, edges);
    let mut items: Vec<Item> = ranks.iter().map(|layer| Item { layer: *layer, room: 1.0 }).collect();
    // Edges over several layers pass through a place of their own in each.
    let mut links: Vec<(usize, usize)> = Vec::new();
    let mut paths: Vec<Vec<usize>> = Vec::with_capacity(edges.len());
    for (from, to) in edges {
        let (Some(a), Some(b)) = (ranks.get(*from), ranks.get(*to)) else {
            paths.push(Vec::new());
            continue;
        };
        let (left, right) = if a <= b { (*from, *to) } else { (*to, *from) };
        let mut path = vec![left];
        for layer in a.min(b) + 1..*a.max(b) {
            items.push(Item { layer, room: PASSING });
            path.push(items.len() - 1);
        }
        path.push(right);
        links.extend(path.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).filter(|(a, b)| a != b));
        if a > b {
            path.reverse();
        }
        paths.push(if from == to { Vec::new() } else { path });
    }
    let layers = order::order(&items, &links);
    let y = place::place(&items, &links, &layers);
    let at = |item: usize| (items.get(item).map_or(0, |item| item.layer), y.get(item).copied().unwrap_or(0.0));
    Layout {
        nodes: (0..nodes).map(at).collect(),
        edges: paths.into_iter().map(|path| path.into_iter().map(at).collect()).collect(),
        layers: layers.len(),
        height: y.iter().copied().fold(0.0, f64::max) + 1.0,
    }
}

/// Neighbours of each item: to the left and to the right.
fn neighbours(items: usize, links: &[(usize, usize)]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let (mut left, mut right) = (vec![Vec::new(); items], vec![Vec::new(); items]);
    for (a, b) in links {
        if let Some(right) = right.get_mut(*a) {
            right.push(*b);
        }
        if let Some(left) = left.get_mut(*b) {
            left.push(*a);
        }
    }
    (left, right)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_lead_to_the_right() {
        //  0 ─▶ 1 ─▶ 2, 0 ─▶ 2
        let layout = layout(3, &[(0, 1), (1, 2), (0, 2)]);
        assert_eq!(layout.nodes.iter().map(|node| node.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(layout.edges[2].len(), 3, "it passes the layer between");
        assert_ne!(layout.edges[2][1].1, layout.nodes[1].1, "and not through the node there");
    }

    #[test]
    fn circles_and_loops_are_drawn() {
        let layout = layout(3, &[(0, 1), (1, 2), (2, 0), (1, 1)]);
        assert_eq!(layout.layers, 3);
        assert_eq!(layout.edges[2].first().map(|point| point.0), Some(2), "from its caller");
        assert_eq!(layout.edges[3], []);
    }

    #[test]
    fn crossings_are_avoided() {
        let layout = layout(6, &[(0, 5), (1, 4), (2, 3)]);
        for [a, b] in [[0, 1], [1, 2], [0, 2]] {
            let callee = [5, 4, 3];
            let above = layout.nodes[a].1 < layout.nodes[b].1;
            assert_eq!(above, layout.nodes[callee[a]].1 < layout.nodes[callee[b]].1);
        }
    }

    proptest! {
        #[test]
        fn nothing_overlaps(edges in prop::collection::vec((0usize..30, 0usize..30), 0..80)) {
            let layout = layout(30, &edges);
            for (a, one) in layout.nodes.iter().enumerate() {
                prop_assert!(one.1.is_finite() && one.1 >= 0.0 && one.1 <= layout.height && one.0 < layout.layers);
                for other in &layout.nodes[a + 1..] {
                    prop_assert!(one.0 != other.0 || (one.1 - other.1).abs() > 0.999, "{one:?} {other:?}");
                }
            }
            for (edge, ends) in layout.edges.iter().zip(&edges) {
                if ends.0 != ends.1 {
                    prop_assert_eq!(edge.first(), Some(&layout.nodes[ends.0]));
                    prop_assert_eq!(edge.last(), Some(&layout.nodes[ends.1]));
                }
            }
        }
    }
}
