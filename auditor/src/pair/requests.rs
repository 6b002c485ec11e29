//! Every request that is held anywhere, oldest first, and how much of it.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::exchange::ExchangeId;
use crate::record::ProcessId;

/// The requests of all processes.
#[derive(Debug, Default)]
pub(super) struct Requests {
    held: BTreeMap<ExchangeId, (ProcessId, usize)>,
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
        self.held.insert(id, (pid, size));
        self.bytes += size;
    }

    pub(super) fn remove(&mut self, id: ExchangeId) {
        if let Some((_, size)) = self.held.remove(&id) {
            self.bytes -= size;
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<(ExchangeId, ProcessId)> {
        let (id, (pid, size)) = self.held.pop_first()?;
        self.bytes -= size;
        Some((id, pid))
    }

    pub(super) fn process(&self, id: ExchangeId) -> Option<ProcessId> {
        self.held.get(&id).map(|(pid, _)| *pid)
    }

    /// The oldest that is younger than `id`.
    pub(super) fn after(&self, id: ExchangeId) -> Option<(ExchangeId, ProcessId)> {
        self.held.range((Bound::Excluded(id), Bound::Unbounded)).next().map(|(id, (pid, _))| (*id, *pid))
    }
}
