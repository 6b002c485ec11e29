//! What cannot be seen is said, per process, and accuses nobody.

use auditor_tests::with_both_hooks;
use std::process::Command;

use auditor_tests::audit::Audit;
use auditor_tests::auditor::{Auditor, auditor_command};
use auditor_tests::client::Load;
use auditor_tests::fleet::{Certificate, Nginx, source};
use auditor_tests::http::{Connection, ReadStyle, TraceParent, WriteStyle};
use auditor_tests::process::{Service, eventually, sibling};
use auditor_tests::socket::Stream;
use auditor_tests::sys::pass_all_messages;
use serde_json::Value;

fn spot<'a>(audit: &'a Audit, code: &str, pids: &[u32]) -> &'a Value {
    audit.assert_no_errors();
    audit
        .of_type("blind_spot")
        .find(|record| {
            let pid = record["resource"]["process.pid"].as_u64();
            record["blind_spot"]["code"] == code && (pids.is_empty() || pids.iter().any(|p| pid == Some((*p).into())))
        })
        .unwrap_or_else(|| panic!("no blind spot {code} of {pids:?}: {}", audit.lines.join("\n")))
}

/// A count summed over the lines of a blind spot: the first comes at once, the others with what came since.
fn total(audit: &Audit, code: &str, count: &str) -> u64 {
    let lines = audit.of_type("blind_spot").filter(|record| record["blind_spot"]["code"] == code);
    lines.filter_map(|record| record["blind_spot"][count].as_u64()).sum()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn tls_server(certificate: &Certificate) -> Service {
    Service::spawn(Command::new("python3").arg(source("tls.py")).args([certificate.path(), certificate.key()]))
}

fn tls(hooks: &str) {
    let certificate = Certificate::new("tls");
    let server = tls_server(&certificate);
    let auditor = Auditor::run(hooks, &[server.pid()]);
    for _ in 0..3 {
        run(Command::new("curl").args(["-sSk", "-o", "/dev/null", &format!("https://{}/", server.addr)]));
    }
    let audit = auditor.stop();
    spot(&audit, "tls_not_visible", &[server.pid()]);
    assert_eq!(total(&audit, "tls_not_visible", "connections"), 3, "{}", audit.lines.join("\n"));
    assert!(total(&audit, "tls_not_visible", "bytes") > 1000, "{}", audit.lines.join("\n"));
}

/// Of a long conversation most is not looked at, but counted.
fn long_tls(hooks: &str) {
    let certificate = Certificate::new("long-tls");
    let server = tls_server(&certificate);
    let auditor = Auditor::run(hooks, &[server.pid()]);
    let output = Command::new("curl")
        .args(["-sSk", "-o", "/dev/null", "-w", "%{size_request} %{size_header}\\n"])
        .arg(format!("https://{}/?[1-300]", server.addr))
        .output()
        .expect("curl runs");
    let sizes = String::from_utf8(output.stdout).expect("numbers");
    let (requests, bytes) =
        (sizes.lines().count(), sizes.split_whitespace().filter_map(|size| size.parse::<u64>().ok()));
    assert_eq!(requests, 300, "{}", String::from_utf8_lossy(&output.stderr));
    let audit = auditor.stop();
    assert_eq!(total(&audit, "tls_not_visible", "connections"), 1, "{}", audit.lines.join("\n"));
    // What was not looked at last is not counted: the connection has ended.
    let counted = total(&audit, "tls_not_visible", "bytes");
    assert!(counted > bytes.sum::<u64>() * 9 / 10, "{}", audit.lines.join("\n"));
    assert!(total(&audit, "tls_not_visible", "operations") > 500, "{}", audit.lines.join("\n"));
}

fn http2(hooks: &str) {
    let nginx = Nginx::start_with(&Service::backend().addr, |config| config.replace("@PORT@;", "@PORT@ http2;"));
    let auditor = Auditor::run(hooks, &nginx.pids());
    for _ in 0..2 {
        let url = format!("http://{}/static", nginx.addr);
        run(Command::new("curl").args(["-sS", "--http2-prior-knowledge", "-o", "/dev/null", &url]));
    }
    let audit = auditor.stop();
    spot(&audit, "http2_not_visible", &nginx.pids());
    assert_eq!(total(&audit, "http2_not_visible", "connections"), 2, "{}", audit.lines.join("\n"));
}

fn io_uring(hooks: &str) {
    let server = Service::spawn(&mut Command::new(sibling("auditor-uring")));
    let auditor = Auditor::run(hooks, &[server.pid()]);
    Load::new(&server.addr, "/cart").total(5).run().all();
    let audit = auditor.stop();
    spot(&audit, "io_uring_not_visible", &[server.pid()]);
    assert!(total(&audit, "io_uring_not_visible", "operations") >= 10, "{}", audit.lines.join("\n"));
}

/// Sends a head, and reads what is answered.
fn ask(connection: &mut Connection, head: &str) {
    connection.write_message(head.as_bytes()).expect("it reads");
    let answer = connection.read_head().expect("it answers").expect("it answers");
    connection.skip_body(&answer).expect("it answers");
}

/// A `traceparent` may stand behind what was captured of a head: nothing is concluded.
fn truncated_head(hooks: &str) {
    let backend = Service::backend();
    let service = Service::workload("cart", &["--mode", "drop", "--call", &backend.call("POST", "/charge")]);
    let auditor = Auditor::run(hooks, &[service.pid()]);
    let stream = Stream::connect(&service.addr).expect("it listens");
    let mut connection = Connection::new(stream, ReadStyle::Plain, WriteStyle::Whole);
    for _ in 0..60 {
        let cookies = "c".repeat(20_000);
        let context = TraceParent::new();
        let head = format!("GET /cart HTTP/1.1\r\nHost: cart\r\nCookie: {cookies}\r\ntraceparent: {context}\r\n\r\n");
        ask(&mut connection, &head);
    }
    let audit = auditor.stop();
    spot(&audit, "head_truncated", &[service.pid()]);
    assert_eq!(total(&audit, "head_truncated", "count"), 60, "{}", audit.lines.join("\n"));
    assert_eq!(audit.calls_of(service.pid())["unknown"], 60, "{}", audit.lines.join("\n"));
}

/// The same where the last piece before the limit is small: no more of it is read than there is room for.
fn truncated_in_a_small_piece(hooks: &str) {
    const HEAD: usize = 16_600;
    let service = Service::spawn(Command::new("python3").arg(source("small_reads.py")));
    let auditor = Auditor::run(hooks, &[service.pid()]);
    let stream = Stream::connect(&service.addr).expect("it listens");
    let mut connection = Connection::new(stream, ReadStyle::Plain, WriteStyle::Whole);
    for _ in 0..20 {
        let end = format!("\r\ntraceparent: {}\r\n\r\n", TraceParent::new());
        let begin = "GET /cart HTTP/1.1\r\nHost: cart\r\nCookie: ";
        let head = format!("{begin}{}{end}", "c".repeat(HEAD - begin.len() - end.len()));
        ask(&mut connection, &head);
    }
    let audit = auditor.stop();
    spot(&audit, "head_truncated", &[service.pid()]);
    assert_eq!(total(&audit, "head_truncated", "count"), 20, "{}", audit.lines.join("\n"));
}

/// The auditor stands still while more happens than the buffer holds. Every lost record is accounted for, nobody is
/// accused of what was not seen.
fn lost_records(hooks: &str) {
    let backend = Service::backend();
    let service = Service::workload("cart", &["--call", &backend.call("POST", "/charge")]);
    let mut command = auditor_command();
    command.args(["run", "--hooks", hooks, "--buffer", "1", "--pid", &service.pid_arg(), "--pid", &backend.pid_arg()]);
    let auditor = Auditor::start(&mut command);
    auditor.pause();
    // Some 16 KiB a request and 1 MiB of buffer.
    Load::new(&service.addr, "/cart").total(400).header(auditor_tests::http::HeaderStyle::AfterCookies).run().all();
    auditor.resume();
    Load::new(&service.addr, "/cart").total(20).run().all();
    eventually(auditor_tests::process::PATIENCE, || auditor.lines().iter().any(|line| line.contains("capture_lost")));
    let audit = auditor.stop();
    spot(&audit, "capture_lost", &[]);
    let lost = audit.stat("kernel", "lost_ring_full");
    assert!(lost > 0, "nothing was lost: {}", audit.lines.join("\n"));
    assert_eq!(audit.stat("stream", "lost"), lost, "every lost record is noticed");
    assert_eq!(audit.stat("kernel", "records"), audit.stat("stream", "records"), "every shipped record is read");
    assert_eq!(total(&audit, "capture_lost", "count"), lost, "{}", audit.lines.join("\n"));
}

/// What others do to bytes below the socket is not seen; that they can is said.
fn rewritten_below_the_socket(hooks: &str) {
    let service = Service::workload("cart", &[]);
    let _program = pass_all_messages().expect("sk_msg programs can be loaded");
    let audit = Auditor::run_with(hooks, &[service.pid()], &["--duration", "2s"]).wait_exit();
    let spot = audit.of_type("blind_spot").find(|r| r["blind_spot"]["code"] == "traffic_rewritten_below_socket");
    let spot = spot.unwrap_or_else(|| panic!("not said: {}", audit.lines.join("\n")));
    assert!(spot["resource"].is_null(), "it is the node's: {spot}");
    assert!(spot["blind_spot"]["operations"].as_u64() >= Some(1), "{spot}");
}

with_both_hooks!(
    tls,
    long_tls,
    http2,
    io_uring,
    truncated_head,
    truncated_in_a_small_piece,
    lost_records,
    rewritten_below_the_socket
);
