//! In which order the items of a layer stand: near their neighbours, so that few edges cross.

use super::{Item, neighbours};

/// Passes over all layers, to the right and back.
const PASSES: usize = 24;

/// The items of each layer, from top to bottom.
pub(super) fn order(items: &[Item], links: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let count = items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
    let mut layers = vec![Vec::new(); count];
    for (index, item) in items.iter().enumerate() {
        if let Some(layer) = layers.get_mut(item.layer) {
            layer.push(index);
        }
    }
    let (left, right) = neighbours(items.len(), links);
    let mut best = (crossings(&layers, &right, items.len()), layers.clone());
    for pass in 0..PASSES {
        if best.0 == 0 {
            break;
        }
        let to_the_right = pass % 2 == 0;
        let mut places = places(&layers, items.len());
        let sort = |layer: &mut Vec<usize>, near: &[Vec<usize>], places: &mut Vec<f64>| {
            layer.sort_by(|a, b| mean(*a, near, places).total_cmp(&mean(*b, near, places)));
            note(layer, places);
        };
        if to_the_right {
            layers.iter_mut().skip(1).for_each(|layer| sort(layer, &left, &mut places));
        } else {
            layers.iter_mut().rev().skip(1).for_each(|layer| sort(layer, &right, &mut places));
        }
        let crossings = crossings(&layers, &right, items.len());
        if crossings < best.0 {
            best = (crossings, layers.clone());
        }
    }
    best.1
}

fn note(layer: &[usize], places: &mut [f64]) {
    // As a share of the layer, for layers are not equally long.
    let step = 1.0 / layer.len().max(1) as f64;
    for (at, item) in layer.iter().enumerate() {
        if let Some(place) = places.get_mut(*item) {
            *place = (at as f64 + 0.5) * step;
        }
    }
}

fn places(layers: &[Vec<usize>], items: usize) -> Vec<f64> {
    let mut places = vec![0.0; items];
    layers.iter().for_each(|layer| note(layer, &mut places));
    places
}

/// Where the neighbours stand on average; where it stands itself, without any.
fn mean(item: usize, near: &[Vec<usize>], places: &[f64]) -> f64 {
    let near = near.get(item).map(Vec::as_slice).unwrap_or_default();
    let of = |item: usize| places.get(item).copied().unwrap_or(0.0);
    if near.is_empty() { of(item) } else { near.iter().map(|item| of(*item)).sum::<f64>() / near.len() as f64 }
}

/// Pairs of edges that cross, counted with a Fenwick tree (Barth, Jünger and Mutzel, 2002).
fn crossings(layers: &[Vec<usize>], right: &[Vec<usize>], items: usize) -> u64 {
    let mut at = vec![0_usize; items];
    for (place, item) in layers.iter().flat_map(|layer| layer.iter().enumerate()) {
        if let Some(at) = at.get_mut(*item) {
            *at = place;
        }
    }
    let mut sum = 0;
    for (layer, next) in layers.iter().zip(layers.iter().skip(1)) {
        let mut tree = vec![0_u64; next.len() + 1];
        let mut seen = 0;
        for item in layer {
            let mut ends: Vec<usize> =
                right.get(*item).into_iter().flatten().filter_map(|item| at.get(*item).copied()).collect();
            ends.sort_unstable();
            for end in &ends {
                // Those seen that end at or above it do not cross it.
                sum += seen - prefix(&tree, end + 1);
            }
            for end in ends {
                add(&mut tree, end + 1);
                seen += 1;
            }
        }
    }
    sum
}

fn prefix(tree: &[u64], mut at: usize) -> u64 {
    let mut sum = 0;
    while at > 0 {
        sum += tree.get(at).copied().unwrap_or(0);
        at &= at - 1;
    }
    sum
}

fn add(tree: &mut [u64], mut at: usize) {
    while let Some(count) = tree.get_mut(at) {
        *count += 1;
        at += at & at.wrapping_neg();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_are_counted() {
        let right = |links: &[(usize, usize)]| neighbours(4, links).1;
        let layers = [vec![0, 1], vec![2, 3]];
        assert_eq!(crossings(&layers, &right(&[(0, 2), (1, 3)]), 4), 0);
        assert_eq!(crossings(&layers, &right(&[(0, 3), (1, 2)]), 4), 1);
        assert_eq!(crossings(&layers, &right(&[(0, 3), (0, 2), (1, 2), (1, 3)]), 4), 1);
    }
}
