//! Draws assignments of calls to requests in proportion to how likely they are, and counts who owned what.
//!
//! Gibbs sampling: each call in turn chooses among its candidates given all the others. Where requests make equal
//! calls that alone would be stuck, so calls are exchanged between two requests as well, one for one or all from a
//! moment on.

use super::model::Models;
use super::random::Random;
use super::table::{Call, Inbound, Slab, Slot};
use super::walk::{self, Span, Step};

/// How far from a call, in calls, those are that change hands with it.
const AROUND: u64 = 64;
/// Kinds of calls that change hands at once.
const ITEMS: usize = 4;

/// A call of each of two requests, of one kind.
#[derive(Clone, Copy, Debug)]
struct Item {
    kind: u16,
    sides: [Option<Slot>; 2],
    seen: [usize; 2],
}

/// Rounds of which one matters to calls that are clear.
const SETTLED: usize = 6;

/// The requests and calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) inbounds: Slab<Inbound>,
    pub(super) calls: Slab<Call>,
}

impl Table {
    /// Makes `inbound` the owner of a call that has none.
    pub(super) fn give(&mut self, slot: Slot, owner: Option<Slot>) {
        let Some(call) = self.calls.get_mut(slot) else { return };
        call.owner = owner;
        let seq = call.seq;
        if let Some(inbound) = owner.and_then(|owner| self.inbounds.get_mut(owner)) {
            let at = inbound.calls.partition_point(|(other, _)| *other < seq);
            inbound.calls.insert(at, (seq, slot));
        }
    }

    /// Undecided calls that `of` owns and `to` may have made, around the call numbered `seq`.
    fn movable(&self, of: Slot, to: Slot, seq: u64) -> impl Iterator<Item = (&Call, Slot)> {
        let calls = self.inbounds.get(of).map(|inbound| inbound.calls.as_slice()).unwrap_or_default();
        let from = calls.partition_point(|(other, _)| *other + AROUND < seq);
        let calls = calls.get(from..).unwrap_or_default().iter().take_while(move |(other, _)| *other <= seq + AROUND);
        calls
            .filter_map(|(_, slot)| Some((self.calls.get(*slot)?, *slot)))
            .filter(move |(call, _)| !call.decided && call.may_be(to))
    }

    /// Takes a call from its owner.
    pub(super) fn take(&mut self, slot: Slot) -> Option<Slot> {
        let call = self.calls.get_mut(slot)?;
        let owner = call.owner.take()?;
        let seq = call.seq;
        if let Some(inbound) = self.inbounds.get_mut(owner) {
            let at = inbound.calls.partition_point(|(other, _)| *other < seq);
            if inbound.calls.get(at).is_some_and(|(_, found)| *found == slot) {
                inbound.calls.remove(at);
            }
        }
        Some(owner)
    }
}

/// Buffers of the sampler.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampler {
    random: Random,
    steps: Vec<Step>,
    weights: Vec<f64>,
    items: Vec<Item>,
    mine: Vec<Slot>,
    theirs: Vec<Slot>,
}

impl Sampler {
    /// Every call of the block chooses anew; those that always chose the same do so in some rounds only.
    pub(super) fn sweep(&mut self, table: &mut Table, models: &Models, block: &[Slot], round: usize) {
        for (at, slot) in block.iter().enumerate() {
            let Some(call) = table.calls.get(*slot) else { continue };
            if call.is_settled() && !(round + at).is_multiple_of(SETTLED) {
                continue;
            }
            self.choose(table, models, *slot);
            self.swap(table, models, *slot);
        }
    }

    fn choose(&mut self, table: &mut Table, models: &Models, slot: Slot) {
        table.take(slot);
        let Some(call) = table.calls.get(slot) else { return };
        let mut weights = std::mem::take(&mut self.weights);
        weigh(table, models, call, &mut self.steps, &mut weights);
        let mut left = self.random.unit();
        let chosen = weights
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(weights.len());
        let mut owner = None;
        if let Some(call) = table.calls.get_mut(slot) {
            for (at, (candidate, weight)) in call.candidates.iter_mut().zip(&weights).enumerate() {
                candidate.tally += weight;
                if at == chosen {
                    owner = Some(candidate.inbound);
                }
            }
            call.tally += 1.0;
        }
        table.give(slot, owner);
        self.weights = weights;
    }

    /// The owner of a call and another candidate, drawn.
    fn pair(&mut self, table: &Table, slot: Slot) -> Option<(Slot, Slot)> {
        let call = table.calls.get(slot)?;
        let owner = call.owner?;
        let others = call.candidates.len().checked_sub(1).filter(|others| *others > 0)?;
        let drawn = self.random.below(others);
        let other =
            call.candidates.iter().map(|candidate| candidate.inbound).filter(|other| *other != owner).nth(drawn)?;
        Some((owner, other))
    }

    /// Lets two requests share their calls anew: for each kind one of mine against one of theirs, all combinations.
    fn swap(&mut self, table: &mut Table, models: &Models, slot: Slot) {
        let Some((owner, other)) = self.pair(table, slot) else { return };
        let Some(seq) = table.calls.get(slot).map(|call| call.seq) else { return };
        let mut items = std::mem::take(&mut self.items);
        items.clear();
        for (mine, from, to) in [(true, owner, other), (false, other, owner)] {
            for (call, slot) in table.movable(from, to, seq) {
                let place = match items.iter().position(|item: &Item| item.kind == call.kind) {
                    Some(place) => place,
                    None if items.len() >= 12 => continue,
                    None => {
                        items.push(Item { kind: call.kind, sides: [None, None], seen: [0, 0] });
                        items.len() - 1
                    }
                };
                if let Some(item) = items.get_mut(place) {
                    let [a, b] = &mut item.sides;
                    let [x, y] = &mut item.seen;
                    let (side, seen) = if mine { (a, x) } else { (b, y) };
                    *seen += 1;
                    if self.random.below(*seen) == 0 {
                        *side = Some(slot);
                    }
                }
            }
        }
        while items.len() > ITEMS {
            let drop = self.random.below(items.len());
            items.swap_remove(drop);
        }
        self.items = items;
        if self.items.is_empty() {
            return;
        }
        let seqs = || {
            self.items
                .iter()
                .flat_map(|item| item.sides)
                .flatten()
                .filter_map(|slot| table.calls.get(slot))
                .map(|call| call.seq)
        };
        let (Some(first), Some(last)) = (seqs().min(), seqs().max()) else { return };
        let (Some(one), Some(two)) = (table.inbounds.get(owner), table.inbounds.get(other)) else { return };
        let (span_one, span_two) = (Span::new(one, first, last), Span::new(two, first, last));
        let mut weights = std::mem::take(&mut self.weights);
        weights.clear();
        for mask in 0..1u32 << self.items.len() {
            self.mine.clear();
            self.theirs.clear();
            let mut hints = 0.0;
            for (at, item) in self.items.iter().enumerate() {
                if mask >> at & 1 == 1 {
                    let [mine, theirs] = item.sides;
                    self.mine.extend(mine);
                    self.theirs.extend(theirs);
                    for (slot, from, to) in [(mine, owner, other), (theirs, other, owner)] {
                        hints += slot
                            .and_then(|slot| table.calls.get(slot))
                            .map_or(0.0, |call| call.hint(to) - call.hint(from));
                    }
                }
            }
            let by_seq = |slot: &Slot| table.calls.get(*slot).map(|call| call.seq);
            self.mine.sort_unstable_by_key(by_seq);
            self.theirs.sort_unstable_by_key(by_seq);
            walk::steps(&table.calls, one, span_one, &self.mine, &self.theirs, &mut self.steps);
            let mut weight = walk::log(models, one, span_one, &self.steps);
            walk::steps(&table.calls, two, span_two, &self.theirs, &self.mine, &mut self.steps);
            weight += walk::log(models, two, span_two, &self.steps);
            weights.push(weight + hints);
        }
        normalise(&mut weights);
        let mut left = self.random.unit();
        let chosen = weights
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(0);
        for at in 0..self.items.len() {
            let Some(item) = self.items.get(at).copied() else { continue };
            let moved: f64 =
                weights.iter().enumerate().filter(|(mask, _)| mask >> at & 1 == 1).map(|(_, weight)| weight).sum();
            let [mine, theirs] = item.sides;
            for (slot, from, to) in [(mine, owner, other), (theirs, other, owner)] {
                let Some(slot) = slot else { continue };
                if let Some(call) = table.calls.get_mut(slot) {
                    call.count(from, 1.0 - moved);
                    call.count(to, moved);
                    call.tally += 1.0;
                }
                if chosen >> at & 1 == 1 {
                    table.take(slot);
                    table.give(slot, Some(to));
                }
            }
        }
        self.weights = weights;
    }
}

/// Probabilities of the candidates of a call, and of none, given who made all other calls.
fn weigh(table: &Table, models: &Models, call: &Call, steps: &mut Vec<Step>, weights: &mut Vec<f64>) {
    weights.clear();
    let slot = [call.slot];
    let (background, caused) = models.log_background(call.kind);
    for candidate in &call.candidates {
        let gain = table.inbounds.get(candidate.inbound).map_or(f64::NEG_INFINITY, |inbound| {
            let span = Span::new(inbound, call.seq, call.seq);
            walk::steps(&table.calls, inbound, span, &slot, &slot, steps);
            let with = walk::log(models, inbound, span, steps);
            walk::steps(&table.calls, inbound, span, &slot, &[], steps);
            with - walk::log(models, inbound, span, steps)
        });
        weights.push(gain + caused + candidate.hint);
    }
    weights.push(background);
    normalise(weights);
}

/// Who may have made a call, with probabilities, given who made all other calls.
pub(super) fn conditional(table: &Table, models: &Models, call: &Call) -> Vec<(Option<Slot>, f64)> {
    let mut weights = Vec::new();
    weigh(table, models, call, &mut Vec::new(), &mut weights);
    let owners = call.candidates.iter().map(|candidate| Some(candidate.inbound)).chain(std::iter::once(None));
    owners.zip(weights).collect()
}

/// From log weights to probabilities.
fn normalise(weights: &mut [f64]) {
    let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    weights.iter_mut().for_each(|weight| *weight = (*weight - most).exp());
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
}
