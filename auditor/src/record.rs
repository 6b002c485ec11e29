//! What enters the pipeline: one [`Record`] is one ring-buffer record of the kernel side, or something the daemon
//! learnt beside it (clock, processes, counters). A recording file is a sequence of these, so whatever the pipeline
//! may know is in them.

mod duty_cycle;
mod process;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use auditor_ebpf::wire;
use bytes::BytesMut;
pub use duty_cycle::{DutyCycle, Window};
pub use process::{Process, Workload};
use serde::{Deserialize, Serialize};

/// `CLOCK_BOOTTIME` in nanoseconds: the only clock of the pipeline.
pub type BootNs = u64;

/// No time is later (146 years): a damaged record must not carry the arithmetic behind it over the edge.
pub const LATEST: BootNs = u64::MAX / 4;

/// One input of the pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Bytes of one socket operation.
    Data(Box<Data>),
    /// A socket that spoke HTTP is closing.
    Close(Close),
    /// First record of every run: where and when.
    Clock(Clock),
    /// What `/proc` says of a process; comes before the process's first data record.
    Process(Box<Process>),
    /// Something of a process that cannot be seen.
    Blind(Blind),
    /// Time passes, and the kernel side's counters; about once a second.
    Tick(Tick),
}

/// Identity of one end of a connection: the kernel's socket, never a file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId {
    /// Address of the `struct sock`.
    pub sock: u64,
    /// Inode number of the socket file: tells two sockets apart that reused one address.
    pub inode: u64,
}

/// Identity of a process over pid reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id (thread group id).
    pub tgid: u32,
    /// When it started, `CLOCK_BOOTTIME` ns.
    pub start_ns: BootNs,
}

impl ProcessId {
    /// Of what is the node's rather than a process's.
    pub const NONE: Self = Self { tgid: 0, start_ns: 0 };
}

/// Which way bytes crossed the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The process sent them.
    Send,
    /// The process received them.
    Recv,
}

impl Direction {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Send => Self::Recv,
            Self::Recv => Self::Send,
        }
    }
}

/// Where the ends of a socket are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoints {
    /// TCP (v4-mapped addresses are given as IPv4).
    Tcp {
        /// This end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// AF_UNIX stream socket.
    Unix {
        /// Path of the listening end; empty when unnamed, `@…` when abstract.
        path: Arc<str>,
        /// Process at the other end, where the kernel knows it.
        peer_tgid: Option<u32>,
    },
}

/// Bytes of one socket operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// `FLAG_*` of [`wire`].
    pub flags: u16,
    /// Counts every record of the ring buffer; a hole is a lost record.
    pub seq: u64,
    /// When the operation completed.
    pub time: BootNs,
    /// The connection's end.
    pub socket: SocketId,
    /// Stream position of the first byte; modulo 2^32 unless [`wire::FLAG_COUNTED`].
    pub position: u64,
    /// Bytes the operation moved; `bytes` holds the first of them.
    pub op_len: u32,
    /// Which way.
    pub direction: Direction,
    /// The process.
    pub process: ProcessId,
    /// Counts the `exec`s of the process.
    pub exec_id: u32,
    /// The thread.
    pub tid: u32,
    /// Forking threads, nearest first: (tgid, tid); zeroes past init.
    pub ancestors: [wire::Task; wire::ANCESTORS],
    /// As in [`wire::Data::coroutine`].
    pub coroutine: u64,
    /// cgroup v2 id.
    pub cgroup: u64,
    /// Network namespace inode.
    pub netns: u32,
    /// Command name of the thread.
    pub comm: [u8; 16],
    /// Both ends.
    pub endpoints: Endpoints,
    /// The captured bytes. The framing stage masks what must not travel on (see [`crate::http`]).
    pub bytes: BytesMut,
}

/// A socket that spoke HTTP is closing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Close {
    /// As in [`Data::seq`].
    pub seq: u64,
    /// When.
    pub time: BootNs,
    /// The connection's end.
    pub socket: SocketId,
    /// The peer finished sending (a read returned 0) while this end may still send; otherwise the socket is gone.
    pub eof: bool,
}

/// Where and when the run happened. Serialised as JSON in recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// A moment on the boot clock…
    pub boot_ns: BootNs,
    /// …and the same moment as nanoseconds since the Unix epoch.
    pub unix_ns: i64,
    /// Name of the node.
    pub host_name: String,
    /// Kernel release.
    pub kernel: String,
    /// `sock` or `syscall`.
    pub hooks: String,
    /// Version of the auditor that captured.
    pub auditor_version: String,
    /// The auditor's pid then (never audited).
    pub auditor_pid: u32,
    /// `None`: every process was looked at all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duty_cycle: Option<DutyCycle>,
    /// For how long processes that call nobody were left alone, ns; 0: never.
    #[serde(default, skip_serializing_if = "is_never")]
    pub leaf_rest_ns: BootNs,
}

/// For serde.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_never(time: &BootNs) -> bool {
    *time == 0
}

/// Why something of a process cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlindReason {
    /// TLS: the bytes are encrypted at the socket.
    Tls,
    /// HTTP/2 without TLS.
    Http2,
    /// Operations made through io_uring.
    IoUring,
    /// A 32-bit process.
    CompatSyscall,
    /// Programs below the socket; of no process, and operations are the programs.
    Rewritten,
    /// Requests of HTTP/2, or messages on a WebSocket, as it seems, on connections that were not seen from the beginning.
    Frames,
}

/// Something of a process that cannot be seen; counts since the last such record. JSON in recordings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blind {
    /// Who.
    pub process: ProcessId,
    /// When it was read.
    pub time: BootNs,
    /// Why.
    pub reason: BlindReason,
    /// Connections on which it began.
    pub connections: u64,
    /// Socket operations.
    pub operations: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Time passes. JSON in recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Now.
    pub time: BootNs,
    /// The kernel side's counters, cumulative (`COUNT_*` of [`wire`]).
    pub counters: [u64; wire::COUNTERS],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than its header or than the lengths in it say.
    #[error("record is too short")]
    TooShort,
    /// No such kind.
    #[error("unknown record kind {0}")]
    UnknownKind(u16),
    /// A field holds what the kernel side never writes.
    #[error("record field {0} is out of range")]
    OutOfRange(&'static str),
}

impl Record {
    /// When it happened, on the boot clock.
    pub fn time(&self) -> BootNs {
        match self {
            Self::Data(r) => r.time,
            Self::Close(r) => r.time,
            Self::Clock(r) => r.boot_ns,
            Self::Process(r) => r.time,
            Self::Blind(r) => r.time,
            Self::Tick(r) => r.time,
        }
    }

    /// Position in the kernel's numbering, for the records that come through the ring buffer.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Data(r) => Some(r.seq),
            Self::Close(r) => Some(r.seq),
            Self::Clock(_) | Self::Process(_) | Self::Blind(_) | Self::Tick(_) => None,
        }
    }

    /// Reads a record as the ring buffer delivers it.
    ///
    /// # Errors
    /// When the bytes are not what this version of the kernel side writes.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, DecodeError> {
        use zerocopy::FromBytes;
        let kind = bytes.first_chunk::<2>().map(|k| u16::from_ne_bytes(*k)).ok_or(DecodeError::TooShort)?;
        match kind {
            wire::KIND_DATA => {
                let (header, rest) = wire::Data::read_from_prefix(bytes).map_err(|_| DecodeError::TooShort)?;
                Data::from_wire(&header, rest).map(|data| Self::Data(Box::new(data)))
            }
            wire::KIND_CLOSE => {
                let (close, _) = wire::Close::read_from_prefix(bytes).map_err(|_| DecodeError::TooShort)?;
                Ok(Self::Close(Close {
                    seq: close.seq,
                    time: close.time_ns,
                    socket: SocketId { sock: close.socket, inode: close.inode },
                    eof: close.reason == wire::CLOSE_EOF,
                }))
            }
            other => Err(DecodeError::UnknownKind(other)),
        }
    }
}

impl Data {
    /// Whether a `FLAG_*` is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether it is no bytes of a message, but tells of a process that it receives requests which nobody can see.
    pub fn says_unseen(&self) -> bool {
        self.has(wire::FLAG_SERVES_TLS | wire::FLAG_SERVES_FRAMES)
    }

    fn from_wire(header: &wire::Data, rest: &[u8]) -> Result<Self, DecodeError> {
        let unix = i32::from(header.family) == libc::AF_UNIX;
        let slot = if unix { wire::UNIX_PATH_SLOT } else { 0 };
        let (path, rest) = rest.split_at_checked(slot).ok_or(DecodeError::TooShort)?;
        let captured = usize::try_from(header.captured).map_err(|_| DecodeError::TooShort)?;
        if header.captured > header.op_len {
            return Err(DecodeError::OutOfRange("captured"));
        }
        let bytes = rest.get(..captured).ok_or(DecodeError::TooShort)?;
        let direction = match header.direction {
            wire::DIRECTION_SEND => Direction::Send,
            wire::DIRECTION_RECV => Direction::Recv,
            _ => return Err(DecodeError::OutOfRange("direction")),
        };
        let endpoints = if unix {
            let path = path.get(..usize::from(header.path_len)).ok_or(DecodeError::OutOfRange("path_len"))?;
            Endpoints::Unix { path: unix_path(path), peer_tgid: (header.peer_tgid != 0).then_some(header.peer_tgid) }
        } else {
            Endpoints::Tcp {
                local: socket_addr(header.local, header.local_port),
                remote: socket_addr(header.remote, header.remote_port),
            }
        };
        Ok(Self {
            flags: header.flags,
            seq: header.seq,
            time: header.time_ns,
            socket: SocketId { sock: header.socket, inode: header.inode },
            position: header.position,
            op_len: header.op_len,
            direction,
            process: ProcessId { tgid: header.task.tgid, start_ns: header.start_ns },
            exec_id: header.exec_id,
            tid: header.task.tid,
            ancestors: header.ancestors,
            coroutine: header.coroutine,
            cgroup: header.cgroup,
            netns: header.netns,
            comm: header.comm,
            endpoints,
            bytes: BytesMut::from(bytes),
        })
    }
}

impl Data {
    /// The record as [`Record::from_wire`] reads it, appended to `out`: what a recording holds.
    pub fn to_wire(&self, out: &mut Vec<u8>) {
        use zerocopy::IntoBytes;
        let mut slot = [0u8; wire::UNIX_PATH_SLOT];
        let (mut family, mut path_len, mut peer) = (libc::AF_INET6, 0, 0);
        let (mut local, mut remote) = (None, None);
        match &self.endpoints {
            Endpoints::Tcp { local: l, remote: r } => (local, remote) = (Some(*l), Some(*r)),
            Endpoints::Unix { path, peer_tgid } => {
                family = libc::AF_UNIX;
                peer = peer_tgid.unwrap_or(0);
                for (to, from) in slot.iter_mut().zip(path.bytes().take(wire::UNIX_PATH_CAP)) {
                    *to = from;
                    path_len += 1;
                }
                if path.starts_with('@') {
                    slot[0] = 0;
                }
            }
        }
        let unix = family == libc::AF_UNIX;
        let header = wire::Data {
            kind: wire::KIND_DATA,
            flags: self.flags,
            exec_id: self.exec_id,
            seq: self.seq,
            time_ns: self.time,
            socket: self.socket.sock,
            inode: self.socket.inode,
            position: self.position,
            op_len: self.op_len,
            captured: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
            task: wire::Task { tgid: self.process.tgid, tid: self.tid },
            start_ns: self.process.start_ns,
            cgroup: self.cgroup,
            coroutine: self.coroutine,
            ancestors: self.ancestors,
            netns: self.netns,
            family: u16::try_from(family).unwrap_or(0),
            path_len,
            direction: match self.direction {
                Direction::Send => wire::DIRECTION_SEND,
                Direction::Recv => wire::DIRECTION_RECV,
            },
            local: local.map_or([0; 16], address_bytes),
            remote: remote.map_or([0; 16], address_bytes),
            local_port: local.map_or(0, |a| a.port()),
            remote_port: remote.map_or(0, |a| a.port()),
            peer_tgid: peer,
            comm: self.comm,
        };
        out.extend_from_slice(header.as_bytes());
        if unix {
            out.extend_from_slice(&slot);
        }
        out.extend_from_slice(&self.bytes);
    }
}

impl Close {
    /// As [`Data::to_wire`].
    pub fn to_wire(&self, out: &mut Vec<u8>) {
        use zerocopy::IntoBytes;
        let close = wire::Close {
            kind: wire::KIND_CLOSE,
            flags: 0,
            unused: 0,
            seq: self.seq,
            time_ns: self.time,
            socket: self.socket.sock,
            inode: self.socket.inode,
            reason: if self.eof { wire::CLOSE_EOF } else { wire::CLOSE_LOCAL },
            reserved: 0,
        };
        out.extend_from_slice(close.as_bytes());
    }
}

fn address_bytes(address: SocketAddr) -> [u8; 16] {
    match address.ip() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(v6) => v6.octets(),
    }
}

fn socket_addr(address: [u8; 16], port: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(address).to_canonical(), port)
}

/// An abstract name starts with NUL and is shown with `@`, as `ss` and `/proc/net/unix` do.
fn unix_path(path: &[u8]) -> Arc<str> {
    let text = match path.split_first() {
        Some((0, name)) => format!("@{}", String::from_utf8_lossy(name)),
        _ => String::from_utf8_lossy(path).into_owned(),
    };
    text.trim_end_matches('\0').replace('\0', "@").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(endpoints: Endpoints, bytes: &[u8]) -> Data {
        Data {
            flags: wire::FLAG_START,
            seq: 7,
            time: 1,
            socket: SocketId { sock: 2, inode: 3 },
            position: 4,
            op_len: 50,
            direction: Direction::Recv,
            process: ProcessId { tgid: 5, start_ns: 6 },
            exec_id: 3,
            tid: 8,
            ancestors: [wire::Task { tgid: 9, tid: 10 }; wire::ANCESTORS],
            coroutine: 0,
            cgroup: 11,
            netns: 12,
            comm: *b"nginx\0\0\0\0\0\0\0\0\0\0\0",
            endpoints,
            bytes: BytesMut::from(bytes),
        }
    }

    #[test]
    fn wire_round_trip() {
        let tcp = |local: &str, remote: &str| Endpoints::Tcp {
            local: local.parse().expect("address"),
            remote: remote.parse().expect("address"),
        };
        for endpoints in [
            tcp("127.0.0.1:80", "10.1.2.3:4567"),
            tcp("[::1]:80", "[fe80::1]:4567"),
            Endpoints::Unix { path: "/run/app.sock".into(), peer_tgid: Some(77) },
            Endpoints::Unix { path: "@abstract".into(), peer_tgid: None },
            Endpoints::Unix { path: "".into(), peer_tgid: None },
        ] {
            let record = Record::Data(Box::new(data(endpoints, b"GET / HTTP/1.1\r\n")));
            let mut wire = Vec::new();
            let Record::Data(inner) = &record else { unreachable!() };
            inner.to_wire(&mut wire);
            assert_eq!(Record::from_wire(&wire).expect("round trip"), record);
            for short in 0..wire.len() {
                assert!(Record::from_wire(&wire[..short]).is_err(), "cut at {short}");
            }
        }
    }

    #[test]
    fn strange_bytes_are_errors() {
        assert_eq!(Record::from_wire(&[]), Err(DecodeError::TooShort));
        assert_eq!(Record::from_wire(&[99, 0, 0, 0]), Err(DecodeError::UnknownKind(99)));
        let mut wire = Vec::new();
        data(Endpoints::Unix { path: "/x".into(), peer_tgid: None }, b"GET").to_wire(&mut wire);
        let direction = std::mem::offset_of!(wire::Data, direction);
        wire[direction] = 9;
        assert_eq!(Record::from_wire(&wire), Err(DecodeError::OutOfRange("direction")));
    }
}
