//! For tests: turns a scripted conversation into the records the kernel side would ship.
//!
//! [`Script::op`] is one socket operation. A small model of the kernel side gives it flags, sequence number and stream
//! position, and leaves it out when it is neither the start nor the continuation of a head.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use auditor_ebpf::wire;
use bytes::BytesMut;

use crate::context::Selection;
use crate::exchange::{Event, ExchangeId, Exchanges, Limits, Request, RequestHead, Role, Visibility};
use crate::http::{Key, Masking, Policy, proxied};
use crate::record::{BootNs, Close, Data, Direction, Endpoints, ProcessId, Record, SocketId, Tick};
use crate::stream::{self, Stream};

/// What a live run masks with, here the same every time.
pub const MASKING: Masking = Masking::Keyed(Key::new([7; 16]));

/// What becomes of fields where everything is audited.
pub fn policy(masking: Masking) -> Policy {
    let selection = Selection::default();
    Policy::new(masking, selection.fields(), selection.prefixes())
}

/// A request seen whole, `GET /` between two ports of loopback; what matters to a test is changed by it.
pub fn request(id: ExchangeId, role: Role, time: BootNs) -> Request {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Request {
        id,
        role,
        process: ProcessId { tgid: 7, start_ns: 1 },
        tid: 1,
        ancestors: Default::default(),
        coroutine: 0,
        netns: 1,
        comm: [0; 16],
        socket: SocketId { sock: id.0, inode: id.0 },
        endpoints: Endpoints::Tcp { local: address(1), remote: address(2) },
        started: time,
        time,
        visibility: Visibility::Whole,
        head: RequestHead {
            method: "GET".into(),
            path: "/".into(),
            minor_version: 1,
            host: Some("backend".into()),
            ..RequestHead::default()
        },
    }
}

/// Position of the first byte of every direction: the numbering wraps soon.
const FIRST_POSITION: u32 = u32::MAX - 100;

#[derive(Clone, Debug, Default)]
struct Side {
    moved: u64,
    /// The unfinished head, when one is followed.
    head: Option<Vec<u8>>,
}

/// A conversation, record by record.
#[derive(Clone, Debug)]
pub struct Script {
    /// What was shipped so far.
    pub records: Vec<Record>,
    /// The process of the operations to come.
    pub process: ProcessId,
    /// The thread of the operations to come.
    pub tid: u32,
    /// The coroutine of the operations to come, 0 for none.
    pub coroutine: u64,
    /// Time of the next record; every record takes a microsecond.
    pub time: u64,
    /// Whether positions are counted (AF_UNIX) instead of TCP sequence numbers.
    pub counted: bool,
    seq: u64,
    sides: HashMap<(u64, bool), Side>,
    known: HashMap<u64, ()>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            process: ProcessId { tgid: 100, start_ns: 1 },
            tid: 100,
            coroutine: 0,
            time: 1_000_000,
            counted: false,
            seq: 0,
            sides: HashMap::new(),
            known: HashMap::new(),
        }
    }
}

impl Script {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The socket of connection `n`.
    pub fn socket(n: u64) -> SocketId {
        SocketId { sock: 0xffff_0000 + n * 64, inode: n }
    }

    /// One operation on connection `n`, shipped or not.
    pub fn op(&mut self, n: u64, direction: Direction, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        let proxied = proxied::mask(&mut bytes.to_vec());
        let of_head = &bytes[proxied..];
        let side = self.side(n, direction);
        let flags = match &mut side.head {
            // What was followed may have been part of a body all along.
            Some(_) if begins_a_head(of_head) => wire::FLAG_CONTINUES | wire::FLAG_START,
            Some(_) => wire::FLAG_CONTINUES,
            None if starts_like_a_head(of_head) => {
                side.head = Some(Vec::new());
                wire::FLAG_START
            }
            None => {
                self.skip(n, direction, bytes.len() as u64);
                return self;
            }
        };
        let mut captured = bytes.len().min(wire::HEAD_CAP);
        let mut truncated = 0;
        if let Some(head) = &mut side.head {
            let room = wire::HEAD_CAP - head.len();
            head.extend_from_slice(of_head);
            if ends_a_head(head) {
                side.head = None;
            } else if head.len() >= wire::HEAD_CAP {
                captured = captured.min(room);
                truncated = wire::FLAG_TRUNCATED;
                side.head = None;
            }
        }
        self.data(n, direction, flags | truncated, bytes.get(..captured).unwrap_or_default(), bytes.len());
        self
    }

    /// An operation received by connection `n`.
    pub fn recv(&mut self, n: u64, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.op(n, Direction::Recv, bytes)
    }

    /// An operation sent by connection `n`.
    pub fn send(&mut self, n: u64, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.op(n, Direction::Send, bytes)
    }

    /// Bytes that cross without a record: sendfile, or a body.
    pub fn skip(&mut self, n: u64, direction: Direction, count: u64) -> &mut Self {
        self.side(n, direction).moved += count;
        self
    }

    /// An operation whose bytes could not be read.
    pub fn unreadable(&mut self, n: u64, direction: Direction, len: usize) -> &mut Self {
        self.data(n, direction, wire::FLAG_UNREADABLE, b"", len);
        self
    }

    /// A data record with these flags (FRESH is added), whatever the model says.
    pub fn data(&mut self, n: u64, direction: Direction, flags: u16, bytes: &[u8], op_len: usize) -> &mut Self {
        let fresh = if self.known.insert(n, ()).is_none() { wire::FLAG_FRESH } else { 0 };
        let moved = self.side(n, direction).moved;
        let position = if self.counted { moved } else { u64::from(FIRST_POSITION.wrapping_add(moved as u32)) };
        let counted = if self.counted { wire::FLAG_COUNTED } else { 0 };
        self.side(n, direction).moved += op_len as u64;
        let (seq, time) = self.stamp();
        let port = 1024 + (n % 60_000) as u16;
        self.records.push(Record::Data(Box::new(Data {
            flags: flags | fresh | counted,
            seq,
            time,
            socket: Self::socket(n),
            position,
            op_len: op_len as u32,
            direction,
            process: self.process,
            exec_id: 0,
            tid: self.tid,
            ancestors: Default::default(),
            coroutine: self.coroutine,
            cgroup: 1,
            netns: 1,
            comm: *b"test\0\0\0\0\0\0\0\0\0\0\0\0",
            endpoints: if self.counted {
                Endpoints::Unix { path: "/run/test".into(), peer_tgid: None }
            } else {
                Endpoints::Tcp {
                    local: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080),
                    remote: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                }
            },
            bytes: BytesMut::from(bytes),
        })));
        self
    }

    /// Connection `n` is gone; its number may be used again.
    pub fn close(&mut self, n: u64) -> &mut Self {
        self.sides.remove(&(n, false));
        self.sides.remove(&(n, true));
        self.known.remove(&n);
        self.closing(n, false)
    }

    /// The peer of connection `n` finished sending.
    pub fn eof(&mut self, n: u64) -> &mut Self {
        self.closing(n, true)
    }

    /// A second passes.
    pub fn tick(&mut self) -> &mut Self {
        self.time += 1_000_000_000;
        self.records.push(Record::Tick(Tick { time: self.time, counters: [0; wire::COUNTERS] }));
        self
    }

    /// The next record of the ring buffer is lost.
    pub fn lose(&mut self) -> &mut Self {
        self.seq += 1;
        self
    }

    fn closing(&mut self, n: u64, eof: bool) -> &mut Self {
        let (seq, time) = self.stamp();
        self.records.push(Record::Close(Close { seq, time, socket: Self::socket(n), eof }));
        self
    }

    fn stamp(&mut self) -> (u64, u64) {
        self.seq += 1;
        self.time += 1_000;
        (self.seq, self.time)
    }

    fn side(&mut self, n: u64, direction: Direction) -> &mut Side {
        self.sides.entry((n, direction == Direction::Send)).or_default()
    }

    /// Runs the records through ordering and framing up to the end.
    pub fn events(&self) -> Vec<Event> {
        run(&mut self.records.clone())
    }
}

/// Runs records through ordering and framing up to the end as a live run does, and leaves them masked.
pub fn run(records: &mut Vec<Record>) -> Vec<Event> {
    run_with(records, MASKING)
}

/// The same with values masked like this.
pub fn run_with(records: &mut Vec<Record>, masking: Masking) -> Vec<Event> {
    let mut stream = Stream::new(stream::Limits::default());
    let mut exchanges = Exchanges::new(Limits::default(), policy(masking));
    let (mut ordered, mut events) = (Vec::new(), Vec::new());
    for record in records.drain(..) {
        stream.push(record, &mut |item| ordered.push(item));
    }
    stream.finish(&mut |item| ordered.push(item));
    let mut time = 0;
    for mut item in ordered {
        exchanges.feed(&mut item, &mut events);
        if let stream::Ordered::Record(record) = item {
            time = time.max(record.time());
            records.push(record);
        }
    }
    exchanges.finish(time, &mut events);
    events
}

const FIRST_WORDS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"PATCH ",
    b"HTTP/1.",
    b"PRI * HTTP/2",
];

/// What the kernel side takes for the start of a head, or for a too short beginning of one.
fn starts_like_a_head(bytes: &[u8]) -> bool {
    begins_a_head(bytes) || !bytes.is_empty() && FIRST_WORDS.iter().any(|word| word.starts_with(bytes))
}

fn begins_a_head(bytes: &[u8]) -> bool {
    FIRST_WORDS.iter().any(|word| bytes.starts_with(word))
}

fn ends_a_head(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|end| end == b"\n\n") || bytes.windows(3).any(|end| end == b"\n\r\n")
}
