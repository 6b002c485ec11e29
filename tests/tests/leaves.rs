//! Processes that answer much and call nobody are left alone, until they send a request.

use std::time::Duration;

use auditor_tests::auditor::Auditor;
use auditor_tests::client::{Load, Running};
use auditor_tests::fleet::Nginx;
use auditor_tests::process::{Service, TempDir, eventually};
use auditor_tests::socket::Addr;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Both hook strategies, looking at these processes.
fn auditors(pids: &[u32]) -> [Auditor; 2] {
    ["sock", "syscall"].map(|hooks| Auditor::run_with(hooks, pids, &["--leaf-rest", "1h", "--stats-interval", "1s"]))
}

/// As many requests as they take, for what they answer themselves.
fn floods<'a>(addrs: impl IntoIterator<Item = &'a Addr>) -> Vec<Running> {
    let flood = |addr| Load::new(addr, "/static").clients(16).gap(Duration::ZERO).total(usize::MAX).start();
    addrs.into_iter().map(flood).collect()
}

fn is_stats(line: &&String) -> bool {
    line.contains("auditor.stats")
}

/// A counter of the last `stats` record so far.
fn latest(auditor: &Auditor, stage: &str, name: &str) -> Option<u64> {
    let lines = auditor.lines();
    let line = lines.iter().rev().find(is_stats)?;
    serde_json::from_str::<Value>(line).ok()?["stats"][stage][name].as_u64()
}

/// Waits until so many processes rest.
fn rest(auditors: &[Auditor; 2], processes: u64) {
    let are_resting = |auditor: &Auditor| latest(auditor, "pair", "processes_resting") == Some(processes);
    assert!(eventually(PATIENCE, || auditors.iter().all(are_resting)), "{:?}", auditors.each_ref().map(Auditor::lines));
}

/// How many records were shipped, when two more `stats` have come: what was shipped just before is counted in the next.
fn shipped(auditors: &[Auditor; 2]) -> [Option<u64>; 2] {
    let ticks = |auditor: &Auditor| auditor.lines().iter().filter(is_stats).count();
    let at = auditors.each_ref().map(ticks);
    assert!(eventually(PATIENCE, || auditors.iter().zip(at).all(|(auditor, at)| ticks(auditor) >= at + 2)));
    auditors.each_ref().map(|auditor| latest(auditor, "kernel", "records"))
}

#[test]
fn leaves_are_left_alone_and_each_of_their_calls_is_seen() {
    let backend = Service::backend();
    // What it serves itself, passes on, and passes on without context.
    let nginx = Nginx::start_with(&backend.addr, |config| {
        let lost = "location /lost {\n proxy_pass http://backend;\n proxy_set_header traceparent \"\";\n}\n";
        // Both workers get some of the connections.
        let config = config.replace("@PORT@;", "@PORT@ reuseport;");
        config.replace("location = /static", &format!("{lost} location = /static"))
    });
    let dir = TempDir::new("leaves");
    let unix = format!("unix:{}/service", dir.path().display());
    let call = format!("GET /charge {}", backend.addr);
    let service = |more: &[&str]| {
        Service::workload("service", &[&["--quiet", "/static", "--call", &call, "--fresh"], more].concat())
    };
    // The head of a call comes byte by byte; positions on the socket are counted.
    let services = [service(&["--write", "bytes"]), service(&["--listen", &unix])];
    let pids: Vec<u32> = nginx.pids().into_iter().chain(services.iter().map(Service::pid)).collect();
    let auditors = auditors(&pids);

    let addrs = || services.iter().map(|service| &service.addr).chain([&nginx.addr]);
    let floods = floods(addrs());
    rest(&auditors, 4);
    let (before, after) = (shipped(&auditors), shipped(&auditors));
    assert_eq!(before, after, "of a process that is left alone nothing is shipped");
    floods.into_iter().for_each(|flood| _ = flood.stop().all());

    let load = |addr, path| Load::new(addr, path).more(|trace| format!("x-request-id: {}\r\n", trace.parent_id));
    let kept: u64 = addrs().map(|addr| load(addr, "/cart").run().all()).sum();
    let lost = load(&nginx.addr, "/lost").clients(16).total(320).gap(Duration::from_millis(20)).run().all();
    for auditor in auditors {
        let audit = auditor.stop();
        let calls: u64 = pids.iter().map(|pid| audit.calls_of(*pid)["calls"]).sum();
        assert_eq!(calls, kept + lost, "{}", audit.explain());
        assert_eq!(audit.stat("exchange", "requests_lost"), 0, "{}", audit.explain());
        let errors = audit.errors();
        let is_right = |line: &&&Value| {
            let finding = &line["finding"];
            finding["code"] == "traceparent_dropped" && finding["inbound"]["url.path"] == "/lost"
        };
        assert_eq!(errors.iter().filter(is_right).count(), errors.len(), "{}", audit.explain());
        assert!(!errors.is_empty(), "{}", audit.explain());
        assert_eq!(audit.stat("pair", "processes_rested"), 4);
    }
}

/// A short answer might be the beginning of a request, for all that its first bytes tell.
#[test]
fn short_answers_are_no_calls() {
    let backend = Service::backend();
    let call = format!("GET /charge {}", backend.addr);
    let service = Service::workload("service", &["--respond", "apart", "--quiet", "/static", "--call", &call]);
    let auditors = auditors(&[service.pid()]);
    let floods = floods([&service.addr]);
    rest(&auditors, 1);
    shipped(&auditors);
    rest(&auditors, 1);
    floods.into_iter().for_each(|flood| _ = flood.stop().all());
    let calls = Load::new(&service.addr, "/cart").run().all();
    for auditor in auditors {
        let audit = auditor.stop();
        audit.assert_no_errors();
        assert_eq!(audit.calls_of(service.pid())["calls"], calls, "{}", audit.explain());
        assert_eq!(audit.stat("pair", "processes_rested"), 1);
    }
}
