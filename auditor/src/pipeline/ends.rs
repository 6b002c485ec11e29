//! The two ends of a request, where both are on this node: the client's and the server's socket each show it.
//!
//! They are known by what they have in common: the addresses, and the head, byte for byte. Where something in between
//! changes either (NAT, a proxy), there is nothing in common, and nothing is concluded.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::quality::RandomState;

use super::latest::Latest;
use crate::exchange::{ExchangeId, Request, Role, Visibility};
use crate::record::{BootNs, Endpoints, ProcessId};

/// Requests of which one end was seen, and requests whose other end is known: so many of either at least.
const KEPT: usize = 8192;
/// Both ends are seen within this: a socket is not read for long before its sender's system call has returned.
pub(super) const APART: BootNs = 1_000_000_000;

/// One end of a request.
#[derive(Clone, Copy, Debug)]
struct End {
    exchange: ExchangeId,
    process: ProcessId,
    role: Role,
    time: BootNs,
}

/// Finds the other end.
#[derive(Debug)]
pub(super) struct Ends {
    alone: Latest<u128, End>,
    peers: Latest<ExchangeId, ProcessId>,
    /// What both ends of a request have in common.
    common: Vec<u8>,
    /// Keyed for the run: strangers choose what is hashed.
    keys: [RandomState; 2],
}

impl Ends {
    pub(super) fn new() -> Self {
        Self { alone: Latest::new(KEPT), peers: Latest::new(KEPT), common: Vec::new(), keys: Default::default() }
    }

    /// A request crossed one end. Gives the exchange at the other one if it did there, too.
    pub(super) fn meet(&mut self, request: &Request) -> Option<ExchangeId> {
        if !common(request, &mut self.common) {
            return None;
        }
        let [high, low] = self.keys.each_ref().map(|key| key.hash_one(&*self.common));
        let key = u128::from(high) << 64 | u128::from(low);
        let here = End { exchange: request.id, process: request.process, role: request.role, time: request.time };
        let there = self
            .alone
            .pop(&key)
            .filter(|there| there.role != request.role && there.time.abs_diff(request.time) <= APART);
        let Some(there) = there else {
            self.alone.put(key, here);
            return None;
        };
        self.peers.put(there.exchange, here.process);
        self.peers.put(here.exchange, there.process);
        Some(there.exchange)
    }

    /// The process at the other end of an exchange.
    pub(super) fn peer(&self, exchange: ExchangeId) -> Option<ProcessId> {
        self.peers.get(&exchange).copied()
    }
}

/// What both ends have in common, in `common`; `false` where that is not enough.
fn common(request: &Request, common: &mut Vec<u8>) -> bool {
    if request.visibility != Visibility::Whole {
        return false;
    }
    common.clear();
    let mut add = |part: &[u8]| {
        common.extend_from_slice(&part.len().to_ne_bytes());
        common.extend_from_slice(part);
    };
    match (&request.endpoints, request.role) {
        (Endpoints::Tcp { local, remote }, role) => {
            let (client, server) = if role == Role::Client { (local, remote) } else { (remote, local) };
            // Every network namespace has a loopback of its own; other addresses reach from one to the next.
            let netns = if local.ip().is_loopback() { request.netns } else { 0 };
            add(&netns.to_ne_bytes());
            for end in [client, server] {
                match end.ip() {
                    IpAddr::V4(ip) => add(&ip.octets()),
                    IpAddr::V6(ip) => add(&ip.octets()),
                }
                add(&end.port().to_ne_bytes());
            }
        }
        // The name of a listener, and who connected to it.
        (Endpoints::Unix { path, .. }, Role::Client) if !path.is_empty() => {
            add(path.as_bytes());
            add(&request.process.tgid.to_ne_bytes());
        }
        (Endpoints::Unix { path, peer_tgid: Some(client) }, Role::Server) if !path.is_empty() => {
            add(path.as_bytes());
            add(&client.to_ne_bytes());
        }
        (Endpoints::Unix { .. }, _) => return false,
    }
    let head = &request.head;
    add(head.method.as_bytes());
    add(head.path.as_bytes());
    for value in [&head.host, &head.user_agent] {
        add(value.as_deref().unwrap_or_default().as_bytes());
        add(&[u8::from(value.is_some())]);
    }
    for (name, value) in &head.fields {
        add(name);
        add(value);
    }
    true
}

#[cfg(test)]
mod tests;
