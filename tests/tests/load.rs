//! As much load as a small machine can make: what is lost is accounted for, memory stays flat, and a run ends in time.

use auditor_tests::with_both_hooks;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use auditor_tests::auditor::Auditor;
use auditor_tests::client::Load;
use auditor_tests::fleet::Nginx;
use auditor_tests::http::TraceParent;
use auditor_tests::kernel::resident_kib;
use auditor_tests::process::{Service, eventually};
use auditor_tests::socket::Addr;

/// How long wrk runs.
const DURATION: Duration = Duration::from_secs(20);
/// When the auditor's tables should have the size that they keep: that of the requests holds the last 65,536.
const WARM: Duration = Duration::from_secs(10);
/// How long a line may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn wrk(addr: &Addr) -> Child {
    Command::new("wrk")
        .args(["--threads", "2", "--connections", "32", "--duration", &format!("{}s", DURATION.as_secs())])
        .args(["--header", &format!("traceparent: {}", TraceParent::new())])
        .arg(format!("http://{addr}/cart"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk starts; install it (wrk)")
}

fn full_load(hooks: &str) {
    let backend = Service::workload("backend", &[]);
    let nginx = Nginx::start(&backend.addr);
    let auditor = Auditor::run(hooks, &nginx.pids());
    let started = Instant::now();
    let mut wrk = wrk(&nginx.addr);
    eventually(WARM * 2, || started.elapsed() > WARM);
    let warm = resident_kib(auditor.pid());
    let ended = eventually(DURATION * 3, || wrk.try_wait().is_ok_and(|status| status.is_some()));
    let hot = resident_kib(auditor.pid());
    if !ended {
        let _ = wrk.kill();
    }
    let output = wrk.wait_with_output().expect("wrk can be waited for");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(ended && output.status.success(), "{report}");
    println!("{hooks}: {report}\nresident: {warm} KiB after {WARM:?}, {hot} KiB at the end");

    let audit = auditor.stop();
    // Nobody may be accused because of what was lost.
    audit.assert_no_errors();
    assert!(warm > 0 && hot <= warm + warm / 2 + 16 * 1024, "memory grew from {warm} to {hot} KiB");

    let requests = requests_in(&report);
    assert!(requests > 1000, "{report}");
    let (shipped, lost) = (audit.stat("kernel", "records"), audit.stat("kernel", "lost_ring_full"));
    println!("{requests} requests, {shipped} records shipped, {lost} lost");
    // Four heads a request: received, sent on, and their two responses.
    assert!(shipped + lost >= 4 * requests, "{requests} requests, {shipped} records, {lost} lost: {}", audit.explain());
    let seen = audit.outcomes(|_| true);
    if lost == 0 {
        assert!(seen["passed_through"] >= requests, "nothing is lost, and of {requests} requests: {seen:?}");
    }
}

/// Even where the ring buffer is never empty.
fn in_time(hooks: &str) {
    let service = Service::workload("busy", &[]);
    let mut wrk = wrk(&service.addr);
    let audit = Auditor::run_with(hooks, &[service.pid()], &["--duration", "1s"]).wait_exit();
    let busy = wrk.try_wait().is_ok_and(|status| status.is_none());
    let _ = wrk.kill();
    let _ = wrk.wait();
    assert!(busy, "it went on until the load ended");
    let shipped = audit.stat("kernel", "records");
    assert!(shipped > 0, "{}", audit.explain());
    assert_eq!(shipped, audit.stat("stream", "records"), "every shipped record is read");
}

/// While much comes nobody wakes the auditor: what comes alone, after that, is seen all the same.
fn alone_after_a_burst(hooks: &str) {
    let service = Service::workload("backend", &[]);
    let auditor = Auditor::run(hooks, &[service.pid()]);
    for path in ["/first", "/second", "/third"] {
        Load::new(&service.addr, "/busy").total(500).clients(2).gap(Duration::ZERO).run().all();
        let malformed = |_: &TraceParent| "traceparent: 00-ab-cd-01\r\n".to_owned();
        Load::new(&service.addr, path).total(1).without_context().more(malformed).run().all();
        let told = || auditor.lines().iter().any(|line| line.contains("traceparent_malformed") && line.contains(path));
        assert!(eventually(PATIENCE, told), "{path}: {:?}", auditor.lines());
    }
    assert_eq!(auditor.stop().stat("stream", "lost"), 0);
}

/// `12345 requests in 20.00s, …`
fn requests_in(report: &str) -> u64 {
    report
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(count, _)| count.parse().ok())
        .unwrap_or(0)
}

with_both_hooks!(full_load, in_time, alone_after_a_burst);
