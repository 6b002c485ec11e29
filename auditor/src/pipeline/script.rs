//! Writes down what happens in a small world, in any order, and runs it through the back half.

use std::collections::HashMap;
use std::sync::Arc;

use auditor_ebpf::wire::{COUNTERS, Task};

use super::{Back, Config};
use crate::audit::Outcome;
use crate::exchange::{End, Event, ExchangeId, Request, RequestHead, Role, Visibility};
use crate::http::NAMES_REQUEST;
use crate::record::{BootNs, Clock, DutyCycle, Endpoints, Process, ProcessId, SocketId, Tick, Workload};
use crate::report::{FindingLine, Line};

pub(super) const MS: BootNs = 1_000_000;
pub(super) const SECOND: BootNs = 1000 * MS;
/// The world begins here.
pub(super) const START: BootNs = 100 * SECOND;

pub(super) fn pid(tgid: u32) -> ProcessId {
    ProcessId { tgid, start_ns: u64::from(tgid) }
}

/// A valid context; each number is a trace of its own.
pub(super) fn context(trace: u64, parent: u64) -> String {
    format!("00-{:032x}-{:016x}-01", u128::from(trace) + (1 << 100), parent + 1)
}

#[derive(Clone, Debug)]
enum Op {
    Request(Box<Request>, u64),
    /// Of the key's request, by this thread, with this status.
    Response(u64, u32, Option<u16>),
    End(u64, End),
    Event(Box<Event>),
}

/// What happens, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    ops: Vec<(BootNs, Op)>,
    next: u64,
    duty_cycle: Option<DutyCycle>,
    leaf_rest_ns: BootNs,
    /// Processes that belong to the service of another one.
    pub(super) same_service: HashMap<u32, u32>,
}

/// One request to write down.
#[derive(Clone, Debug)]
pub(super) struct Say {
    pub(super) pid: ProcessId,
    pub(super) tid: u32,
    pub(super) target: &'static str,
    pub(super) host: &'static str,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) affinity: Vec<u64>,
    pub(super) visibility: Visibility,
    pub(super) ancestors: [Task; 3],
    /// The thread that sends or receives the response.
    pub(super) answered_by: u32,
    pub(super) user_agent: Option<String>,
    /// Name of the thread.
    pub(super) comm: &'static str,
    /// This end of the connection.
    pub(super) port: u16,
    /// The other end.
    pub(super) peer_port: u16,
    pub(super) status: u16,
}

impl Say {
    pub(super) fn new(tgid: u32, tid: u32, target: &'static str) -> Self {
        let host = "backend:8080";
        let visibility = Visibility::Whole;
        let ancestors = Default::default();
        Self {
            pid: pid(tgid),
            tid,
            target,
            host,
            fields: Vec::new(),
            affinity: Vec::new(),
            visibility,
            ancestors,
            answered_by: tid,
            user_agent: None,
            comm: "shop",
            port: 8000,
            peer_port: 8080,
            status: 200,
        }
    }

    pub(super) fn with(mut self, traceparent: impl Into<String>) -> Self {
        self.fields.push(("traceparent", traceparent.into()));
        self
    }

    /// Carries something that others may carry as well: a user's token, an id in the path.
    pub(super) fn value(mut self, value: u64) -> Self {
        self.affinity.push(value);
        self
    }

    /// Carries an id that names one request.
    pub(super) fn request_id(mut self, id: u64) -> Self {
        self.affinity.push(id | NAMES_REQUEST);
        self
    }

    pub(super) fn answered_by(mut self, tid: u32) -> Self {
        self.answered_by = tid;
        self
    }

    /// This end and the other one of the connection.
    pub(super) fn between(mut self, port: u16, peer_port: u16) -> Self {
        (self.port, self.peer_port) = (port, peer_port);
        self
    }

    pub(super) fn seen(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// Forked by these threads, nearest first.
    pub(super) fn below(mut self, above: &[(u32, u32)]) -> Self {
        for (slot, &(tgid, tid)) in self.ancestors.iter_mut().zip(above) {
            *slot = Task { tgid, tid };
        }
        self
    }

    pub(super) fn born(mut self, start_ns: BootNs) -> Self {
        self.pid.start_ns = start_ns;
        self
    }
}

impl Script {
    /// Processes are looked at in turns.
    pub(super) fn in_turns(cycle: DutyCycle) -> Self {
        Self { duty_cycle: Some(cycle), ..Self::default() }
    }

    /// Processes that call nobody are left alone for so long.
    pub(super) fn leaving_alone(leaf_rest_ns: BootNs) -> Self {
        Self { leaf_rest_ns, ..Self::default() }
    }

    pub(super) fn at(&mut self, time: BootNs, event: Event) {
        self.ops.push((START + time, Op::Event(Box::new(event))));
    }

    fn request(&mut self, time: BootNs, role: Role, say: Say) -> u64 {
        self.next += 1;
        let (method, path) = say.target.split_once(' ').unwrap_or(("GET", say.target));
        let mut comm = [0; 16];
        comm[..say.comm.len()].copy_from_slice(say.comm.as_bytes());
        let address = |port| std::net::SocketAddr::from(([10, 0, 0, 1], port));
        let request = Request {
            id: ExchangeId(0),
            role,
            process: say.pid,
            tid: say.tid,
            ancestors: say.ancestors,
            coroutine: 0,
            netns: 1,
            comm,
            socket: SocketId { sock: self.next, inode: self.next },
            endpoints: Endpoints::Tcp { local: address(say.port), remote: address(say.peer_port) },
            started: START + time,
            time: START + time,
            visibility: say.visibility,
            head: RequestHead {
                method: method.into(),
                path: path.into(),
                minor_version: 1,
                host: Some(say.host.into()),
                user_agent: say.user_agent.map(Into::into),
                fields: say.fields.into_iter().collect(),
                affinity: say.affinity,
            },
        };
        self.ops.push((START + time, Op::Request(Box::new(request), self.next)));
        self.next
    }

    /// A request is received, and answered after `takes`.
    pub(super) fn receive(&mut self, time: BootNs, takes: BootNs, say: Say) -> u64 {
        let tid = say.answered_by;
        let id = self.request(time, Role::Server, say);
        self.ops.push((START + time + takes, Op::Response(id, tid, Some(200))));
        self.ops.push((START + time + takes, Op::End(id, End::Complete)));
        id
    }

    /// A request is received, and its client is gone after `takes`.
    pub(super) fn abandon(&mut self, time: BootNs, takes: BootNs, say: Say) {
        let id = self.request(time, Role::Server, say);
        self.ops.push((START + time + takes, Op::End(id, End::ClosedWithoutResponse)));
    }

    /// A call is made, and answered after a millisecond.
    pub(super) fn call(&mut self, time: BootNs, say: Say) -> u64 {
        self.slow_call(time, MS, say)
    }

    /// A call is made, and answered after `takes`.
    pub(super) fn slow_call(&mut self, time: BootNs, takes: BootNs, say: Say) -> u64 {
        let (tid, status) = (say.answered_by, say.status);
        let id = self.request(time, Role::Client, say);
        self.ops.push((START + time + takes, Op::Response(id, tid, Some(status))));
        self.ops.push((START + time + takes, Op::End(id, End::Complete)));
        id
    }

    /// A call is made and its connection closes without an answer.
    pub(super) fn call_in_vain(&mut self, time: BootNs, say: Say) {
        let id = self.request(time, Role::Client, say);
        self.ops.push((START + time + MS, Op::End(id, End::ClosedWithoutResponse)));
    }

    /// The events in order of time.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut ops = self.ops.clone();
        ops.sort_by_key(|(time, _)| *time);
        let clock = Clock {
            boot_ns: START,
            unix_ns: 1_756_030_530_000_000_000,
            host_name: "node-a".into(),
            kernel: "6.18".into(),
            hooks: "sock".into(),
            auditor_version: "0.1.0".into(),
            auditor_pid: 1,
            duty_cycle: self.duty_cycle,
            leaf_rest_ns: self.leaf_rest_ns,
        };
        let process = |tgid: u32| Process {
            id: pid(tgid),
            time: START,
            service: format!("service-{}", self.same_service.get(&tgid).unwrap_or(&tgid)),
            executable: "node".into(),
            command_line: "node server.js".into(),
            cgroup: "/".into(),
            container_id: None,
            workload: Workload::default(),
        };
        let mut events = vec![Event::Clock(Arc::new(clock))];
        events.extend((1..9).map(|tgid| Event::Process(Arc::new(process(tgid)))));
        let mut ids = HashMap::new();
        let mut next = 0;
        let mut tick = START;
        for (time, op) in ops {
            while tick + SECOND < time {
                tick += SECOND;
                events.push(Event::Tick(Arc::new(Tick { time: tick, counters: [0; COUNTERS] })));
            }
            let id = |ids: &HashMap<u64, ExchangeId>, key| ids.get(&key).copied().unwrap_or(ExchangeId(0));
            events.push(match op {
                Op::Request(mut request, key) => {
                    next += 1;
                    request.id = ExchangeId(next);
                    ids.insert(key, request.id);
                    Event::Request(Arc::new(*request))
                }
                Op::Response(key, tid, status) => {
                    Event::Response { id: id(&ids, key), time, tid, coroutine: 0, status }
                }
                Op::End(key, end) => Event::End { id: id(&ids, key), time, end },
                Op::Event(event) => *event,
            });
        }
        events
    }

    pub(super) fn run(&self) -> Ran {
        self.run_with(Config::default())
    }

    pub(super) fn run_with(&self, config: Config) -> Ran {
        run(self.events(), config)
    }
}

pub(super) fn run(events: Vec<Event>, config: Config) -> Ran {
    let mut back = Back::new(config);
    let mut lines = Vec::new();
    for event in events {
        back.handle(event, &mut lines);
    }
    back.finish(&mut lines);
    assert_settled(&back);
    Ran { lines, back }
}

/// Every call is settled once, or suspected.
fn assert_settled(back: &Back) {
    let totals = back.totals();
    for (outcome, calls) in &totals.hops {
        let settled: u64 = totals.settled.iter().filter(|((of, _), _)| of == outcome).map(|(_, calls)| calls).sum();
        let suspected = if *outcome == Outcome::Unknown { totals.suspected } else { 0 };
        assert_eq!(settled + suspected, *calls, "{outcome:?} of {totals:?}");
    }
}

/// What came of it.
pub(super) struct Ran {
    pub(super) lines: Vec<Line>,
    pub(super) back: Back,
}

impl Ran {
    pub(super) fn findings(&self, code: &str) -> Vec<&FindingLine> {
        let findings = self.lines.iter().filter_map(|line| match line {
            Line::Finding(finding) => Some(&**finding),
            _ => None,
        });
        findings.filter(|finding| finding.finding.code == code).collect()
    }

    pub(super) fn count(&self, code: &str) -> u64 {
        self.findings(code).iter().map(|finding| finding.finding.count).sum()
    }

    pub(super) fn codes(&self) -> Vec<&'static str> {
        self.back.totals().info().findings.into_keys().collect()
    }

    pub(super) fn hops(&self, outcome: &str) -> u64 {
        self.back.totals().info().hops.get(outcome).copied().unwrap_or(0)
    }

    pub(super) fn json(&self) -> String {
        self.lines.iter().map(|line| line.to_json() + "\n").collect()
    }
}
