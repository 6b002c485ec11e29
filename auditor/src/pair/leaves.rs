//! Processes that answer much and were not seen to call anybody: web servers, back ends. There is nothing to audit in them,
//! and they cost the most. They are left alone for a while: of what they do only requests that they send are seen, and the
//! first of these wakes them.
//!
//! What a process received while it was left alone is not known, and may be at work for as long as a request is remembered
//! otherwise: whose a call is, is only said where that does not matter ([`Process::may_be_unseen`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::process::{Process, REMEMBERED};
use super::{HashMap, Pairer};
use crate::record::{BootNs, ProcessId};

/// For so long a process is looked at before it is left alone.
const LOOKED_AT: BootNs = 5_000_000_000;
/// Requests that it received meanwhile, at least: of fewer it costs little to look at all.
const BUSY: u64 = 2500;

/// What the source is to do with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Which.
    pub process: ProcessId,
    /// Whether to leave it alone, but for requests that it sends; else to look at it again.
    pub rests: bool,
}

/// Who is left alone.
#[derive(Debug)]
pub(super) struct Leaves {
    /// For how long.
    rest: BootNs,
    resting: HashMap<ProcessId, (BootNs, Arc<str>)>,
    until: BTreeSet<(BootNs, ProcessId)>,
    changes: Vec<Rest>,
}

/// Requests that a process received of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bustle {
    since: Option<BootNs>,
    requests: u64,
}

impl Bustle {
    /// One more. Says, once in a while, whether they are many.
    fn received(&mut self, now: BootNs) -> bool {
        let since = *self.since.get_or_insert(now);
        self.requests += 1;
        if now < since.saturating_add(LOOKED_AT) {
            return false;
        }
        std::mem::take(self).requests >= BUSY
    }
}

impl Pairer {
    /// From now on, leaves processes alone for so long that call nobody; at 0 none.
    pub fn leave_alone(&mut self, rest: BootNs) {
        self.leaves = (rest > 0).then(|| Leaves {
            rest,
            resting: HashMap::default(),
            until: BTreeSet::new(),
            changes: Vec::new(),
        });
    }

    /// What the source is to know since the last time.
    pub fn changes(&mut self) -> Vec<Rest> {
        self.leaves.as_mut().map(|leaves| std::mem::take(&mut leaves.changes)).unwrap_or_default()
    }

    /// Processes that are left alone now.
    pub fn resting(&self) -> usize {
        self.leaves.as_ref().map_or(0, |leaves| leaves.resting.len())
    }

    pub(super) fn is_left_alone(&self, pid: ProcessId) -> bool {
        self.leaves.as_ref().is_some_and(|leaves| leaves.resting.contains_key(&pid))
    }

    /// A process received a request. Leaves it alone if it calls nobody and has much to answer.
    pub(super) fn bustles(&mut self, now: BootNs, pid: ProcessId) {
        let Some(process) = self.processes.peek_mut(&pid).filter(|process| !process.calls) else { return };
        let Some(leaves) = &mut self.leaves else { return };
        if !process.bustle.received(now) {
            return;
        }
        let (until, service) = (now.saturating_add(leaves.rest), process.service.clone());
        leaves.until.insert((until, pid));
        leaves.resting.insert(pid, (until, service.clone()));
        leaves.changes.push(Rest { process: pid, rests: true });
        self.counters.rested += 1;
        if let Some(replicas) = self.services.get_mut(&service) {
            replicas.gone(pid);
        }
        self.forget(now, pid);
    }

    /// Looks again at those that were left alone for long enough.
    pub(super) fn wake(&mut self, now: BootNs) {
        while let Some(leaves) = &self.leaves
            && let Some((_, pid)) = leaves.until.first().filter(|(until, _)| *until <= now)
        {
            self.wake_one(now, *pid);
        }
    }

    /// Looks at a process again, if it is left alone.
    pub(super) fn wake_one(&mut self, now: BootNs, pid: ProcessId) {
        if let Some(service) = self.leaves.as_mut().and_then(|leaves| leaves.remove(pid))
            // Else its pid is another's by now.
            && self.by_tgid.peek(&pid.tgid).is_none_or(|known| *known == pid)
        {
            self.begin(now, pid, &service);
            self.processes.peek_mut(&pid).into_iter().for_each(|process| process.woken(now));
        }
    }

    /// A process is not looked at any more, or is gone.
    pub(super) fn leaves_no_more(&mut self, pid: ProcessId) {
        self.leaves.as_mut().and_then(|leaves| leaves.remove(pid));
    }
}

impl Leaves {
    fn remove(&mut self, pid: ProcessId) -> Option<Arc<str>> {
        let (until, service) = self.resting.remove(&pid)?;
        self.until.remove(&(until, pid));
        self.changes.push(Rest { process: pid, rests: false });
        Some(service)
    }
}

impl Process {
    /// It was left alone until now.
    fn woken(&mut self, now: BootNs) {
        self.forgot_until = BootNs::MAX;
        self.woken = Some(now);
        self.turn = Some(now);
    }

    /// What was not seen while it was left alone is over.
    pub(super) fn is_over(&mut self, now: BootNs) {
        if self.woken.is_some_and(|woken| woken.saturating_add(REMEMBERED) <= now) {
            (self.woken, self.turn) = (None, None);
        }
    }
}
