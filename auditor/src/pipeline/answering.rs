//! Who answers: a call that nobody answered is held against its service only if its other end is known to speak HTTP.
//!
//! What looks like a request may be no call at all: programs print the requests that they make, and their output is a socket
//! under systemd, or below Node; logs are shipped over TCP. Nobody ever answers there. Who does not answer a call in time
//! because it is slow, or down, has answered another one, or will.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use crate::exchange::{ExchangeId, Request};
use crate::record::{Endpoints, SocketId};

/// Other ends that have answered, those of the latest calls.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8191);
/// Calls that were judged before they were answered.
const LATE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// The other end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Peer {
    Tcp(SocketAddr),
    Unix(Arc<str>),
    /// One end of a pair without names.
    Pair(SocketId),
}

/// Who has answered.
#[derive(Debug)]
pub(super) struct Answering {
    known: LruCache<Peer, ()>,
    late: LruCache<ExchangeId, Peer>,
}

impl Answering {
    pub(super) fn new() -> Self {
        Self { known: LruCache::sparse(KEPT), late: LruCache::sparse(LATE) }
    }

    /// The call was answered.
    pub(super) fn answered(&mut self, call: &Request) {
        self.known.put(peer(call), ());
    }

    /// So was one that was judged already, if it is known.
    pub(super) fn answered_late(&mut self, call: ExchangeId) {
        if let Some(peer) = self.late.pop(&call) {
            self.known.put(peer, ());
        }
    }

    /// The call was not answered; `may_be`: it may be yet. Says whether its other end has answered another one.
    pub(super) fn is_known(&mut self, call: &Request, may_be: bool) -> bool {
        let peer = peer(call);
        let known = self.known.get(&peer).is_some();
        if !known && may_be {
            self.late.put(call.id, peer);
        }
        known
    }
}

fn peer(call: &Request) -> Peer {
    match &call.endpoints {
        Endpoints::Tcp { remote, .. } => Peer::Tcp(*remote),
        Endpoints::Unix { path, .. } if path.is_empty() => Peer::Pair(call.socket),
        Endpoints::Unix { path, .. } => Peer::Unix(path.clone()),
    }
}
