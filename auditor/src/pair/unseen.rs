//! Processes that receive requests which nobody can see: in TLS, over HTTP/2, on a WebSocket, through io_uring.
//!
//! Such a request may be at work at any time, with a context or none, and what it brought may be passed on. So whose a call
//! is, is only said where that does not matter, as after a time in which a process was not looked at
//! ([`super::Process::may_be_unseen`]), and what a call carries is not held against it.
//!
//! A stranger can send whatever it likes to a process that listens. So that is remembered for as long as a request of it may
//! be at work, and for good only TLS, if the process answers in kind.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::process::REMEMBERED;
use super::{ABANDONED, Pairer};
use crate::exchange::{Request, Unseen};
use crate::record::{BootNs, Direction, ProcessId};

/// Who receives such requests, by pid; the one of whom it mattered least recently goes first.
#[derive(Debug)]
pub(super) struct Hidden(LruCache<u32, Receiver>);

#[derive(Debug)]
struct Receiver {
    start_ns: u64,
    sent_tls: bool,
    received_tls: bool,
    /// Open connections on which they cross.
    opened: u32,
    /// Until when one may be at work of what was seen.
    until: BootNs,
}

impl Receiver {
    fn new(start_ns: u64) -> Self {
        Self { start_ns, sent_tls: false, received_tls: false, opened: 0, until: 0 }
    }

    fn note(&mut self, now: BootNs, what: Unseen) {
        match what {
            Unseen::Tls(Direction::Send) => self.sent_tls = true,
            Unseen::Tls(Direction::Recv) => self.received_tls = true,
            Unseen::Something | Unseen::OpenedForLong => {}
            Unseen::Opened => self.opened = self.opened.saturating_add(1),
            Unseen::Closed => self.opened = self.opened.saturating_sub(1),
        }
        let works = if what == Unseen::OpenedForLong { ABANDONED } else { REMEMBERED };
        self.until = self.until.max(now.saturating_add(works));
    }

    fn receives(&self, now: BootNs) -> bool {
        self.sent_tls && self.received_tls || self.opened > 0 || now < self.until
    }
}

impl Hidden {
    pub(super) fn new(size: NonZeroUsize) -> Self {
        Self(LruCache::sparse(size))
    }

    /// How many do.
    fn count(&self, now: BootNs) -> usize {
        self.0.iter().filter(|(_, receiver)| receiver.receives(now)).count()
    }

    /// Whether a process does which `is` the one of that pid.
    fn receives(&mut self, now: BootNs, tgid: u32, is: impl Fn(u64) -> bool) -> bool {
        self.0.get(&tgid).is_some_and(|receiver| is(receiver.start_ns) && receiver.receives(now))
    }
}

impl Pairer {
    /// A process receives requests which nobody can see.
    pub fn receives_unseen(&mut self, now: BootNs, process: ProcessId, what: Unseen) {
        let receiver = self.hidden.0.get_or_insert_mut(process.tgid, || Receiver::new(process.start_ns));
        if receiver.start_ns < process.start_ns {
            *receiver = Receiver::new(process.start_ns);
        }
        if receiver.start_ns == process.start_ns {
            receiver.note(now, what);
        }
    }

    /// How many processes receive such requests.
    pub fn receiving_unseen(&self, now: BootNs) -> usize {
        self.hidden.count(now)
    }

    /// Whether such a request may have made a call for this process, or for one below it that made it.
    pub(super) fn may_be_hidden(&mut self, now: BootNs, request: &Request, service: Option<ProcessId>) -> bool {
        let ProcessId { tgid, start_ns } = request.process;
        if self.hidden.receives(now, tgid, |began| began == start_ns) {
            return true;
        }
        if service == Some(request.process) {
            return false;
        }
        for above in request.ancestors.iter().map(|above| above.tgid).filter(|above| *above != 0 && *above != tgid) {
            // A pid that was reused belongs to a process younger than the child.
            if self.hidden.receives(now, above, |began| began <= start_ns) {
                return true;
            }
            if service.is_some_and(|service| service.tgid == above) {
                return false;
            }
        }
        false
    }
}
