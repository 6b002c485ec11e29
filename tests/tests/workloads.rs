//! The workloads do what the kernel tests believe: what a service received and what it sent on, seen by both ends,
//! without any auditor.

use std::sync::mpsc::{Receiver, channel};

use auditor_tests::client::{Body, Load};
use auditor_tests::fleet::{Nginx, Treatment, interpreted};
use auditor_tests::http::{Connection, Head, HeaderStyle, ReadStyle, TraceParent, WriteStyle};
use auditor_tests::process::{Service, TempDir};
use auditor_tests::socket::{Addr, Listener};

/// A backend in this process that hands over every head it receives.
fn observer() -> (Addr, Receiver<Head>) {
    observer_at(&"127.0.0.1:0".parse().expect("an address"))
}

fn observer_at(addr: &Addr) -> (Addr, Receiver<Head>) {
    let (listener, addr) = Listener::bind(addr).expect("it can listen");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        while let Ok(stream) = listener.accept() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut connection = Connection::new(stream, ReadStyle::Plain, WriteStyle::Whole);
                while let Ok(Some(head)) = connection.read_head() {
                    if connection.skip_body(&head).is_err() || sender.send(head).is_err() {
                        break;
                    }
                    let _ = connection.write_plain(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
            });
        }
    });
    (addr, receiver)
}

/// The trace contexts that arrived, of which there must be as many as requests.
fn contexts(heads: &Receiver<Head>, calls: u64) -> Vec<Option<TraceParent>> {
    let seen: Vec<Head> = heads.try_iter().collect();
    assert_eq!(seen.len() as u64, calls);
    seen.iter().map(|head| head.get("traceparent").and_then(TraceParent::parse)).collect()
}

fn assert_treated(heads: &Receiver<Head>, calls: u64, treatment: Treatment) {
    let contexts = contexts(heads, calls);
    let carried = contexts.iter().flatten().filter(|context| context.trace_id.len() == 32).count() as u64;
    assert_eq!(carried, if treatment == Treatment::Forwards { calls } else { 0 });
}

#[test]
fn native_modes() {
    for (mode, treatment) in
        [("forward", Treatment::Forwards), ("pass", Treatment::Forwards), ("drop", Treatment::Drops)]
    {
        let (addr, heads) = observer();
        let service = Service::workload(mode, &["--mode", mode, "--call", &format!("POST /charge {addr}")]);
        let calls = Load::new(&service.addr, "/cart").clients(4).total(40).run().all();
        assert_treated(&heads, calls, treatment);
    }
}

#[test]
fn native_styles_arrive_whole() {
    let styles: [&[&str]; 10] = [
        &["--write", "bytes"],
        &["--write", "split-each"],
        &["--write", "split-each", "--fresh"],
        &["--write", "iovecs:1"],
        &["--write", "sendmmsg:9", "--read", "recvmmsg"],
        &["--read", "peek"],
        &["--read", "readv"],
        &["--respond", "chunked"],
        &["--respond", "sendfile"],
        &["--header", "after-cookies"],
    ];
    for style in styles {
        let (addr, heads) = observer();
        let call = format!("POST /charge {addr}");
        let args: Vec<&str> = ["--call", &call].into_iter().chain(style.iter().copied()).collect();
        let service = Service::workload("styles", &args);
        let calls = Load::new(&service.addr, "/cart").write(WriteStyle::SplitEach).run().all();
        assert_treated(&heads, calls, Treatment::Forwards);
    }
    for (name, style) in HeaderStyle::ALL {
        let (addr, heads) = observer();
        let call = format!("POST /charge {addr}");
        let service = Service::workload(name, &["--call", &call, "--header", name]);
        let calls = Load::new(&service.addr, "/cart").header(style).reconnect().run().all();
        assert_treated(&heads, calls, Treatment::Forwards);
    }
}

#[test]
fn bodies_are_consumed() {
    let (addr, heads) = observer();
    let service = Service::workload("bodies", &["--call", &format!("POST /charge {addr}")]);
    let fake = b"POST /fake HTTP/1.1\r\nHost: fake\r\n\r\n".to_vec();
    let bodies = [Body::Length(fake.clone()), Body::Chunked(fake), Body::Zeroes(3 << 20)];
    let calls = bodies.map(|body| Load::new(&service.addr, "/cart").post(body).total(5).run().all()).iter().sum();
    assert_treated(&heads, calls, Treatment::Forwards);
}

#[test]
fn every_family_of_addresses_is_served() {
    let dir = TempDir::new("families");
    let unix = format!("unix:{}/service", dir.path().display());
    for listen in ["[::1]:0", "[::ffff:127.0.0.1]:0", &unix] {
        let (addr, heads) = observer();
        let service = Service::workload("family", &["--listen", listen, "--call", &format!("GET / {addr}")]);
        assert_treated(&heads, Load::new(&service.addr, "/cart").run().all(), Treatment::Forwards);
    }
}

#[test]
fn background_calls_go_on() {
    let (addr, heads) = observer();
    let _service =
        Service::workload("poller", &["--background", &format!("GET /poll {addr}"), "--background-every-ms", "1"]);
    for _ in 0..3 {
        let head = heads.recv_timeout(auditor_tests::process::PATIENCE).expect("a call comes");
        assert!(head.start.starts_with("GET /poll ") && head.get("traceparent").is_none());
    }
}

#[test]
fn interpreted_services() {
    let services = [
        ("python3", "server.py", "http.client"),
        ("python3", "server.py", "urllib"),
        ("python3", "server.py", "cgi"),
        ("node", "server.js", "http"),
        ("node", "server.js", "fetch"),
    ];
    for (interpreter, file, client) in services {
        for treatment in [Treatment::Forwards, Treatment::Drops] {
            let (addr, heads) = observer();
            let service = interpreted(interpreter, file, &[treatment.name(), client, &addr.port().to_string()]);
            let calls = Load::new(&service.addr, "/cart").clients(8).total(16).run().all();
            assert_treated(&heads, calls, treatment);
        }
    }
}

#[test]
fn nginx_passes_through() {
    let dir = TempDir::new("upstream");
    let unix: Addr = format!("unix:{}/backend", dir.path().display()).parse().expect("an address");
    for addr in ["127.0.0.1:0".parse().expect("an address"), unix] {
        let (addr, heads) = observer_at(&addr);
        let nginx = Nginx::start(&addr);
        let calls = Load::new(&nginx.addr, "/cart").clients(4).total(40).run().all();
        assert_treated(&heads, calls, Treatment::Forwards);
    }
}
