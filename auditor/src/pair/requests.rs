//! Every request that is held anywhere, oldest first, and how much of it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::exchange::ExchangeId;
use crate::record::ProcessId;

#[derive(Debug)]
struct Held {
    process: ProcessId,
    /// Of its fields, in bytes.
    size: usize,
    answered: bool,
}

/// The requests of all processes.
#[derive(Debug, Default)]
pub(super) struct Requests {
    held: BTreeMap<ExchangeId, Held>,
    /// Those that were answered, in this order; some are not held any more.
    answered: VecDeque<ExchangeId>,
    bytes: usize,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Of all their fields.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// `size`: of its fields, in bytes.
    pub(super) fn insert(&mut self, id: ExchangeId, pid: ProcessId, size: usize) {
        self.remove(id);
        self.held.insert(id, Held { process: pid, size, answered: false });
        self.bytes += size;
    }

    pub(super) fn remove(&mut self, id: ExchangeId) {
        if let Some(held) = self.held.remove(&id) {
            self.bytes -= held.size;
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<(ExchangeId, ProcessId)> {
        let (id, held) = self.held.pop_first()?;
        self.bytes -= held.size;
        Some((id, held.process))
    }

    pub(super) fn answered(&mut self, id: ExchangeId) {
        if let Some(held) = self.held.get_mut(&id)
            && !std::mem::replace(&mut held.answered, true)
        {
            self.answered.push_back(id);
        }
    }

    /// Takes out the one that was answered first, if more than so many have been.
    pub(super) fn superseded(&mut self, limit: usize) -> Option<(ExchangeId, ProcessId)> {
        while self.answered.len() > limit {
            let id = self.answered.pop_front()?;
            if let Some(held) = self.held.remove(&id) {
                self.bytes -= held.size;
                return Some((id, held.process));
            }
        }
        None
    }

    pub(super) fn process(&self, id: ExchangeId) -> Option<ProcessId> {
        self.held.get(&id).map(|held| held.process)
    }

    /// The oldest that is younger than `id`.
    pub(super) fn after(&self, id: ExchangeId) -> Option<(ExchangeId, ProcessId)> {
        self.held.range((Bound::Excluded(id), Bound::Unbounded)).next().map(|(id, held)| (*id, held.process))
    }
}
