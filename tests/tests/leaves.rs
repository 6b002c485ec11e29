//! Processes that answer much and call nobody are left alone, until they send a request.

use std::time::Duration;

use auditor_tests::auditor::Auditor;
use auditor_tests::client::Load;
use auditor_tests::fleet::Nginx;
use auditor_tests::process::{Service, eventually};
use serde_json::Value;

/// A counter of the last `stats` record so far.
fn latest(auditor: &Auditor, stage: &str, name: &str) -> Option<u64> {
    let line = auditor.lines().into_iter().rev().find(|line| line.contains("auditor.stats"))?;
    serde_json::from_str::<Value>(&line).ok()?["stats"][stage][name].as_u64()
}

#[test]
fn a_leaf_is_left_alone_and_its_first_call_is_seen() {
    let backend = Service::backend();
    // What it serves itself, passes on, and passes on without context.
    let nginx = Nginx::start_with(&backend.addr, |config| {
        let lost = "location /lost {\n proxy_pass http://backend;\n proxy_set_header traceparent \"\";\n}\n";
        // Both workers get some of the connections.
        let config = config.replace("@PORT@;", "@PORT@ reuseport;");
        config.replace("location = /static", &format!("{lost} location = /static"))
    });
    let pids = nginx.pids();
    let start = |hooks| Auditor::run_with(hooks, &pids, &["--leaf-rest", "1h", "--stats-interval", "1s"]);
    let auditors = ["sock", "syscall"].map(start);

    let flood = Load::new(&nginx.addr, "/static").clients(16).gap(Duration::ZERO).total(usize::MAX).start();
    let is_resting = |auditor: &Auditor| latest(auditor, "pair", "processes_resting") == Some(2);
    let rests = eventually(Duration::from_secs(60), || auditors.iter().all(is_resting));
    let ticks = |auditor: &Auditor| auditor.lines().iter().filter(|line| line.contains("auditor.stats")).count();
    // After two more, because what was shipped just before is counted in the next.
    let shipped = || {
        let at = auditors.each_ref().map(ticks);
        let passed = || auditors.iter().zip(at).all(|(auditor, at)| ticks(auditor) >= at + 2);
        assert!(eventually(Duration::from_secs(60), passed));
        auditors.each_ref().map(|auditor| latest(auditor, "kernel", "records"))
    };
    let (before, after) = (shipped(), shipped());
    flood.stop().all();
    assert!(rests, "{}", auditors.map(|auditor| auditor.stop().explain()).join("\n"));
    assert_eq!(before, after, "of a process that is left alone nothing is shipped");

    let load = |path| Load::new(&nginx.addr, path).more(|trace| format!("x-request-id: {}\r\n", trace.parent_id));
    let kept = load("/cart").run().all();
    let lost = load("/lost").clients(16).total(320).gap(Duration::from_millis(20)).run().all();
    for auditor in auditors {
        let audit = auditor.stop();
        let calls: u64 = pids.iter().map(|pid| audit.calls_of(*pid)["calls"]).sum();
        assert_eq!(calls, kept + lost, "{}", audit.explain());
        let errors = audit.errors();
        let is_right = |line: &&&Value| {
            line["finding"]["code"] == "traceparent_dropped" && line["finding"]["inbound"]["url.path"] == "/lost"
        };
        assert_eq!(errors.iter().filter(is_right).count(), errors.len(), "{}", audit.explain());
        assert!(!errors.is_empty(), "{}", audit.explain());
        assert_eq!(audit.stat("pair", "processes_rested"), 2);
    }
}
