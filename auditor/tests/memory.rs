//! What the pipeline holds at most: far more open requests, processes, threads, routes and destinations than any table
//! has room for, and a budget that follows from the limits.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use auditor::context::format::Fields;
use auditor::context::history::{Fate, History, Limits, Origin};
use auditor::context::w3c::TraceParent;
use auditor::exchange::FieldLines;
use auditor::pipeline::{Pipeline, Settings};
use auditor::record::{Close, Data, Direction, Endpoints, Process, ProcessId, Record, SocketId, Tick, Workload};
use auditor::report::Line;
use auditor_ebpf::wire;
use bytes::BytesMut;
use serde_json::Value;

/// Counts the bytes that are allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: the others' bytes would count.
static ALONE: Mutex<()> = Mutex::new(());

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;

/// What the defaults may hold under the loads of this file.
const BUDGET: usize = 256 << 20;

/// Where it goes at the defaults: bytes an entry, with all that hangs on it, rounded up from what was measured. Whoever
/// raises a limit knows from this what it costs.
mod entry {
    /// A connection, 65,536 of them: 32 MiB.
    pub(crate) const CONNECTION: usize = 512;
    /// A request in the pairing's tables, with its place in some classes and the head it came from, 65,536 open ones: 78
    /// MiB. Of those that were answered a quarter as many are kept.
    pub(crate) const REQUEST: usize = 1248;
    /// A process that receives requests, with four classes of calls from four threads, 4096: 192 MiB.
    pub(crate) const PROCESS: usize = 48 * 1024;
    /// A process whose calls are looked at again, with all kinds of calls that are told apart, 256 of them: 32 MiB.
    pub(crate) const LOOKED_AT: usize = 128 * 1024;
    /// What `/proc` says of a process, 8192: 8 MiB.
    pub(crate) const DESCRIBED: usize = 1024;
    /// An edge with its counts, 8192: 16 MiB.
    pub(crate) const EDGE: usize = 2048;
    /// A finding that is folded, and one that is suspected, 4096 of each: 32 MiB.
    pub(crate) const FINDING: usize = 4096;
    /// What is remembered of calls to judge several together.
    pub(crate) const HISTORY: usize = 4 << 20;
    /// Routes, blind spots, what waits for an earlier record.
    pub(crate) const FIXED: usize = 8 << 20;
}

/// What may be held if the load fills these tables.
fn budget(settings: &Settings, requests: bool, processes: bool) -> usize {
    let back = &settings.back;
    let of_requests = settings.exchange.connections * entry::CONNECTION + back.pairing.requests * entry::REQUEST;
    let of_processes = back.pairing.processes * entry::PROCESS
        + back.max_processes * entry::DESCRIBED
        + back.max_edges * entry::EDGE
        + 2 * back.max_fingerprints * entry::FINDING;
    entry::FIXED + entry::HISTORY + usize::from(requests) * of_requests + usize::from(processes) * of_processes
}

/// Runs a pipeline and sees what it holds.
struct World {
    pipeline: Pipeline,
    lines: Vec<Line>,
    last_stats: Value,
    baseline: usize,
    seq: u64,
    time: u64,
}

impl World {
    fn new(settings: &Settings) -> Self {
        let baseline = LIVE.load(Ordering::Relaxed);
        PEAK.store(baseline, Ordering::Relaxed);
        let pipeline = Pipeline::new(settings.clone());
        Self { pipeline, lines: Vec::new(), last_stats: Value::Null, baseline, seq: 0, time: 100_000 * MS }
    }

    fn push(&mut self, record: Record) {
        self.pipeline.push(record, &mut self.lines);
        self.take_lines();
    }

    fn take_lines(&mut self) {
        for line in self.lines.drain(..) {
            if matches!(line, Line::Stats(_)) {
                self.last_stats = serde_json::from_str(&line.to_json()).expect("a line is JSON");
            }
        }
    }

    fn process(&mut self, tgid: u32) {
        self.push(Record::Process(Box::new(Process {
            id: id(tgid),
            time: self.time,
            service: format!("service-{tgid}"),
            executable: "python3".into(),
            command_line: "python3 /srv/service.py --verbose".into(),
            cgroup: format!("/kubepods/burstable/pod{tgid}"),
            container_id: None,
            workload: Workload::default(),
        })));
    }

    /// A whole message, the first on its connection in its direction.
    fn message(&mut self, connection: u64, direction: Direction, tgid: u32, tid: u32, fresh: bool, message: &str) {
        self.seq += 1;
        self.time += 10 * US;
        let fresh = if fresh { wire::FLAG_FRESH } else { 0 };
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080);
        let remote = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), (connection % 60_000) as u16 + 1024);
        self.push(Record::Data(Box::new(Data {
            flags: wire::FLAG_START | wire::FLAG_COUNTED | fresh,
            seq: self.seq,
            time: self.time,
            socket: socket(connection),
            position: 0,
            op_len: message.len() as u32,
            direction,
            process: id(tgid),
            exec_id: 0,
            tid,
            ancestors: Default::default(),
            coroutine: 0,
            cgroup: 1,
            netns: 1,
            comm: *b"python3\0\0\0\0\0\0\0\0\0",
            endpoints: Endpoints::Tcp { local, remote },
            bytes: BytesMut::from(message.as_bytes()),
        })));
    }

    fn close(&mut self, connection: u64) {
        self.seq += 1;
        self.time += US;
        self.push(Record::Close(Close { seq: self.seq, time: self.time, socket: socket(connection), eof: false }));
    }

    fn tick(&mut self) {
        self.time += MS;
        self.push(Record::Tick(Tick { time: self.time, counters: [0; wire::COUNTERS] }));
    }

    fn peak(&self) -> usize {
        PEAK.load(Ordering::Relaxed).saturating_sub(self.baseline)
    }

    /// Ends the run; says what was counted under a name.
    fn finish(mut self) -> impl Fn(&str, &str) -> u64 {
        self.tick();
        self.pipeline.finish(&mut self.lines);
        self.take_lines();
        let stats = self.last_stats;
        move |stage, name| stats["stats"][stage][name].as_u64().unwrap_or_else(|| panic!("{stage}.{name}: {stats}"))
    }
}

fn id(tgid: u32) -> ProcessId {
    ProcessId { tgid, start_ns: 1 }
}

fn socket(connection: u64) -> SocketId {
    SocketId { sock: connection * 64, inode: connection }
}

fn request(path: &str, host: &str, trace: Option<u64>) -> String {
    let context =
        trace.map_or(String::new(), |trace| format!("traceparent: 00-{:032x}-{trace:016x}-01\r\n", trace + 1));
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: session={trace:?}\r\n{context}\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// Connections of calls.
const CALLS: u64 = 1 << 32;

fn assert_within(world: &World, budget: usize, what: &str) {
    let (peak, budget) = (world.peak(), budget.min(BUDGET));
    println!("{what}: peak {} MiB of {} MiB", peak >> 20, budget >> 20);
    assert!(peak <= budget, "{what}: {peak} bytes held, {budget} allowed");
}

#[test]
fn open_requests_stay_within_the_budget() {
    let _alone = ALONE.lock();
    let settings = Settings::default();
    let mut world = World::new(&settings);
    world.process(1);
    for n in 0..100_000_u64 {
        let tid = 1 + (n % 2000) as u32;
        let (path, trace) = (format!("/shop/{}", n % 100), (n % 10 != 0).then_some(n + 1));
        world.message(n, Direction::Recv, 1, tid, true, &request(&path, "shop", trace));
        // Suspect calls to more places than there are classes.
        if n % 20 == 0 {
            let call = CALLS + n;
            let host = format!("backend-{}:8080", n / 20 % 50);
            world.message(call, Direction::Send, 1, tid, true, &request("/charge", &host, None));
            world.message(call, Direction::Recv, 1, tid, false, OK);
            world.close(call);
        }
        if n % 1000 == 0 {
            world.tick();
        }
    }
    assert_within(&world, budget(&settings, true, false), "100,000 open requests");
    let count = world.finish();
    assert!(count("exchange", "evicted_connections") >= 100_000 - settings.exchange.connections as u64);
    assert!(count("evicted", "requests") >= 100_000 - settings.back.pairing.requests as u64);
    assert!(count("evicted", "threads") > 0 && count("evicted", "classes") > 0);
    assert!(count("tables", "requests") <= settings.back.pairing.requests as u64);
}

#[test]
fn processes_stay_within_the_budget() {
    let _alone = ALONE.lock();
    let settings = Settings::default();
    let mut world = World::new(&settings);
    let mut connection = 0;
    for tgid in 1..=10_000_u32 {
        world.process(tgid);
        for n in 0..4_u32 {
            let (server, trace) = (connection, u64::from(tgid * 8 + n + 1));
            connection += 1;
            let tid = tgid * 10 + n;
            world.message(server, Direction::Recv, tgid, tid, true, &request("/cart", "shop", Some(trace)));
            for backend in 0..4 {
                let call = CALLS + connection;
                connection += 1;
                let host = format!("backend-{backend}:8080");
                world.message(call, Direction::Send, tgid, tid, true, &request("/charge", &host, None));
                world.message(call, Direction::Recv, tgid, tid, false, OK);
                world.close(call);
            }
            // One of them stays open.
            if n != 0 {
                world.message(server, Direction::Send, tgid, tid, false, OK);
                world.close(server);
            }
        }
        if tgid % 100 == 0 {
            world.tick();
        }
    }
    assert_within(&world, budget(&settings, false, true), "10,000 processes");
    let count = world.finish();
    assert!(count("evicted", "processes") >= 10_000 - settings.back.pairing.processes as u64);
    assert!(count("evicted", "edges") > 0 && count("evicted", "suspects") > 0);
    assert!(count("tables", "processes") <= settings.back.pairing.processes as u64);
}

#[test]
fn calls_that_are_looked_at_again_stay_within_the_budget() {
    const PROCESSES: u64 = 280;
    let _alone = ALONE.lock();
    let settings = Settings::default();
    let mut world = World::new(&settings);
    for n in 0..200 {
        for tgid in 1..=PROCESSES {
            let (tgid, connection, call) = (tgid as u32, tgid * 1000 + n, CALLS + tgid * 1000 + n);
            // An event loop, with more kinds of calls than are told apart.
            let (trace, host) = (tgid as u64 * 1000 + n, format!("backend-{}:8080", n % 40));
            world.message(connection, Direction::Recv, tgid, 1, true, &request("/cart", "shop", Some(trace)));
            world.message(call, Direction::Send, tgid, 2, true, &request("/charge", &host, None));
            world.message(call, Direction::Recv, tgid, 2, false, OK);
            world.close(call);
            if n >= 4 {
                world.message(connection - 4, Direction::Send, tgid, 1, false, OK);
                world.close(connection - 4);
            }
        }
        world.time += 20 * MS;
        world.tick();
    }
    let entries = settings.back.pairing.answered * entry::REQUEST
        + settings.back.max_edges * entry::EDGE
        + 2 * settings.back.max_fingerprints * entry::FINDING
        + PROCESSES as usize * entry::PROCESS
        + 256 * entry::LOOKED_AT;
    assert_within(&world, entry::FIXED + entry::HISTORY + entries, "calls that are looked at again");
    let count = world.finish();
    assert!(count("tables", "processes") >= PROCESSES);
}

#[test]
fn what_is_remembered_of_calls_stays_within_its_share() {
    let _alone = ALONE.lock();
    let baseline = LIVE.load(Ordering::Relaxed);
    PEAK.store(baseline, Ordering::Relaxed);
    let mut history = History::new(Limits::default());
    for n in 1..=20_000 {
        let value = TraceParent { version: 0, trace_id: n.into(), parent_id: n, flags: 1 };
        history.parent_set(n, &value);
        history.root(n, n.into(), Some(Origin { id: n, route: n, affinity: &[n, 1, 2] }));
        history.generated(n, n.into());
        history.went_on((n, n), true, true);
        history.received(n, Fields(&FieldLines::default()), &value, Fate::Continued);
    }
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(baseline);
    println!("samples of 20,000 processes: peak {} KiB", peak >> 10);
    assert!(history.evicted > 0 && peak <= entry::HISTORY, "{peak}");
}
