//! Requests that nobody can see, in TLS, over HTTP/2, or messages on a WebSocket: what is done for them accuses nobody.

use std::process::Command;

use auditor_tests::audit::Audit;
use auditor_tests::auditor::Auditor;
use auditor_tests::fleet::{Certificate, Nginx, source};
use auditor_tests::process::Service;
use auditor_tests::with_both_hooks;

const ROUNDS: u64 = 30;

fn node(args: &[&str]) -> Service {
    Service::spawn(Command::new("node").arg(source("unseen.js")).args(args))
}

/// A service in one event loop passes on what it received. Whenever a request is open that is seen it calls for one that
/// is not: that one came without a context, with one of its own, or a broken one.
fn in_step_with_what_is_seen(hooks: &str) {
    let certificate = Certificate::new("unseen");
    for protocol in ["tls", "http2", "http2-later", "messages", "messages-later"] {
        for context in ["none", "own", "broken"] {
            let backend = Service::backend();
            let port = backend.addr.port().to_string();
            let service = node(&["serve", &port, &certificate.path(), &certificate.key()]);
            let port = service.addr.port().to_string();
            let mut client = node(&["ask", &port, protocol, context, &ROUNDS.to_string()]);
            let auditor = Auditor::run(hooks, &[service.pid()]);
            client.tell("go\n");
            client.listens_again();
            let audit = auditor.stop();
            audit.assert_no_errors();
            let calls = audit.calls_of(service.pid());
            let unknown = calls["unknown"];
            assert_eq!((calls["calls"], unknown), (ROUNDS, ROUNDS), "{protocol}, {context}: {}", audit.explain());
        }
    }
}

const REQUESTS: u64 = 12;

fn curl(nginx: &Nginx, scheme: &str, options: &[&str]) {
    let broken = "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
    for _ in 0..REQUESTS {
        let mut command = Command::new("curl");
        command.args(["-sSk", "-o", "/dev/null", "-H", broken]).args(options);
        let output = command.arg(format!("{scheme}://{}/cart", nginx.addr)).output().expect("curl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A proxy passes on the broken header that it was given.
fn passed_on_by_a_proxy(hooks: &str) {
    let certificate = Certificate::new("unseen-nginx");
    let backend = Service::backend();
    let audit = |listen: &str, scheme: &str, options: &[&str]| -> Audit {
        let nginx = Nginx::start_with(&backend.addr, |config| config.replace("@PORT@;", &format!("@PORT@ {listen};")));
        let auditor = Auditor::run(hooks, &nginx.pids());
        curl(&nginx, scheme, options);
        let audit = auditor.stop();
        let calls = audit.outcomes(|_| true)["calls"];
        assert_eq!(calls, REQUESTS, "{listen}: {}", audit.explain());
        audit
    };
    let keys = format!("ssl; ssl_certificate {}; ssl_certificate_key {}", certificate.path(), certificate.key());
    audit(&keys, "https", &[]).assert_no_errors();
    audit("http2", "http", &["--http2-prior-knowledge"]).assert_no_errors();
    // Where it is seen, the client is told of.
    let seen = audit("backlog=128", "http", &[]);
    let findings = seen.findings("traceparent_malformed");
    assert!(!findings.is_empty(), "{}", seen.explain());
    assert!(findings.iter().all(|finding| finding["finding"]["direction"] == "inbound"), "{findings:?}");
}

with_both_hooks!(in_step_with_what_is_seen, passed_on_by_a_proxy);
