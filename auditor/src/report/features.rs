//! What may tell the calls of an edge apart: features of a call, and of the request it was made for.

use std::borrow::Cow;

use super::address::cut;
use crate::exchange::Request;
use crate::pair::{Inbound, Method, Pairing};
use crate::record::Endpoints;

/// Longest value that is kept.
const VALUE_CAP: usize = 96;
/// Segments of a path: the rest is mostly ids.
const SEGMENTS: usize = 2;

/// What a call has in one respect; `None` when it has nothing there.
pub(super) type Value<'a> = Option<Cow<'a, str>>;

/// A call that was judged.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    request: &'a Request,
    status: Option<u16>,
    /// Only if it is known which request made the call, not just which route.
    parent: Option<&'a Inbound>,
}

impl<'a> Call<'a> {
    /// A call, how it was paired, and the status of its response.
    pub fn new(request: &'a Request, pairing: &'a Pairing, status: Option<u16>) -> Self {
        let known = matches!(
            pairing.method,
            Method::TraceId
                | Method::Coroutine
                | Method::Thread
                | Method::ChildProcess
                | Method::SoleCandidate
                | Method::Affinity
        );
        Self { request, status, parent: pairing.parent.as_deref().filter(|_| known) }
    }
}

/// A respect in which calls differ. What explains most comes first: it is named if several tell the calls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// Whether the request was sampled, above all.
    TraceFlags,
    UserAgent,
    Version,
    InboundPath,
    Path,
    InboundClient,
    Peer,
    Status,
    /// Without its number: that of a pool.
    ThreadName,
    Pid,
    /// Port of the connection at the client's end.
    Connection,
    ThreadId,
}

impl Feature {
    pub(super) const ALL: [Self; 12] = [
        Self::TraceFlags,
        Self::UserAgent,
        Self::Version,
        Self::InboundPath,
        Self::Path,
        Self::InboundClient,
        Self::Peer,
        Self::Status,
        Self::ThreadName,
        Self::Pid,
        Self::Connection,
        Self::ThreadId,
    ];

    /// As the output names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TraceFlags => "trace_flags",
            Self::UserAgent => "user_agent.original",
            Self::Version => "network.protocol.version",
            Self::InboundPath | Self::Path => "url.path",
            Self::InboundClient => "client.address",
            Self::Peer => "network.peer.address",
            Self::Status => "http.response.status_code",
            Self::ThreadName => "thread.name",
            Self::Pid => "process.pid",
            Self::Connection => "network.local.port",
            Self::ThreadId => "thread.id",
        }
    }

    /// For people.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::TraceFlags => "inbound trace flags",
            Self::UserAgent => "user agent",
            Self::Version => "HTTP version",
            Self::InboundPath => "inbound path",
            Self::Path => "path",
            Self::InboundClient => "client",
            Self::Peer => "peer",
            Self::Status => "status",
            Self::ThreadName => "thread",
            Self::Pid => "process",
            Self::Connection => "local port",
            Self::ThreadId => "thread id",
        }
    }

    /// Whether it is one of the request, not of the call.
    pub(super) fn is_inbound(self) -> bool {
        matches!(self, Self::TraceFlags | Self::InboundPath | Self::InboundClient)
    }

    /// `None` when it is not known.
    pub(super) fn of<'a>(self, call: &Call<'a>) -> Option<Value<'a>> {
        let request = call.request;
        Some(match self {
            Self::TraceFlags => call.parent?.carried.w3c.valid().map(|context| format!("{:02x}", context.flags).into()),
            Self::InboundPath => Some(beginning(&call.parent?.path)),
            Self::InboundClient => ends(&call.parent?.endpoints).map(|(_, remote)| remote.ip().to_string().into()),
            Self::UserAgent => request.head.user_agent.as_deref().map(|agent| cut(agent, VALUE_CAP).into()),
            Self::Version => Some(if request.head.minor_version == 0 { "1.0" } else { "1.1" }.into()),
            Self::Path => Some(beginning(&request.head.path)),
            Self::Peer => ends(&request.endpoints).map(|(_, remote)| remote.ip().to_string().into()),
            Self::Status => call.status.map(|status| status.to_string().into()),
            Self::ThreadName => Some(pool(&request.comm)),
            Self::Pid => Some(request.process.tgid.to_string().into()),
            Self::Connection => ends(&request.endpoints).map(|(local, _)| local.port().to_string().into()),
            Self::ThreadId => Some(request.tid.to_string().into()),
        })
    }
}

fn ends(endpoints: &Endpoints) -> Option<(std::net::SocketAddr, std::net::SocketAddr)> {
    match endpoints {
        Endpoints::Tcp { local, remote } => Some((*local, *remote)),
        Endpoints::Unix { .. } => None,
    }
}

/// The first segments of a path.
fn beginning(path: &str) -> Cow<'_, str> {
    let whole = path.trim_start_matches('/');
    let end = whole.match_indices('/').nth(SEGMENTS - 1).map_or(path.len(), |(at, _)| path.len() - whole.len() + at);
    cut(path.get(..end).unwrap_or(path), VALUE_CAP).into()
}

/// The name of a thread without the number it has in its pool.
fn pool(comm: &[u8; 16]) -> Cow<'_, str> {
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
    let name = String::from_utf8_lossy(comm.get(..end).unwrap_or_default());
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || !c.is_alphanumeric()).len();
    if stem == 0 || name.ends_with(char::is_alphabetic) {
        return name;
    }
    // The word that a number is part of, such as `ipv6`, keeps it.
    if name.get(stem..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        return name;
    }
    name.get(..stem).unwrap_or_default().to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_a_pool_have_one_name() {
        let named = |name: &str| {
            let mut comm = [0; 16];
            comm[..name.len()].copy_from_slice(name.as_bytes());
            pool(&comm).into_owned()
        };
        for (name, of) in [
            ("pool-1-thread-1", "pool-1-thread"),
            ("pool-2-thread-", "pool-2-thread"),
            ("Thread #12", "Thread"),
            ("tokio-runtime-w", "tokio-runtime-w"),
            ("pool-2", "pool"),
            ("ipv6", "ipv6"),
            ("12", "12"),
            ("", ""),
        ] {
            assert_eq!(named(name), of, "{name}");
        }
    }

    #[test]
    fn a_path_begins_with_two_segments() {
        for (path, of) in [
            ("/a/b/c", "/a/b"),
            ("/a/b/", "/a/b"),
            ("/a/b", "/a/b"),
            ("/", "/"),
            ("", ""),
            ("*", "*"),
            ("//a/b/c", "//a/b"),
        ] {
            assert_eq!(beginning(path), of, "{path}");
        }
    }
}
