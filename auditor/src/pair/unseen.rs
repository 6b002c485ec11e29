//! Processes that receive requests which nobody can see: in TLS, or over HTTP/2.
//!
//! Such a request may be at work at any time, with a context or none, and what it brought may be passed on. So whose a call
//! is, is only said where that does not matter, as after a time in which a process was not looked at
//! ([`super::Process::may_be_unseen`]), and what a call carries is not held against it.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::Pairer;
use super::process::REMEMBERED;
use crate::exchange::{Request, Unseen};
use crate::record::{BootNs, ProcessId};

/// Who receives such requests.
#[derive(Debug)]
pub(super) struct Hidden(LruCache<u32, Receiver>);

#[derive(Debug)]
struct Receiver {
    start_ns: u64,
    /// For good: whoever serves TLS will do so again.
    tls: bool,
    /// Open ones with HTTP/2. Not so for good: a stranger can open one to whoever listens.
    connections: u32,
    /// Until when a request may be at work of one that is closed, or that came in what may be TLS.
    until: BootNs,
}

impl Hidden {
    pub(super) fn new(size: NonZeroUsize) -> Self {
        Self(LruCache::sparse(size))
    }

    /// Whether a process that began by then does.
    fn receives(&self, now: BootNs, tgid: u32, by: u64) -> bool {
        let receiver = self.0.peek(&tgid).filter(|receiver| receiver.start_ns <= by);
        receiver.is_some_and(|receiver| receiver.tls || receiver.connections > 0 || now < receiver.until)
    }
}

impl Pairer {
    /// A process receives requests which nobody can see.
    pub fn receives_unseen(&mut self, now: BootNs, process: ProcessId, how: Unseen) {
        let start_ns = process.start_ns;
        let new = || Receiver { start_ns, tls: false, connections: 0, until: 0 };
        let receiver = self.hidden.0.get_or_insert_mut(process.tgid, new);
        if receiver.start_ns != start_ns {
            *receiver = new();
        }
        match how {
            Unseen::Tls => receiver.tls = true,
            Unseen::PerhapsTls => receiver.until = receiver.until.max(now.saturating_add(REMEMBERED)),
            Unseen::Http2 => receiver.connections = receiver.connections.saturating_add(1),
            Unseen::Http2Over => {
                receiver.connections = receiver.connections.saturating_sub(1);
                receiver.until = receiver.until.max(now.saturating_add(REMEMBERED));
            }
        }
    }

    /// Whether such a request may have made a call for this process, or for one below it that made it.
    pub(super) fn may_be_hidden(&self, now: BootNs, request: &Request, service: Option<ProcessId>) -> bool {
        let own = std::iter::once(request.process.tgid);
        let above = request.ancestors.iter().map(|above| above.tgid).filter(|tgid| *tgid != 0);
        for tgid in own.chain(above) {
            if self.hidden.receives(now, tgid, request.process.start_ns) {
                return true;
            }
            if service.is_some_and(|service| service.tgid == tgid) {
                return false;
            }
        }
        false
    }
}
