//! Goroutines as the kernel side tells them apart: which one received a request, made a call, sent a response.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use auditor::exchange::{Event, ExchangeId, Request, Role};
use auditor::pipeline::{Front, Settings};
use auditor::source::recording::Reader;
use auditor_tests::auditor::auditor_command;
use auditor_tests::client::Load;
use auditor_tests::fleet::source;
use auditor_tests::go::{Go, Link};
use auditor_tests::kernel::require_root;
use auditor_tests::process::{Service, TempDir};

/// Requests of a load, 16 at once.
const REQUESTS: usize = 160;

/// A request and who answered it.
struct Exchange {
    request: Arc<Request>,
    /// Coroutine that sent or received the response.
    responder: u64,
    /// When, boot-time ns.
    answered: u64,
}

impl Exchange {
    fn coroutine(&self) -> u64 {
        self.request.coroutine
    }

    fn is_open(&self, time: u64) -> bool {
        (self.request.time..self.answered).contains(&time)
    }
}

/// By trace.
type Exchanges = BTreeMap<Vec<u8>, Exchange>;

/// What was seen of a service in Go and its backend.
struct Seen {
    inbound: Exchanges,
    outbound: Exchanges,
    backend: Exchanges,
}

/// Records the service under load.
fn record(hooks: &str, link: Link, path: &str) -> Seen {
    require_root();
    let dir = TempDir::new("coroutine");
    let program = dir.path().join("coroutine");
    Go::find_or_install().build(&[source("coroutine.go")], link, &program);
    let backend = Service::backend();
    let service = Service::spawn(Command::new(program).arg(backend.addr.port().to_string()));
    let file = dir.path().join("recording");
    let mut recorder = auditor_command()
        .args(["record", "--hooks", hooks, "--pid", &service.pid_arg(), "--pid", &backend.pid_arg(), "--output"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("auditor starts");
    let mut stderr = BufReader::new(recorder.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("recording to") {
        assert!(stderr.read_line(&mut said).is_ok_and(|length| length > 0), "auditor does not record: {said}");
    }
    let report = Load::new(&service.addr, path).clients(16).total(REQUESTS).run();
    let pid = recorder.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|status| status.success()));
    assert!(recorder.wait().is_ok_and(|status| status.success()));
    assert_eq!(report.all(), REQUESTS as u64);
    let seen = read(&file, service.pid());
    for exchanges in [&seen.inbound, &seen.outbound, &seen.backend] {
        assert_eq!(exchanges.len(), REQUESTS, "every request is seen");
    }
    seen
}

fn read(recording: &Path, service: u32) -> Seen {
    let mut reader = Reader::new(BufReader::new(File::open(recording).expect("it is there"))).expect("a recording");
    let settings = Settings::default().for_recording();
    let mut front = Front::new(&settings);
    let mut events = Vec::new();
    while let Some(record) = reader.next_record().expect("a recording") {
        front.push(record, &mut events, |_| ());
    }
    front.finish(&mut events, |_| ());

    let mut open: BTreeMap<ExchangeId, Arc<Request>> = BTreeMap::new();
    let mut seen = Seen { inbound: BTreeMap::new(), outbound: BTreeMap::new(), backend: BTreeMap::new() };
    for event in events {
        match event {
            Event::Request(request) => drop(open.insert(request.id, request)),
            Event::Response { id, time, coroutine, .. } => {
                let request = open.remove(&id).expect("a response follows its request");
                let exchanges = match request.role {
                    _ if request.process.tgid != service => &mut seen.backend,
                    Role::Server => &mut seen.inbound,
                    Role::Client => &mut seen.outbound,
                };
                let exchange = Exchange { request, responder: coroutine, answered: time };
                exchanges.insert(trace(&exchange.request), exchange);
            }
            _ => {}
        }
    }
    seen
}

/// The service passes `traceparent` on as it came.
fn trace(request: &Request) -> Vec<u8> {
    let named = |name: &[u8]| name.eq_ignore_ascii_case(b"traceparent");
    let field = request.head.fields.iter().find(|(name, _)| named(name));
    field.map(|(_, value)| value.to_vec()).expect("every request has one")
}

/// net/http has a goroutine for every connection: it reads the request, runs the handler, writes the response.
fn assert_handlers_are_told_apart(inbound: &Exchanges) {
    for exchange in inbound.values() {
        assert_ne!(exchange.coroutine(), 0);
        assert_eq!(exchange.coroutine(), exchange.responder);
    }
    let mut at_once = 0;
    for one in inbound.values() {
        for other in inbound.values().filter(|other| one.is_open(other.request.time)) {
            if one.request.id != other.request.id {
                at_once += 1;
                assert_ne!(one.coroutine(), other.coroutine(), "handlers at the same time");
            }
        }
    }
    assert!(at_once > REQUESTS, "hardly anything happened at the same time");
}

fn own_connection(hooks: &str, link: Link) {
    let seen = record(hooks, link, "/own");
    assert_handlers_are_told_apart(&seen.inbound);
    for (trace, call) in &seen.outbound {
        let handler = seen.inbound[trace].coroutine();
        assert_eq!((call.coroutine(), call.responder), (handler, handler), "the handler's own call");
    }
    assert!(seen.backend.values().all(|exchange| (exchange.coroutine(), exchange.responder) == (0, 0)), "it is no Go");
}

/// A handler that writes its call itself.
fn a_call_has_the_key_of_its_handler(hooks: &str) {
    own_connection(hooks, Link::Plain);
}

/// net/http's client has two goroutines for every connection, one that writes and one that reads: a call's key is the
/// connection's, and says nothing of who made it.
fn a_call_by_a_pooled_client_has_the_key_of_its_connection(hooks: &str) {
    let seen = record(hooks, Link::Plain, "/client");
    assert_handlers_are_told_apart(&seen.inbound);
    // Once a goroutine has ended its key is another's.
    let handles = |key: u64, time: u64| seen.inbound.values().any(|at| at.coroutine() == key && at.is_open(time));
    let mut by_connection = BTreeMap::new();
    for call in seen.outbound.values() {
        let keys = (call.coroutine(), call.responder);
        assert!(keys.0 != 0 && keys.1 != 0 && keys.0 != keys.1, "{keys:x?}");
        assert!(!handles(keys.0, call.request.time) && !handles(keys.1, call.answered), "{keys:x?}");
        assert_eq!(*by_connection.entry(call.request.socket.inode).or_insert(keys), keys);
    }
}

auditor_tests::with_both_hooks!(
    a_call_has_the_key_of_its_handler,
    a_call_by_a_pooled_client_has_the_key_of_its_connection,
);

#[test]
fn position_independent() {
    own_connection("auto", Link::Pie);
}

#[test]
fn with_the_c_library() {
    own_connection("auto", Link::Cgo);
}

/// Where the C library's thread-local variables are in the executable, the goroutine's place is another: no key, and no
/// wrong one.
#[test]
fn with_the_c_library_inside_nothing_is_known() {
    let seen = record("auto", Link::CgoStatic, "/own");
    for exchange in seen.inbound.values().chain(seen.outbound.values()) {
        assert_eq!((exchange.coroutine(), exchange.responder), (0, 0));
    }
}
