//! Sockets used in every way that the kernel allows: what crosses them is seen exactly once, and nothing else is.

use std::process::Command;

use auditor_tests::auditor::Auditor;
use auditor_tests::fleet::source;
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually};

/// What is special about a case.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    /// Every request and response is seen.
    Exact,
    /// Nothing that is not there is seen, what was missed is known to be missed.
    Safe,
    /// At first nothing is seen, then everything.
    Late,
}

fn case(hooks: &str, name: &str, expect: Expect) {
    let dir = TempDir::new(name);
    let result = dir.path().join("result");
    let mut service = Service::spawn(Command::new("python3").arg(source("sockets.py")).arg(name).arg(&result));
    let auditor = Auditor::run(hooks, &[service.pid()]);
    service.tell("go\n");
    assert!(eventually(PATIENCE, || result.is_file()), "{name} does not come to an end");
    let audit = auditor.stop();
    audit.assert_no_errors();
    let truth: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&result).expect("it is there")).expect("it is JSON");
    let number = |what: &str| truth[what].as_u64().expect("a number");
    let all = format!("{truth}\n{}", audit.lines.join("\n"));
    match expect {
        Expect::Exact => {
            assert_eq!(audit.stat("exchange", "requests"), number("requests"), "requests of {name}: {all}");
            assert_eq!(audit.stat("exchange", "responses"), number("responses"), "responses of {name}: {all}");
            assert_eq!(audit.stat("exchange", "requests_lost"), 0, "{name}: {all}");
            assert_eq!(audit.stat("exchange", "orphan_responses"), 0, "{name}: {all}");
            assert_eq!(audit.stat("http", "gaps"), 0, "{name}: {all}");
        }
        Expect::Safe => {
            let whole = audit.stat("exchange", "requests") - audit.stat("exchange", "requests_lost");
            assert!(whole <= number("requests"), "{name}: {all}");
            assert!(audit.stat("exchange", "requests_lost") > 0, "{name}: {all}");
        }
        Expect::Late => {
            let seen = audit.stat("exchange", "requests");
            assert!(seen < number("requests"), "{name}: {all}");
            // Of 11 operations on a connection of another protocol one is looked at, and an exchange has two.
            assert!(seen + 2 * 6 >= number("requests"), "{name}: {all}");
            assert_eq!(audit.stat("exchange", "requests_lost"), 0, "{name}: {all}");
        }
    }
    assert_eq!(audit.stat("stream", "lost"), 0, "{name}: {all}");
    assert!(!all.contains("tls_not_visible"), "{name}: {all}");
    assert!(audit.stat("kernel", "records") < 500, "{name}: {all}");
}

macro_rules! cases {
    ($($name:ident: $sock:ident, $syscall:ident;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn sock() {
                case("sock", stringify!($name), Expect::$sock);
            }

            #[test]
            fn syscall() {
                case("syscall", stringify!($name), Expect::$syscall);
            }
        }
    )+};
}

cases! {
    fin_with_a_request: Exact, Exact;
    fin_in_the_middle_of_a_head: Exact, Exact;
    fin_with_a_response: Exact, Exact;
    closed_before_it_is_read: Exact, Exact;
    body_spliced_in_over_tcp: Exact, Exact;
    // No tracepoint of the socket layer sees bytes leave a Unix socket by splice.
    body_spliced_in_over_unix: Safe, Exact;
    body_sent_by_sendfile: Exact, Exact;
    peeked_and_truncated: Exact, Exact;
    empty_line_before_a_request: Exact, Exact;
    read_of_nothing: Exact, Exact;
    one_byte_an_iovec: Exact, Exact;
    same_messages_again: Exact, Exact;
    end_of_stream_again_and_again: Exact, Exact;
    sockets_of_another_protocol_used_again: Exact, Exact;
    messages_on_a_connection_of_another_protocol: Exact, Exact;
    upload_under_way: Exact, Exact;
    http_after_another_protocol: Late, Late;
}

/// A service that forwards what it receives, with clients on connections that spoke something else before. What they ask
/// for brings no trace, or one of its own, and comes whenever another request is open: as long as nobody sees it, its calls
/// look like those of the other.
fn what_follows_another_protocol_accuses_nobody(hooks: &str) {
    // Trace, message; connections, exchanges of the other protocol on each, and requests.
    let ways = [
        // It takes long before it is HTTP.
        ["none", "whole", "1", "25", "16"],
        // Four operations an exchange, which are in step with many a number.
        ["none", "apart", "1", "30", "20"],
        ["own", "apart", "1", "31", "16"],
        // Many connections on which it does not.
        ["none", "whole", "6", "15", "4"],
    ];
    for way in ways {
        let backend = Service::backend();
        let port = backend.addr.port().to_string();
        let tunnel = |args: &[&str]| {
            let mut command = Command::new("python3");
            command.arg(source("tunnel.py")).args(args);
            command
        };
        let service = Service::spawn(&mut tunnel(&["serve", &port]));
        let auditor = Auditor::run(hooks, &[service.pid()]);
        let mut clients = tunnel(&["ask", &service.addr.port().to_string()]);
        assert!(clients.args(way).status().expect("Python is there").success());
        let audit = auditor.stop();
        audit.assert_no_errors();
        let calls = audit.calls_of(service.pid());
        let all = audit.explain();
        assert_eq!((calls["dropped"], calls["restarted"]), (0, 0), "{way:?}: {all}");
        let [connections, rounds] = [way[2], way[4]].map(|number| number.parse::<u64>().expect("a number"));
        let pages = audit.outcomes(|summary| summary["attributes"]["http.route"] == "/render");
        assert_eq!(pages["continued"], connections * rounds, "{way:?}: {all}");
        // Of the others most are seen.
        let is_seen = |summary: &serde_json::Value| summary["inbound"]["http.route"] == "/session";
        assert!(audit.outcomes(is_seen)["calls"] + 8 >= connections * rounds, "{way:?}: {all}");
    }
}

auditor_tests::with_both_hooks!(what_follows_another_protocol_accuses_nobody);

/// Nobody says afterwards that a connection is over that was reset before its request was read.
fn reset_connection_is_forgotten(hooks: &str) {
    let dir = TempDir::new("reset");
    let result = dir.path().join("result");
    let mut service =
        Service::spawn(Command::new("python3").arg(source("sockets.py")).arg("reset_before_it_is_read").arg(&result));
    let auditor = Auditor::run(hooks, &[service.pid()]);
    service.tell("go\n");
    assert!(eventually(PATIENCE, || result.is_file()), "it does not come to an end");
    let audit = auditor.stop();
    audit.assert_no_errors();
    assert_eq!(audit.stat("exchange", "connections"), 0, "{}", audit.lines.join("\n"));
}

auditor_tests::with_both_hooks!(reset_connection_is_forgotten);

/// A launcher that made a call and then became the service by `exec`: the finding names the service.
#[test]
fn exec_renames() {
    let backend = Service::backend();
    let port = backend.addr.port();
    let workload = auditor_tests::process::workload_path();
    let script = format!(
        "import os, urllib.request\n\
         input()\n\
         urllib.request.urlopen('http://127.0.0.1:{port}/secret').read()\n\
         os.execv({workload:?}, ['{name}', '--mode', 'drop', '--call', 'POST /charge 127.0.0.1:{port}'])\n",
        name = "real-service",
    );
    let dir = TempDir::new("exec");
    let launcher = dir.path().join("launcher.py");
    std::fs::write(&launcher, format!("print('listening 127.0.0.1:0', flush=True)\n{script}"))
        .expect("it can be written");
    let mut service = Service::spawn(Command::new("python3").arg(&launcher));
    let auditor = Auditor::run("auto", &[service.pid()]);
    service.tell("go\n");
    let addr = service.listens_again();
    let calls = auditor_tests::client::Load::new(&addr, "/cart").run().all();
    let audit = auditor.stop();
    let findings = audit.findings("traceparent_dropped");
    assert!(!findings.is_empty(), "{}", audit.lines.join("\n"));
    for finding in &findings {
        let line = finding["resource"]["process.command_line"].as_str().unwrap_or_default();
        assert!(line.starts_with("real-service "), "{finding}");
    }
    assert_eq!(calls, 30);
}
