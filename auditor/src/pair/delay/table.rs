//! Requests and calls of a process, while they matter.

use super::history::History;
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
    /// The calls it may have made, in order.
    pub(super) calls: Vec<Slot>,
    /// What it may have done, of how many calls; kept once it has ended.
    pub(super) histories: Option<(usize, Vec<History>)>,
    /// A call was sent while it was not the only open request.
    pub(super) shared: bool,
    /// A call was sent after its end while another was open.
    pub(super) followed: bool,
    /// Undecided calls that it may have made.
    pub(super) puzzles: u32,
    /// Forgotten while it was open.
    pub(super) lost: bool,
    /// What it seems to have done so far: when something last happened to it, when it made its last call and got its last
    /// answer and of which kind, how many calls of which kinds.
    pub(super) since: BootNs,
    pub(super) called: Option<(BootNs, u16)>,
    pub(super) got: Option<(BootNs, u16)>,
    pub(super) kinds: Vec<(u16, usize)>,
}

impl Inbound {
    pub(super) fn new(id: ExchangeId, route: u16, start: BootNs) -> Self {
        Self {
            id,
            route,
            start,
            end: None,
            calls: Vec::new(),
            histories: None,
            shared: false,
            followed: false,
            puzzles: 0,
            lost: false,
            since: start,
            called: None,
            got: None,
            kinds: Vec::new(),
        }
    }

    /// Whether it may end yet.
    pub(super) fn is_open(&self) -> bool {
        self.end.is_none() && !self.lost
    }
}

/// A call that was sent.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: ExchangeId,
    pub(super) kind: u16,
    pub(super) start: BootNs,
    pub(super) end: Option<BootNs>,
    /// Requests that may have made it, in order of their places.
    pub(super) candidates: Vec<Slot>,
    /// Requests open when it was sent.
    pub(super) open: u32,
    /// The request that seemed to have made it when it was sent.
    pub(super) guess: Option<Slot>,
    /// The request that made it, as far as known.
    pub(super) owner: Option<Slot>,
    /// The request that has made it almost certainly.
    pub(super) sure: Option<Slot>,
    /// It was said who made it.
    pub(super) decided: bool,
    /// It is proven who made it.
    pub(super) proven: bool,
    /// Whoever made it is not held any more.
    pub(super) gone: bool,
    /// Requests that are held and may have made it.
    pub(super) held: u32,
}

/// The requests and calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) inbounds: Slab<Inbound>,
    pub(super) calls: Slab<Call>,
}

impl Table {
    /// A request that may have made a call is not held any more.
    pub(super) fn let_go(&mut self, call: Slot, inbound: Slot) {
        let Some(call) = self.calls.get_mut(call) else { return };
        call.held = call.held.saturating_sub(1);
        call.candidates.retain(|candidate| *candidate != inbound);
        if call.owner == Some(inbound) || call.sure == Some(inbound) {
            (call.owner, call.sure) = (None, None);
            call.gone = true;
        }
    }
}
