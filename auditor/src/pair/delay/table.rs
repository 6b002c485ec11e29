//! Requests and calls of a process, while they matter.

use crate::exchange::ExchangeId;
use crate::record::BootNs;

/// Place of a request or call in its table.
pub(super) type Slot = u32;

/// A table whose places are used again.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<Slot>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(slot as usize) {
                *place = Some(value);
            }
            return slot;
        }
        self.slots.push(Some(value));
        (self.slots.len() - 1) as Slot
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// A request that was received.
#[derive(Clone, Debug)]
pub(super) struct Inbound {
    pub(super) id: ExchangeId,
    pub(super) route: u16,
    pub(super) start: BootNs,
    pub(super) end: Option<BootNs>,
    /// The calls it is supposed to have made, in order.
    pub(super) calls: Vec<(u64, Slot)>,
    /// Which model judges it: one that did not learn from it.
    pub(super) fold: u8,
    /// A call was sent while it was not the only open request.
    pub(super) shared: bool,
    /// A call was sent after its end while another was open.
    pub(super) followed: bool,
    /// Undecided calls that it may have made.
    pub(super) puzzles: u32,
    /// Forgotten while it was open.
    pub(super) lost: bool,
}

impl Inbound {
    pub(super) fn new(id: ExchangeId, route: u16, start: BootNs, fold: u8) -> Self {
        Self {
            id,
            route,
            start,
            end: None,
            calls: Vec::new(),
            puzzles: 0,
            shared: false,
            followed: false,
            fold,
            lost: false,
        }
    }

    /// Whether it may end yet.
    pub(super) fn is_open(&self) -> bool {
        self.end.is_none() && !self.lost
    }
}

/// A request that may have made a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) inbound: Slot,
    /// Outside evidence, natural logarithm of a likelihood ratio.
    pub(super) hint: f64,
    /// Sum of its probabilities over the sweeps.
    pub(super) tally: f64,
}

/// A call that was sent.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: ExchangeId,
    /// Its place.
    pub(super) slot: Slot,
    /// Order of sending.
    pub(super) seq: u64,
    pub(super) kind: u16,
    pub(super) start: BootNs,
    pub(super) end: Option<BootNs>,
    pub(super) candidates: Vec<Candidate>,
    /// How often it was counted who owns it.
    pub(super) tally: f64,
    /// Requests open when it was sent.
    pub(super) open: u32,
    /// The request that made it, in the current sample.
    pub(super) owner: Option<Slot>,
    /// No part of the puzzle any more.
    pub(super) decided: bool,
}

impl Call {
    /// Whether hardly a draw was against its likeliest owner.
    pub(super) fn is_settled(&self) -> bool {
        let most = self.candidates.iter().map(|candidate| candidate.tally).fold(0.0, f64::max);
        self.tally >= 4.0 && most >= 0.9995 * self.tally
    }

    /// Starts to count anew.
    pub(super) fn reset(&mut self) {
        self.tally = 0.0;
        self.candidates.iter_mut().for_each(|candidate| candidate.tally = 0.0);
    }

    pub(super) fn may_be(&self, inbound: Slot) -> bool {
        self.candidates.iter().any(|candidate| candidate.inbound == inbound)
    }

    pub(super) fn hint(&self, inbound: Slot) -> f64 {
        self.candidates.iter().find(|candidate| candidate.inbound == inbound).map_or(0.0, |candidate| candidate.hint)
    }

    pub(super) fn count(&mut self, inbound: Slot, share: f64) {
        if let Some(candidate) = self.candidates.iter_mut().find(|candidate| candidate.inbound == inbound) {
            candidate.tally += share;
        }
    }
}
