//! nginx as a reverse proxy: it passes headers through, and nobody may say that it loses them.

use auditor_tests::audit::Audit;
use auditor_tests::auditor::Auditor;
use auditor_tests::fleet::{Nginx, loads};
use auditor_tests::process::{Service, TempDir};
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

with_both_hooks!(tcp_upstream, unix_upstream);
