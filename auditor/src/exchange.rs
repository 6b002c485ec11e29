//! Exchanges: one request and its response on one connection of one process.
//!
//! [`Exchanges`] is a bounded table of connections. A `connection` has one framer per direction and decides, from
//! positions, flags and what the other direction showed, whether bytes that look like a head are one; `message` reads
//! the heads and answers requests; `open` is the queue of requests that have not ended.
//!
//! The rule behind every choice here: a request head is [`Visibility::Whole`] only if it can be no part of a body.
//! Where bytes were not seen, the most that may be said is that a request may have crossed: [`Visibility::Lost`].
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod connection;
mod field_lines;
mod message;
mod open;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use auditor_ebpf::wire;

use crate::record::{Blind, BootNs, Clock, Direction, Endpoints, Process, ProcessId, SocketId, Tick};

pub use field_lines::FieldLines;
pub use table::{Counters, Exchanges, Limits};

/// Identity of an exchange within one run: a counter, so that replays agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// Which part the process plays, from data direction x request/response, never from accept/connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The request was *received*: an inbound exchange.
    Server,
    /// The request was *sent*: an outbound exchange.
    Client,
}

/// How much of a request head was seen. Only [`Visibility::Whole`] can prove that a header is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every byte, and it parsed.
    Whole,
    /// Longer than the capture limit, or with more audited fields than are kept: what was seen is true, what was not seen
    /// may exist.
    Truncated,
    /// Bytes are missing or did not parse, or all that is known is that a request may have crossed here: `head` may be
    /// empty.
    Lost,
}

/// What survives of a request head: method, path, host, the audited headers, and hashes of the values that calls made
/// for the request may have in common with it. Nothing else leaves the HTTP stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// Method, as sent.
    pub method: Cow<'static, str>,
    /// Path without query; `*` for `OPTIONS *` and `CONNECT`.
    pub path: Box<str>,
    /// Minor version: 0 or 1.
    pub minor_version: u8,
    /// `Host` header, as sent. The authority of a target does not survive: it can hold a password.
    pub host: Option<Box<str>>,
    /// `User-Agent`, cut at 256 bytes: tells health checks and scrapers.
    pub user_agent: Option<Box<str>>,
    /// Those of audited headers.
    pub fields: FieldLines,
    /// Hashes of correlation ids, credentials, cookies, ids in the path and values in the query: at most
    /// [`AFFINITY_VALUES`](crate::http::AFFINITY_VALUES), none twice. They can be compared within one run.
    pub affinity: Vec<u64>,
}

/// A request crossed a socket; its head is complete, or will never be.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which exchange this opens.
    pub id: ExchangeId,
    /// Server: inbound. Client: outbound.
    pub role: Role,
    /// The process that received or sent it.
    pub process: ProcessId,
    /// The thread whose operation completed the head.
    pub tid: u32,
    /// Forking threads, nearest first.
    pub ancestors: [wire::Task; wire::ANCESTORS],
    /// The coroutine whose operation completed the head, 0 when unknown. It need not be the one that handles the request
    /// or wants the call: Go's `net/http` client has goroutines for every connection that write and read for all.
    pub coroutine: u64,
    /// Network namespace inode.
    pub netns: u32,
    /// Command name of the thread.
    pub comm: [u8; 16],
    /// This end of the connection.
    pub socket: SocketId,
    /// Both ends.
    pub endpoints: Endpoints,
    /// When its first byte crossed.
    pub started: BootNs,
    /// When its head was complete (or given up).
    pub time: BootNs,
    /// How much of it was seen.
    pub visibility: Visibility,
    /// What of it survives.
    pub head: RequestHead,
}

/// Why an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The response is known to be complete, or the next request on the connection implies it.
    Complete,
    /// The connection closed after a response head.
    ClosedAfterResponse,
    /// The connection closed before any final response head: the request failed.
    ClosedWithoutResponse,
    /// It was lost sight of (gap, eviction, end of the run): nothing may be concluded.
    OutOfSight,
    /// The connection became opaque (CONNECT, Upgrade): no more exchanges on it.
    Tunnel,
}

/// What tells that a process receives requests which nobody can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// TLS crossed a connection that it accepted, this way.
    Tls(Direction),
    /// What may have been one was received: what looks like a request of HTTP/2 or a message on a WebSocket, on a connection
    /// that was not seen from its beginning on; something through io_uring.
    Something,
    /// A connection on which it received requests became one on which they cross so: HTTP/2, a WebSocket.
    Opened,
    /// The same of one of which nothing will say that it is over.
    OpenedForLong,
    /// One that was opened is over.
    Closed,
}

/// What the exchange stage tells the pairing stage, in order of time.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A request opened an exchange.
    Request(Arc<Request>),
    /// Its final (not 1xx) response head crossed. `status` is `None` when the head could not be read whole.
    Response {
        /// Which exchange.
        id: ExchangeId,
        /// When.
        time: BootNs,
        /// The thread whose operation completed the head (the server's sent it, the client's received it); 0 when that
        /// was not seen.
        tid: u32,
        /// Its coroutine, 0 when unknown.
        coroutine: u64,
        /// Status code.
        status: Option<u16>,
    },
    /// The exchange is over; every `Request` gets exactly one `End`.
    End {
        /// Which exchange.
        id: ExchangeId,
        /// When.
        time: BootNs,
        /// Why.
        end: End,
    },
    /// Records are missing: anything may have happened between the previous event and this one.
    Lost {
        /// How many records.
        count: u64,
        /// When the hole was found.
        time: BootNs,
    },
    /// A process speaks something that cannot be seen (found in userspace: HTTP/2 preface, `Upgrade: h2c`; or counted
    /// in the kernel).
    Blind(Blind),
    /// A process receives requests which nobody can see.
    Unseen {
        /// Which.
        process: ProcessId,
        /// When that was noticed.
        time: BootNs,
        /// What tells.
        what: Unseen,
    },
    /// The run begins.
    Clock(Arc<Clock>),
    /// A process is described.
    Process(Arc<Process>),
    /// Time passes.
    Tick(Arc<Tick>),
}
