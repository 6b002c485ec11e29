//! Processes that take turns: what is seen of them is a part, and what is said of it is right.

use std::time::Duration;

use auditor_tests::auditor::Auditor;
use auditor_tests::client::Load;
use auditor_tests::fleet::{Treatment, interpreted};
use auditor_tests::process::{Service, eventually};

#[test]
fn who_drops_is_found_in_its_turns_and_nobody_else() {
    let backend = Service::backend();
    let port = backend.addr.port().to_string();
    let service = |treatment: Treatment| interpreted("python3", "server.py", &[treatment.name(), "http.client", &port]);
    let (good, bad) = (service(Treatment::Forwards), service(Treatment::Drops));
    let pids = [good.pid(), bad.pid()];
    let auditors = ["sock", "syscall"].map(|hooks| Auditor::run_with(hooks, &pids, &["--duty-cycle", "2s/4s"]));

    let load = |service: &Service| Load::new(&service.addr, "/cart").clients(4).gap(Duration::from_millis(30));
    let loads = [&good, &bad].map(|service| load(service).total(usize::MAX).start());
    let is_found = |auditor: &Auditor| auditor.lines().iter().any(|line| line.contains("\"traceparent_dropped\""));
    let found = eventually(Duration::from_secs(60), || auditors.iter().all(is_found));
    let requests: u64 = loads.into_iter().map(|load| load.stop().all()).sum();

    for auditor in auditors {
        let audit = auditor.stop();
        assert!(found, "{}", audit.explain());
        assert!(audit.errors().iter().all(|line| line["resource"]["process.pid"] == bad.pid()), "{}", audit.explain());
        let seen = audit.stat("audit", "requests");
        // Half of the time, and not all of the first and the last period.
        assert!((requests / 8..requests * 7 / 8).contains(&seen), "{seen} of {requests}: {}", audit.explain());
        let summaries = audit.summaries();
        assert!(!summaries.is_empty() && summaries.iter().all(|line| line["audited_share"] == 0.5), "{summaries:?}");
    }
}
