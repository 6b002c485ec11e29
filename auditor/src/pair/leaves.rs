//! Processes that answer much and were not seen to call anybody: web servers, back ends. There is nothing to audit in them,
//! and they cost the most. They are left alone for a while: of what they do only requests that they send are seen, and the
//! first of these wakes them.
//!
//! What a process received while it was left alone is not known, and may be at work for as long as a request is remembered
//! otherwise: whose a call is, is only said where that does not matter ([`Process::may_be_unseen`]). What a call carries
//! that no request brought is not held against it for as long as any request can be open.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::process::{Process, REMEMBERED};
use super::{ABANDONED, Pairer};
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
    /// Until when, and of which service. All rest equally long: who began first is the first to be woken.
    resting: LruCache<ProcessId, (BootNs, Arc<str>)>,
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
        let elapsed = now.saturating_sub(*self.since.get_or_insert(now));
        self.requests += 1;
        if elapsed < LOOKED_AT {
            return false;
        }
        let requests = std::mem::take(self).requests;
        requests.saturating_mul(LOOKED_AT) >= BUSY.saturating_mul(elapsed)
    }
}

impl Pairer {
    /// From now on, leaves processes alone for so long that call nobody; at 0 none.
    pub fn leave_alone(&mut self, rest: BootNs) {
        let size = NonZeroUsize::new(self.limits.processes).unwrap_or(NonZeroUsize::MIN);
        self.leaves = (rest > 0).then(|| Leaves { rest, resting: LruCache::sparse(size), changes: Vec::new() });
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
        self.leaves.as_ref().is_some_and(|leaves| leaves.resting.contains(&pid))
    }

    /// A process received a request. Leaves it alone if it calls nobody and has much to answer.
    pub(super) fn bustles(&mut self, now: BootNs, pid: ProcessId) {
        let Some(process) = self.processes.peek_mut(&pid).filter(|process| !process.calls) else { return };
        let Some(leaves) = &mut self.leaves else { return };
        if !process.bustle.received(now) || leaves.resting.len() == leaves.resting.cap().get() {
            return;
        }
        let (until, service) = (now.saturating_add(leaves.rest), process.service.clone());
        leaves.resting.put(pid, (until, service.clone()));
        leaves.changes.push(Rest { process: pid, rests: true });
        self.counters.rested += 1;
        if let Some(replicas) = self.services.get_mut(&service) {
            replicas.gone(pid);
        }
        self.forget(now, pid);
    }

    /// A process sent what wakes it, but is no call: it is left alone as before.
    pub fn rests_on(&mut self, pid: ProcessId) {
        if let Some(leaves) = self.leaves.as_mut().filter(|leaves| leaves.resting.contains(&pid)) {
            leaves.changes.push(Rest { process: pid, rests: true });
        }
    }

    /// Looks again at those that were left alone for long enough.
    pub(super) fn wake(&mut self, now: BootNs) {
        while let Some(leaves) = &self.leaves
            && let Some((pid, _)) = leaves.resting.peek_lru().filter(|(_, (until, _))| *until <= now)
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
        let (_, service) = self.resting.pop(&pid)?;
        self.changes.push(Rest { process: pid, rests: false });
        Some(service)
    }
}

impl Process {
    /// It sends a request, or a child of it does: from now on what it answers is remembered for that.
    pub(super) fn calls(&mut self, now: BootNs) {
        if !std::mem::replace(&mut self.calls, true) {
            // What was open when it was left alone, or came then, may be for long.
            let remembered = if self.woken.is_some() { ABANDONED } else { REMEMBERED };
            self.forgot_until = self.forgot_until.min(now.saturating_add(remembered));
        }
    }

    /// Whether a call may go on with a request that would be known if it had not been forgotten early.
    pub(super) fn may_have_forgotten(&self, now: BootNs) -> bool {
        now < self.forgot_until
    }

    /// It was left alone until now.
    fn woken(&mut self, now: BootNs) {
        self.forgot_until = BootNs::MAX;
        self.woken = Some(now);
        self.turn = Some(now);
    }

    /// A call without context is not held to be of what was not seen any more.
    pub(super) fn is_over(&mut self, now: BootNs) {
        if self.woken.is_some_and(|woken| woken.saturating_add(REMEMBERED) <= now) {
            self.turn = None;
        }
    }
}
