//! What processes received that is broken: a value of a call that is broken alike may be one that its process only passes
//! on, and then it is not its fault, whichever request it was made for.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::audit::Found;
use crate::record::{BootNs, ProcessId};

/// Faults of all processes that are remembered, those that came last.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// For how long after one came it may be passed on: by retries and queues, too.
const PASSED_ON: BootNs = 600_000_000_000;

/// A process, and a way in which what it received was broken: format, rule, reason.
type Key = (ProcessId, &'static str, &'static str, Option<&'static str>);

/// What came broken, and when last.
#[derive(Debug)]
pub(super) struct Broken {
    came: LruCache<Key, BootNs>,
    /// When the latest of those came that are forgotten: any process may have received it.
    forgot: Option<BootNs>,
}

impl Broken {
    pub(super) fn new() -> Self {
        Self { came: LruCache::sparse(KEPT), forgot: None }
    }

    /// A process received this.
    pub(super) fn came(&mut self, now: BootNs, process: ProcessId, found: &Found) {
        let key = key(process, found);
        if let Some((old, at)) = self.came.push(key, now)
            && old != key
        {
            self.forgot = self.forgot.max(Some(at));
        }
    }

    /// Whether a process may only pass this on.
    pub(super) fn may_be_passed_on(&self, now: BootNs, process: ProcessId, found: &Found) -> bool {
        let is_recent = |at: BootNs| now < at.saturating_add(PASSED_ON);
        self.came.peek(&key(process, found)).copied().is_some_and(is_recent) || self.forgot.is_some_and(is_recent)
    }
}

fn key(process: ProcessId, found: &Found) -> Key {
    (process, found.format, found.fault.rule.name, found.fault.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::format::Fault;
    use crate::context::w3c::{self, rules};

    #[test]
    fn what_is_forgotten_may_have_been_received_by_any_process() {
        const SECOND: BootNs = 1_000_000_000;
        let found = Found { format: w3c::NAME, fault: Fault { rule: &rules::MALFORMED, reason: None, detail: None } };
        let pid = |tgid| ProcessId { tgid, start_ns: 1 };
        let mut broken = Broken::new();
        for n in 0..KEPT.get() as u32 {
            broken.came(SECOND, pid(n), &found);
        }
        broken.came(2 * SECOND, pid(0), &found);
        let may = |broken: &Broken, now, tgid| broken.may_be_passed_on(now, pid(tgid), &found);
        assert!(may(&broken, 600 * SECOND, 1) && !may(&broken, 601 * SECOND, 1) && !may(&broken, SECOND, 9999));
        assert!(may(&broken, 601 * SECOND, 0));
        // The oldest goes, which is that of pid 1.
        broken.came(100 * SECOND, pid(9999), &found);
        assert!(may(&broken, 600 * SECOND, 1) && may(&broken, 600 * SECOND, 7777) && !may(&broken, 601 * SECOND, 7777));
    }
}
