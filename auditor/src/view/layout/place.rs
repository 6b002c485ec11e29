//! How far down items stand: in their order, none on another, each as near to its neighbours as that allows.

use super::{Item, neighbours};

/// Passes over all layers, to the right and back.
const PASSES: usize = 16;

/// The middle of each item; the first of all is at half a height.
pub(super) fn place(items: &[Item], links: &[(usize, usize)], layers: &[Vec<usize>]) -> Vec<f64> {
    let (left, right) = neighbours(items.len(), links);
    let mut y = vec![0.0; items.len()];
    let rooms: Vec<Vec<f64>> = layers
        .iter()
        .map(|layer| layer.iter().filter_map(|item| items.get(*item)).map(|item| item.room).collect())
        .collect();
    for (layer, rooms) in layers.iter().zip(&rooms) {
        let wanted = vec![0.0; layer.len()];
        put(layer, &settle(&wanted, rooms), &mut y);
    }
    for pass in 0..PASSES {
        let to_the_right = pass % 2 == 0;
        let near = if to_the_right { &left } else { &right };
        let mut arrange = |(layer, rooms): (&Vec<usize>, &Vec<f64>)| {
            let wanted: Vec<f64> = layer.iter().map(|item| mean(*item, near, &y)).collect();
            put(layer, &settle(&wanted, rooms), &mut y);
        };
        let all = layers.iter().zip(&rooms);
        if to_the_right { all.for_each(&mut arrange) } else { all.rev().for_each(&mut arrange) }
    }
    let top = y.iter().copied().fold(f64::INFINITY, f64::min);
    y.iter().map(|y| y - top + 0.5).collect()
}

fn put(layer: &[usize], places: &[f64], y: &mut [f64]) {
    for (item, place) in layer.iter().zip(places) {
        if let Some(y) = y.get_mut(*item) {
            *y = *place;
        }
    }
}

fn mean(item: usize, near: &[Vec<usize>], y: &[f64]) -> f64 {
    let near = near.get(item).map(Vec::as_slice).unwrap_or_default();
    let of = |item: usize| y.get(item).copied().unwrap_or(0.0);
    if near.is_empty() { of(item) } else { near.iter().map(|item| of(*item)).sum::<f64>() / near.len() as f64 }
}

/// The places nearest to the wanted ones that keep order and room: least squares, by pooling adjacent violators.
fn settle(wanted: &[f64], rooms: &[f64]) -> Vec<f64> {
    // Without the room that those above take, order is all that is left to keep.
    let mut offset = 0.0;
    let mut before = None;
    let offsets: Vec<f64> = rooms
        .iter()
        .map(|room| {
            offset += before.map_or(0.0, |before: f64| (before + room) / 2.0);
            before = Some(*room);
            offset
        })
        .collect();
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (wanted, offset) in wanted.iter().zip(&offsets) {
        let mut block = (wanted - offset, 1);
        while let Some((sum, count)) = blocks.pop_if(|(sum, count)| *sum / *count as f64 > block.0 / block.1 as f64) {
            block = (block.0 + sum, block.1 + count);
        }
        blocks.push(block);
    }
    let free = blocks.iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count));
    free.zip(&offsets).map(|(place, offset)| place + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_wants_the_same_place_stands_around_it() {
        assert_eq!(settle(&[5.0, 5.0, 5.0], &[1.0; 3]), [4.0, 5.0, 6.0]);
        assert_eq!(settle(&[0.0, 9.0], &[1.0; 2]), [0.0, 9.0]);
        assert_eq!(settle(&[9.0, 0.0], &[1.0; 2]), [4.0, 5.0]);
        assert_eq!(settle(&[], &[]), [0.0; 0]);
    }
}
