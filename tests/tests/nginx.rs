//! nginx as a reverse proxy: it passes headers through, and nobody may say that it loses them.

use auditor_tests::audit::Audit;
use auditor_tests::auditor::Auditor;
use auditor_tests::fleet::{Nginx, loads};
use auditor_tests::http::{Connection, ReadStyle, TraceParent, WriteStyle};
use auditor_tests::process::{Service, TempDir};
use auditor_tests::socket::Stream;
use auditor_tests::with_both_hooks;

fn passes_through(hooks: &str, backend: &Service) {
    let nginx = Nginx::start(&backend.addr);
    for load in loads(&nginx.addr) {
        let auditor = Auditor::run(hooks, &nginx.pids());
        let calls = load.run().all();
        let audit: Audit = auditor.stop();
        audit.assert_no_errors();
        let seen = audit.outcomes(|summary| {
            let pid = summary["resource"]["process.pid"].as_u64();
            nginx.pids().iter().any(|nginx| pid == Some((*nginx).into()))
        });
        assert_eq!((seen["calls"], seen["passed_through"]), (calls, calls), "{}", audit.explain());
    }
}

fn tcp_upstream(hooks: &str) {
    passes_through(hooks, &Service::backend());
}

fn unix_upstream(hooks: &str) {
    let dir = TempDir::new("nginx-upstream");
    let listen = format!("unix:{}/backend", dir.path().display());
    passes_through(hooks, &Service::workload("backend", &["--listen", &listen, "--delay-ms", "6"]));
}

/// A load balancer says whose a connection is before the first request, which nginx reads together with it.
fn behind_a_load_balancer(hooks: &str) {
    const CONNECTIONS: u64 = 5;
    let addresses: &[u8] = &[10, 10, 10, 10, 10, 10, 10, 11, 10, 10, 0, 80];
    // With some vendor's field behind the addresses.
    let second = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x17", addresses, b"\xea\0\x08\n\nvendor"].concat();
    let first = b"PROXY TCP6 ffff:f:f:f::ffff ffff:f:f:f::fffe 65535 65535\r\n";
    let backend = Service::backend();
    let nginx = Nginx::start_with(&backend.addr, |config| config.replace("@PORT@;", "@PORT@ proxy_protocol;"));
    let auditor = Auditor::run(hooks, &nginx.pids());
    for header in [&first[..], &second] {
        for cookies in [0, 30, 3000] {
            for _ in 0..CONNECTIONS {
                let stream = Stream::connect(&nginx.addr).expect("it listens");
                let mut connection = Connection::new(stream, ReadStyle::Plain, WriteStyle::Whole);
                for before in [header, b""] {
                    let (context, cookies) = (TraceParent::new(), "c".repeat(cookies));
                    let head =
                        format!("GET /cart HTTP/1.1\r\nHost: h\r\nCookie: {cookies}\r\ntraceparent: {context}\r\n\r\n");
                    connection.write_message(&[before, head.as_bytes()].concat()).expect("it reads");
                    let answer = connection.read_head().expect("it answers").expect("it answers");
                    connection.skip_body(&answer).expect("it answers");
                }
            }
        }
    }
    let audit = auditor.stop();
    audit.assert_no_errors();
    let seen = audit.outcomes(|_| true);
    let calls = 2 * 3 * CONNECTIONS * 2;
    assert_eq!((seen["calls"], seen["passed_through"]), (calls, calls), "{}", audit.explain());
}

with_both_hooks!(tcp_upstream, unix_upstream, behind_a_load_balancer);
