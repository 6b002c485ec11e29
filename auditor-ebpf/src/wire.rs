//! What travels from the kernel to the daemon, byte for byte: the ring buffer's records, the parameters the daemon
//! passes in, and the counters it reads back. The recording file holds the same records.
//!
//! A change here is a change of the recording format: bump [`WIRE_VERSION`] and say so in CHANGELOG.md.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Version of every structure in this file; a recording of another version is refused.
pub const WIRE_VERSION: u32 = 1;

/// Most bytes of one message head that are followed and shipped (the limit nginx and Node use by default is lower).
pub const HEAD_CAP: usize = 16 * 1024;

/// Most bytes of an AF_UNIX path: `sizeof(sockaddr_un.sun_path)`.
pub const UNIX_PATH_CAP: usize = 108;

/// Room for the path in a record of an AF_UNIX socket: a multiple of 8, so that the bytes behind it stay aligned.
pub const UNIX_PATH_SLOT: usize = 112;

/// Ancestors of the current task that a record names.
pub const ANCESTORS: usize = 3;

/// `kind` of a record: bytes of one socket operation ([`Data`]).
pub const KIND_DATA: u16 = 1;
/// `kind` of a record: a socket that spoke HTTP is closing ([`Close`]).
pub const KIND_CLOSE: u16 = 2;

/// The operation sent bytes ([`Data::direction`]).
pub const DIRECTION_SEND: u8 = 0;
/// The operation received bytes ([`Data::direction`]).
pub const DIRECTION_RECV: u8 = 1;

/// The operation starts like an HTTP/1 message head (or the HTTP/2 preface), or with a too short beginning of one; a header
/// of the PROXY protocol may stand in front of that.
pub const FLAG_START: u16 = 1 << 0;
/// The operation continues a head that an earlier one left unfinished.
pub const FLAG_CONTINUES: u16 = 1 << 1;
/// The head reached [`HEAD_CAP`] without an end; the rest of it is not shipped.
pub const FLAG_TRUNCATED: u16 = 1 << 2;
/// [`Data::position`] counts from when the kernel side first saw this socket speak HTTP (64 bits). Without the flag it
/// is the TCP sequence number of the first byte, modulo 2^32.
pub const FLAG_COUNTED: u16 = 1 << 3;
/// First record of this socket since the kernel side began to remember it: nothing is known of what came before.
pub const FLAG_FRESH: u16 = 1 << 4;
/// The bytes could not be read (page not present, unreadable message array): `captured` is 0, the head is lost.
pub const FLAG_UNREADABLE: u16 = 1 << 5;
/// Nothing of a head: TLS crosses a connection that the process accepted, so it receives requests that nobody can read.
/// `captured` is 0. Of such operations of a process, in each direction, the first is shipped, the second, the fourth, ….
pub const FLAG_SERVES_TLS: u16 = 1 << 6;
/// The same for what looks like a request of HTTP/2, or a message of a WebSocket, on a connection that was not looked at when
/// it began.
pub const FLAG_SERVES_FRAMES: u16 = 1 << 7;

/// [`Close::reason`]: the peer finished sending (a read returned 0).
pub const CLOSE_EOF: u32 = 1;
/// [`Close::reason`]: the local side closed, or the connection was reset.
pub const CLOSE_LOCAL: u32 = 2;

/// Processes of which it is remembered that they were left alone ([`Leaf`]).
pub const LEAVES: u32 = 16_384;

/// A process that was not seen to call anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Leaf {
    /// When it started, boot-time ns.
    pub start_ns: u64,
    /// Odd while it is left alone. It grows with every change: what crossed a socket in between was not seen.
    pub number: u32,
    /// Padding.
    pub unused: u32,
}

/// A task: process and thread id as user space names them (init pid namespace).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Task {
    /// Process id (the kernel's `tgid`).
    pub tgid: u32,
    /// Thread id (the kernel's `pid`).
    pub tid: u32,
}

/// Header of a data record. For AF_UNIX a slot of [`UNIX_PATH_SLOT`] bytes with the path follows it; then, for every
/// family, `captured` bytes of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Data {
    /// [`KIND_DATA`].
    pub kind: u16,
    /// `FLAG_*`.
    pub flags: u16,
    /// Counts the `exec`s of the process (modulo 2^32): its description changes with them.
    pub exec_id: u32,
    /// Counts every record of the ring buffer, delivered or lost, from 1; a hole is a lost record.
    pub seq: u64,
    /// `CLOCK_BOOTTIME` when the operation completed, ns.
    pub time_ns: u64,
    /// Address of the `struct sock`: with `inode`, the identity of the connection's end.
    pub socket: u64,
    /// Inode number of the socket file.
    pub inode: u64,
    /// Stream position of the operation's first byte; see [`FLAG_COUNTED`].
    pub position: u64,
    /// Bytes the operation moved.
    pub op_len: u32,
    /// How many of them, from the first, follow.
    pub captured: u32,
    /// The task that did the operation.
    pub task: Task,
    /// Start of its process (thread group leader), `CLOCK_BOOTTIME` ns: with the tgid, the identity of the process.
    pub start_ns: u64,
    /// cgroup v2 id of the task.
    pub cgroup: u64,
    /// The coroutine that did the operation, 0 when none is known. In Go the address of the goroutine's `g`, which is
    /// another goroutine's once that one has ended.
    pub coroutine: u64,
    /// Parent, grandparent … as `real_parent` names them: the *thread* that forked, while it lives. Zero past init.
    pub ancestors: [Task; ANCESTORS],
    /// Network namespace inode.
    pub netns: u32,
    /// `AF_INET`, `AF_INET6` or `AF_UNIX`.
    pub family: u16,
    /// Length of the path in the AF_UNIX slot (0: unnamed, or not AF_UNIX).
    pub path_len: u8,
    /// `DIRECTION_*`.
    pub direction: u8,
    /// Local address; IPv4 as v4-mapped IPv6.
    pub local: [u8; 16],
    /// Remote address; IPv4 as v4-mapped IPv6.
    pub remote: [u8; 16],
    /// Local port, host byte order.
    pub local_port: u16,
    /// Remote port, host byte order.
    pub remote_port: u16,
    /// Process at the other end of an AF_UNIX socket (`SO_PEERCRED`), 0 when unknown.
    pub peer_tgid: u32,
    /// Command name of the thread, NUL padded.
    pub comm: [u8; 16],
}

/// A socket that has spoken HTTP is closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Close {
    /// [`KIND_CLOSE`].
    pub kind: u16,
    /// Always 0.
    pub flags: u16,
    /// Always 0.
    pub unused: u32,
    /// As in [`Data::seq`].
    pub seq: u64,
    /// `CLOCK_BOOTTIME`, ns.
    pub time_ns: u64,
    /// As in [`Data::socket`].
    pub socket: u64,
    /// As in [`Data::inode`].
    pub inode: u64,
    /// `CLOSE_*`.
    pub reason: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// What of a process cannot be audited, counted in the kernel: key of the `blind` map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BlindKey {
    /// Process id.
    pub tgid: u32,
    /// `BLIND_*`.
    pub reason: u32,
    /// Start of the process, as in [`Data::start_ns`].
    pub start_ns: u64,
}

/// TLS records cross the socket ([`BlindKey::reason`]).
pub const BLIND_TLS: u32 = 1;
/// HTTP/2 by prior knowledge ([`BlindKey::reason`]).
pub const BLIND_HTTP2: u32 = 2;
/// The operation was made through io_uring ([`BlindKey::reason`]).
pub const BLIND_IO_URING: u32 = 3;
/// The task is a 32-bit one ([`BlindKey::reason`]).
pub const BLIND_COMPAT: u32 = 4;
/// …sent on connections that the process accepted ([`BlindKey::reason`]).
pub const BLIND_SENDS_TLS: u32 = 5;
/// …received on such ([`BlindKey::reason`]).
pub const BLIND_RECEIVES_TLS: u32 = 6;
/// What [`FLAG_SERVES_FRAMES`] is shipped for ([`BlindKey::reason`]).
pub const BLIND_RECEIVES_FRAMES: u32 = 7;

/// Cumulative counts per [`BlindKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BlindCount {
    /// Connections on which it began (TLS hellos, HTTP/2 prefaces); 0 where that is not visible.
    pub connections: u64,
    /// Socket operations affected.
    pub operations: u64,
    /// Bytes of these operations.
    pub bytes: u64,
}

/// Counters the kernel side keeps per CPU; the index is one of `COUNT_*`.
pub const COUNTERS: usize = 16;
/// Socket operations of selected processes, looked at or passed.
pub const COUNT_OPERATIONS: usize = 0;
/// Bytes of these operations.
pub const COUNT_BYTES: usize = 1;
/// Records that were shipped.
pub const COUNT_RECORDS: usize = 2;
/// Stream bytes that were shipped.
pub const COUNT_BYTES_CAPTURED: usize = 3;
/// Operations that started like a message head.
pub const COUNT_HEADS: usize = 4;
/// Records lost: the ring buffer was full.
pub const COUNT_LOST_RING_FULL: usize = 5;
/// Heads lost: the user's buffer could not be read.
pub const COUNT_LOST_UNREADABLE: usize = 6;
/// Operations lost: the per-CPU buffer was in use by another task.
pub const COUNT_LOST_BUSY: usize = 7;
/// Heads that reached [`HEAD_CAP`].
pub const COUNT_TRUNCATED: usize = 8;
/// Sockets that could not be remembered (map full).
pub const COUNT_LOST_SOCKET_TABLE: usize = 9;
