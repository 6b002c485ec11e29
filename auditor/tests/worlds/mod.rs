//! Small fleets whose truth is known: who forwards, who drops, and who makes calls for which nobody is to blame.

use std::collections::{BTreeSet, VecDeque};

use auditor::pipeline::{Pipeline, Settings};
use auditor::record::{Clock, Direction, Process, ProcessId, Record, Tick, Workload};
use auditor::report::Line;
use auditor::testing::Script;
use auditor_ebpf::wire;
use proptest::prelude::*;
use serde_json::Value;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const SECOND: u64 = 1_000 * MS;
const START: u64 = 100 * SECOND;
/// The parts of a message cross within this time; messages that depend on each other are further apart.
const MESSAGE: u64 = 900 * US;

/// Who makes a request's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threading {
    /// The thread that received it, which has no other.
    PerRequest,
    /// The only thread there is.
    Loop,
    /// Any of a few that receive nothing.
    HandOff,
}

/// What becomes of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    Forward,
    Pass,
    Drop,
    Restart,
}

/// Requests without context that make calls without context: nobody's fault, but seen without these requests, the
/// calls look like dropped contexts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bare {
    /// One after the other, each open for so many milliseconds and calling whenever a traced request is open.
    Long(u64),
    /// One beside every traced request.
    Paired,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Even,
    Late,
    Random,
}

/// Calls that nobody asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    pub(crate) every_ms: u64,
    pub(crate) pace: Pace,
    /// On the thread that serves requests, where there is one.
    pub(crate) in_loop: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    None,
    Length,
    Chunked,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) threading: Threading,
    pub(crate) treatment: Treatment,
    pub(crate) requests: u64,
    pub(crate) calls: u64,
    pub(crate) gap_ms: u64,
    pub(crate) takes_ms: u64,
    /// How long a call waits for its answer.
    pub(crate) waits_ms: u64,
    /// Calls go over kept connections.
    pub(crate) kept: bool,
    pub(crate) body: Body,
    pub(crate) bare: Option<Bare>,
    pub(crate) timer: Option<Timer>,
    /// Calls without context go where the others go.
    pub(crate) same_edge: bool,
    pub(crate) seed: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct World(pub(crate) Vec<Service>);

/// What a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// Clock, processes, ticks.
    Beside,
    /// A request with context.
    Traced,
    /// A request without.
    Bare,
    /// A call.
    Call,
    /// Responses and closes.
    Other,
}

/// How messages are cut, and how far apart the parts cross; empty: not at all.
pub(crate) type Cuts = Vec<(u8, u8)>;

fn service() -> impl Strategy<Value = Service> {
    let threading = prop_oneof![Just(Threading::PerRequest), Just(Threading::Loop), Just(Threading::HandOff)];
    let treatment = prop_oneof![
        4 => Just(Treatment::Forward),
        1 => Just(Treatment::Pass),
        2 => Just(Treatment::Drop),
        1 => Just(Treatment::Restart)
    ];
    let bare = prop_oneof![
        1 => Just(None),
        3 => (1_000_u64..25_000).prop_map(|lasts| Some(Bare::Long(lasts))),
        1 => Just(Some(Bare::Paired)),
    ];
    let pace = prop_oneof![Just(Pace::Even), Just(Pace::Late), Just(Pace::Random)];
    let timer =
        (20_u64..900, pace, any::<bool>()).prop_map(|(every_ms, pace, in_loop)| Timer { every_ms, pace, in_loop });
    let body = prop_oneof![Just(Body::None), Just(Body::Length), Just(Body::Chunked)];
    let waits = prop_oneof![2 => Just(2_u64), 1 => 100_u64..4000];
    let load = (60_u64..90, 1_u64..3, prop_oneof![20_u64..300, 300_u64..1500], 12_u64..150, waits);
    (threading, treatment, load, any::<bool>(), body, bare, proptest::option::of(timer), any::<bool>(), any::<u64>())
        .prop_map(
            |(
                threading,
                treatment,
                (requests, calls, gap_ms, takes_ms, waits_ms),
                kept,
                body,
                bare,
                timer,
                same_edge,
                seed,
            )| {
                // Which of the calls to one place were dropped and which never had a context nobody could tell.
                let healthy = matches!(treatment, Treatment::Forward | Treatment::Pass);
                Service {
                    threading,
                    treatment,
                    requests,
                    calls,
                    gap_ms,
                    takes_ms,
                    waits_ms,
                    kept,
                    body,
                    bare: bare.filter(|_| healthy),
                    timer,
                    same_edge: same_edge && healthy,
                    seed,
                }
            },
        )
}

/// Any fleet.
pub(crate) fn worlds() -> impl Strategy<Value = World> {
    prop::collection::vec(service(), 1..4).prop_map(World)
}

/// Where a lost record does most harm: calls without context, in step with traced requests, that a request without
/// context makes.
pub(crate) fn trap(threading: Threading, lasts_ms: u64) -> World {
    World(vec![Service {
        threading,
        treatment: Treatment::Forward,
        requests: 80,
        calls: 1,
        gap_ms: 200,
        takes_ms: 40,
        waits_ms: 2,
        kept: true,
        body: Body::None,
        bare: Some(Bare::Long(lasts_ms)),
        timer: None,
        same_edge: false,
        seed: 7,
    }])
}

/// xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20) % limit.max(1)
    }
}

#[derive(Clone, Debug)]
enum What {
    Message(Direction, Vec<u8>),
    Close,
    Tick,
}

#[derive(Clone, Debug)]
struct Op {
    time: u64,
    tgid: u32,
    tid: u32,
    connection: u64,
    mark: Mark,
    what: What,
}

/// Kept connections: (number, free from).
#[derive(Default)]
struct Pool(VecDeque<(u64, u64)>);

/// Writes down what happens.
#[derive(Default)]
struct Pen {
    ops: Vec<Op>,
    connections: u64,
}

impl Pen {
    fn op(&mut self, time: u64, (tgid, tid): (u32, u32), connection: u64, mark: Mark, what: What) {
        self.ops.push(Op { time, tgid, tid, connection, mark, what });
    }

    fn connect(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// A connection that nobody uses from `from` to `to`.
    fn kept(&mut self, pool: &mut Pool, from: u64, to: u64) -> u64 {
        let free = pool.0.iter_mut().find(|(_, free)| *free + 2 * MS < from);
        if let Some((connection, free)) = free {
            *free = to;
            return *connection;
        }
        let connection = self.connect();
        pool.0.push_back((connection, to));
        connection
    }

    fn call(&mut self, time: u64, waits: u64, task: (u32, u32), head: String, pool: Option<&mut Pool>) {
        let end = time + waits;
        let kept = pool.is_some();
        let connection = match pool {
            Some(pool) => self.kept(pool, time, end),
            None => self.connect(),
        };
        self.op(time, task, connection, Mark::Call, What::Message(Direction::Send, head.into_bytes()));
        self.op(end, task, connection, Mark::Other, What::Message(Direction::Recv, OK.to_vec()));
        if !kept {
            self.op(end + MS, task, connection, Mark::Other, What::Close);
        }
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn traceparent(trace: u64, parent: u64) -> String {
    format!("traceparent: 00-{:032x}-{:016x}-01\r\n", u128::from(trace) + (1 << 100), parent + 1)
}

fn request(path: &str, context: &str, body: Body) -> Vec<u8> {
    let fake = "GET /fake HTTP/1.1\r\n\r\n";
    let (method, rest) = match body {
        Body::None => ("GET", "\r\n".to_owned()),
        Body::Length => ("POST", format!("Content-Length: {}\r\n\r\n{fake}", fake.len())),
        Body::Chunked => ("POST", format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{fake}\r\n0\r\n\r\n", fake.len())),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: entry\r\nCookie: a=b\r\n{context}{rest}").into_bytes()
}

impl Service {
    fn write(&self, n: u32, pen: &mut Pen) {
        let tgid = 100 + n;
        let first = tgid * 1000;
        let mut dice = Dice(self.seed | 1);
        let (mut inbound, mut outbound) = (Pool::default(), Pool::default());
        let thread = |request: u64| match self.threading {
            Threading::PerRequest => first + 10 + (request % 40) as u32,
            Threading::Loop | Threading::HandOff => first,
        };
        let caller = |request: u64| match self.threading {
            Threading::HandOff => first + 500 + (request % 5) as u32,
            _ => thread(request),
        };
        let call = |path: &str, context: &str| {
            format!("POST {path} HTTP/1.1\r\nHost: backend-{n}:8080\r\n{context}Content-Length: 0\r\n\r\n")
        };
        let bare_call = call(if self.same_edge { "/charge" } else { "/feed" }, "");
        let (takes, waits) = (self.takes_ms * MS, self.waits_ms * MS);
        let mut time = START + dice.below(50 * MS);
        // (begins, offset of a call a companion would make)
        let mut arrivals = Vec::new();
        for request_number in 0..self.requests {
            time += self.gap_ms * MS / 2 + dice.below(self.gap_ms * MS) + dice.below(997);
            let trace = u64::from(tgid) << 32 | request_number;
            let end = time + takes;
            let connection = pen.kept(&mut inbound, time, end);
            let task = (tgid, thread(request_number));
            let head = request("/cart", &traceparent(trace, 0), self.body);
            pen.op(time, task, connection, Mark::Traced, What::Message(Direction::Recv, head));
            for number in 0..self.calls {
                let context = match self.treatment {
                    Treatment::Forward => traceparent(trace, number + 1),
                    Treatment::Pass => traceparent(trace, 0),
                    Treatment::Drop => String::new(),
                    Treatment::Restart => traceparent(trace + (1 << 60) + (number << 50), 0),
                };
                let at = time + 3 * MS + (takes - 8 * MS) / 2 * number + dice.below(MS);
                let pool = self.kept.then_some(&mut outbound);
                pen.call(at, waits, (tgid, caller(request_number)), call("/charge", &context), pool);
            }
            pen.op(end, task, connection, Mark::Other, What::Message(Direction::Send, OK.to_vec()));
            arrivals.push((time, 4 * MS + dice.below(takes - 8 * MS)));
        }
        let until = time + takes;
        match self.bare {
            None => {}
            Some(Bare::Paired) => {
                for (pair, &(begins, offset)) in arrivals.iter().enumerate() {
                    let (begins, ends) = (begins + 111 * US, begins + takes + MS);
                    let connection = pen.kept(&mut inbound, begins, ends);
                    let number = 20 + pair as u64;
                    let task = (tgid, thread(number));
                    pen.op(
                        begins,
                        task,
                        connection,
                        Mark::Bare,
                        What::Message(Direction::Recv, request("/watch", "", self.body)),
                    );
                    let pool = self.kept.then_some(&mut outbound);
                    pen.call(begins + offset, waits, (tgid, caller(number)), bare_call.clone(), pool);
                    pen.op(ends, task, connection, Mark::Other, What::Message(Direction::Send, OK.to_vec()));
                }
            }
            Some(Bare::Long(lasts)) => {
                let connection = pen.connect();
                let mut begins = START + MS;
                while begins < until {
                    let ends = begins + lasts * MS;
                    let number = 900;
                    let task = match self.threading {
                        Threading::PerRequest => (tgid, first + number),
                        _ => (tgid, first),
                    };
                    let works = match self.threading {
                        Threading::HandOff => (tgid, first + 501),
                        _ => task,
                    };
                    pen.op(
                        begins,
                        task,
                        connection,
                        Mark::Bare,
                        What::Message(Direction::Recv, request("/watch", "", Body::None)),
                    );
                    for (arrives, offset) in &arrivals {
                        let at = arrives + offset;
                        if begins + 5 * MS < at && at + 5 * MS < ends {
                            let pool = self.kept.then_some(&mut outbound);
                            pen.call(at, waits, works, bare_call.clone(), pool);
                        }
                    }
                    pen.op(ends, task, connection, Mark::Other, What::Message(Direction::Send, OK.to_vec()));
                    begins = ends + 100 * MS + dice.below(200 * MS);
                }
            }
        }
        if let Some(timer) = self.timer {
            let every = timer.every_ms * MS;
            let task = (tgid, if timer.in_loop { thread(0) } else { first + 800 });
            let mut pool = Pool::default();
            let head = if self.same_edge { bare_call } else { call("/config", "") };
            let mut at = START + 10 * MS + dice.below(every);
            while at < until {
                pen.call(at, waits, task, head.clone(), Some(&mut pool));
                at += match timer.pace {
                    Pace::Even => every,
                    Pace::Late => every + dice.below(every / 3),
                    Pace::Random => {
                        5 * MS + (-((dice.below(1 << 30) + 1) as f64 / (1_u64 << 30) as f64).ln() * every as f64) as u64
                    }
                };
            }
        }
    }

    /// The code of its fault, if it has one.
    fn fault(&self) -> Option<&'static str> {
        match self.treatment {
            Treatment::Forward => None,
            Treatment::Pass => Some("parent_id_not_updated"),
            Treatment::Drop => Some("traceparent_dropped"),
            Treatment::Restart => Some("trace_restarted"),
        }
    }
}

impl World {
    /// What the kernel side would ship of it, and what each record belongs to.
    pub(crate) fn records(&self, cuts: &Cuts) -> (Vec<Record>, Vec<Mark>) {
        let mut pen = Pen::default();
        for (n, service) in self.0.iter().enumerate() {
            service.write(n as u32, &mut pen);
        }
        let last = pen.ops.iter().map(|op| op.time).max().unwrap_or(START);
        for second in 1..=(last - START) / SECOND + 1 {
            pen.op(START + second * SECOND, (0, 0), 0, Mark::Beside, What::Tick);
        }
        pen.ops.sort_by_key(|op| op.time);

        let mut parts: Vec<Op> = Vec::new();
        let mut next = cuts.iter().cycle();
        for op in pen.ops {
            let What::Message(direction, bytes) = &op.what else {
                parts.push(op);
                continue;
            };
            let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
            // The part with the end of the head crosses when the message would have.
            let mut here: Vec<usize> = Vec::new();
            let mut apart = 0;
            while let Some(&(cut, distance)) = next.next().filter(|(cut, _)| here.len() < 3 && cut % 4 != 0) {
                here.push(usize::from(cut) * bytes.len() / 256);
                apart = MESSAGE * u64::from(distance) / 256 / 4;
            }
            here.push(bytes.len());
            here.sort_unstable();
            let ends = here.iter().position(|to| head <= *to).unwrap_or(0);
            let mut from = 0;
            for (nth, to) in here.into_iter().enumerate() {
                if from < to {
                    let what = What::Message(*direction, bytes[from..to].to_vec());
                    let time = op.time + apart * nth as u64 - apart * ends as u64;
                    parts.push(Op { time, what, ..op.clone() });
                }
                from = to;
            }
        }
        parts.sort_by_key(|op| op.time);

        let mut script = Script::new();
        script.records.push(Record::Clock(Clock {
            boot_ns: START,
            unix_ns: 1_756_030_530_000_000_000,
            host_name: "node-a".into(),
            kernel: "6.18".into(),
            hooks: "sock".into(),
            auditor_version: "0.1.0".into(),
            auditor_pid: 1,
            duty_cycle: None,
            leaf_rest_ns: 0,
        }));
        for n in 0..self.0.len() as u32 {
            script.records.push(Record::Process(Box::new(Process {
                id: process(100 + n),
                time: START,
                service: format!("service-{n}"),
                executable: "python3".into(),
                command_line: "python3 /srv/service.py".into(),
                cgroup: "/".into(),
                container_id: None,
                workload: Workload::default(),
            })));
        }
        let mut marks = vec![Mark::Beside; script.records.len()];
        for op in parts {
            script.process = process(op.tgid);
            script.tid = op.tid;
            script.time = op.time - US;
            match op.what {
                What::Message(direction, bytes) => {
                    script.op(op.connection, direction, bytes);
                }
                What::Close => {
                    script.close(op.connection);
                }
                What::Tick => {
                    script.records.push(Record::Tick(Tick { time: op.time, counters: [0; wire::COUNTERS] }));
                }
            }
            if marks.len() < script.records.len() {
                marks.push(op.mark);
            }
        }
        assert_eq!(marks.len(), script.records.len());
        (script.records, marks)
    }

    /// Which process breaks the context, and how.
    pub(crate) fn truth(&self) -> BTreeSet<(u64, String)> {
        let faults = (100..).zip(&self.0).filter_map(|(tgid, service)| Some((tgid, service.fault()?.to_owned())));
        faults.collect()
    }
}

fn process(tgid: u32) -> ProcessId {
    ProcessId { tgid, start_ns: u64::from(tgid) }
}

/// The whole pipeline.
pub(crate) fn run(records: Vec<Record>, settings: Settings) -> Vec<Line> {
    let mut pipeline = Pipeline::new(settings);
    let mut lines = Vec::new();
    for record in records {
        pipeline.push(record, &mut lines);
    }
    pipeline.finish(&mut lines);
    lines
}

/// Whom the lines accuse: (process, code, edge).
pub(crate) fn accused(lines: &[Line]) -> BTreeSet<(u64, String, String)> {
    let findings = lines.iter().filter(|line| matches!(line, Line::Finding(_)));
    findings
        .map(|line| serde_json::from_str::<Value>(&line.to_json()).expect("a line is JSON"))
        .filter(|line| line["finding"]["direction"] == "outbound" && line["level"] != "info")
        .map(|line| {
            let edge = format!(
                "{} -> {} {}",
                line["finding"]["inbound"]["http.route"],
                line["attributes"]["server.address"],
                line["attributes"]["http.route"]
            );
            let code = line["finding"]["code"].as_str().unwrap_or_default().to_owned();
            (line["resource"]["process.pid"].as_u64().unwrap_or_default(), code, edge)
        })
        .collect()
}
