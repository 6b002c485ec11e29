//! In which layer a node stands: one behind the last of its callers, where calls do not go round in circles; whom nobody
//! calls, one before the first of its callees, so that calls are short.

/// The layer of each node.
pub(super) fn ranks(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut callees = vec![Vec::new(); nodes];
    let mut callers = vec![0_usize; nodes];
    for (from, to) in edges.iter().filter(|(from, to)| from != to && *to < nodes) {
        if let Some(callees) = callees.get_mut(*from) {
            callees.push(*to);
        }
        if let Some(count) = callers.get_mut(*to) {
            *count += 1;
        }
    }
    // Whom nobody calls comes first, so that circles are cut where they lead back.
    let (first, rest): (Vec<usize>, Vec<usize>) = (0..nodes).partition(|node| callers.get(*node) == Some(&0));
    let order = finished_last_first(&callees, first.into_iter().chain(rest));
    let mut place = vec![0; nodes];
    for (at, node) in order.iter().enumerate() {
        if let Some(place) = place.get_mut(*node) {
            *place = at;
        }
    }
    let is_forward = |from: usize, to: usize| place.get(from) < place.get(to);
    let mut ranks = vec![0_usize; nodes];
    for node in &order {
        let rank = ranks.get(*node).copied().unwrap_or(0);
        for callee in callees.get(*node).into_iter().flatten() {
            if let Some(of) = ranks.get_mut(*callee).filter(|_| is_forward(*node, *callee)) {
                *of = (rank + 1).max(*of);
            }
        }
    }
    for (node, callees) in callees.iter().enumerate().filter(|(node, _)| callers.get(*node) == Some(&0)) {
        let first = callees.iter().filter_map(|callee| ranks.get(*callee)).min().copied();
        if let Some((rank, first)) = ranks.get_mut(node).zip(first) {
            *rank = first.saturating_sub(1);
        }
    }
    ranks
}

/// Depth first, without recursion; the order in which edges lead forward, but for those that close a circle.
fn finished_last_first(callees: &[Vec<usize>], starts: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut seen = vec![false; callees.len()];
    let mut finished = Vec::with_capacity(callees.len());
    let mut visit = |node: usize| seen.get_mut(node).is_some_and(|seen| !std::mem::replace(seen, true));
    for start in starts {
        if !visit(start) {
            continue;
        }
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let (node, at) = (*node, *next);
            *next += 1;
            match callees.get(node).and_then(|callees| callees.get(at)) {
                Some(callee) if visit(*callee) => path.push((*callee, 0)),
                Some(_) => {}
                None => {
                    finished.push(node);
                    path.pop();
                }
            }
        }
    }
    finished.reverse();
    finished
}
