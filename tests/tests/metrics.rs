//! Metrics and health through the real kernel, read by a real Prometheus server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use auditor_tests::auditor::{Auditor, auditor_command};
use auditor_tests::client::Load;
use auditor_tests::http::HeaderStyle;
use auditor_tests::kernel::best_hooks;
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually};
use auditor_tests::prometheus::{Answer, Prometheus, get};
use serde_json::Value;

const OPEN: &str = "application/openmetrics-text; version=1.0.0";

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file).canonicalize().expect("it is there")
}

/// Where an auditor says that it answers.
fn address(auditor: &Auditor) -> SocketAddr {
    let told = || auditor.stderr().lines().find_map(|line| Some(line.split_once("metrics at http://")?.1.to_owned()));
    eventually(PATIENCE, || told().is_some());
    let told = told().unwrap_or_else(|| panic!("it does not say where: {}", auditor.stderr()));
    told.trim_end_matches("/metrics").parse().expect("an address")
}

fn ask(address: SocketAddr, path: &str, accept: &str) -> Answer {
    get(address, path, accept).expect("an answer")
}

/// Waits until the answer is as it should be, and gives the last one.
fn settled(address: SocketAddr, path: &str, is_it: impl Fn(&Answer) -> bool) -> Answer {
    let mut last = ask(address, path, "*/*");
    eventually(PATIENCE, || {
        last = ask(address, path, "*/*");
        is_it(&last)
    });
    last
}

/// The value of a sample in text.
fn sample(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// A service that drops the context of every call.
fn dropping() -> (Service, Service) {
    let backend = Service::backend();
    let service = Service::workload("checkout", &["--mode", "drop", "--call", &backend.call("POST", "/charge")]);
    (backend, service)
}

fn promtool(args: &[&str], input: Option<&Path>) {
    let stdin = input.map_or(Stdio::null(), |path| std::fs::File::open(path).expect("it is there").into());
    let output = Command::new("promtool").args(args).stdin(stdin).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start promtool: {error}; install it (prometheus)"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

/// Names of our metrics in an expression.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.starts_with("auditor_") || word.starts_with("process_"))
}

/// Every expression of the dashboard, as Grafana would ask for it.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(deployed("grafana/auditor.json")).expect("the dashboard is there");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    assert!(dashboard["title"].is_string() && dashboard["uid"].is_string() && dashboard["id"].is_null());
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36), "of a Grafana that is still maintained");
    let (mut ids, mut expressions) = (BTreeSet::new(), Vec::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "twice: {panel}");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        let place = &panel["gridPos"];
        let of = |name: &str| place[name].as_u64().expect("a place");
        assert!(of("x") + of("w") <= 24 && of("h") > 0, "{place}");
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel}");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{target}");
            expressions.push(target["expr"].as_str().expect("an expression").to_owned());
        }
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let variables: Vec<_> = variables.iter().map(|variable| variable["name"].clone()).collect();
    assert_eq!(variables, ["datasource", "instance"]);
    let asked = |text: String| {
        let text = text.replace("$__rate_interval", "5s").replace("$__range", "1m").replace("$instance", ".*");
        assert!(!text.contains('$'), "{text}");
        text
    };
    expressions.into_iter().map(asked).collect()
}

#[test]
fn prometheus_reads_what_the_lines_say() {
    let (backend, service) = dropping();
    let prometheus = Prometheus::start(&deployed("prometheus/auditor.rules.yml"));
    // The server that scrapes is looked at, too.
    let pids = [service.pid(), prometheus.pid()];
    let auditor = Auditor::run_with(best_hooks(), &pids, &["--metrics-addr", "0"]);
    let own = auditor.pid();
    let target = address(&auditor);
    assert!(target.ip().is_loopback(), "{target}");
    prometheus.scrape(target);
    assert!(eventually(PATIENCE, || prometheus.value("auditor_hops_suspected") == Some(0.0)), "it does not scrape");
    let calls = Load::new(&service.addr, "/cart").total(60).run().all() as f64;
    let dropped = "sum(auditor_hops_total{outcome=\"dropped\",format=\"w3c\"})";
    let came = eventually(PATIENCE, || prometheus.value(dropped) == Some(calls));
    assert!(came, "{:?} of {calls} calls: {}", prometheus.value(dropped), ask(target, "/metrics", "*/*").body);

    let value = |expression: &str| prometheus.value(expression).unwrap_or_else(|| panic!("no {expression}"));
    let scraped = [
        ("auditor_inbound_requests_with_context_total", calls),
        ("sum(auditor_hops_total)", calls),
        ("sum(auditor_findings_total)", calls),
        ("auditor_findings_total{code=\"traceparent_dropped\",severity=\"error\"}", calls),
        ("sum(auditor_events_lost_total)", 0.0),
        ("sum(auditor_degraded)", 0.0),
        ("auditor_sink_up{sink=\"stdout\"}", 1.0),
        ("auditor_table_entries{table=\"edges\"}", 1.0),
        ("up", 1.0),
    ];
    for (expression, expected) in scraped {
        assert_eq!(value(expression), expected, "{expression}");
    }
    // OpenMetrics names the family, not the sample.
    let types = prometheus.api("metadata?metric=auditor_hops").expect("what it knows of it");
    assert_eq!(types["auditor_hops"][0]["type"], "counter", "{types}");
    for expression in
        ["auditor_http_requests_observed_total", "auditor_processing_seconds_count", "process_cpu_seconds_total"]
    {
        assert!(value(expression) > 0.0, "{expression}");
    }
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("time() - auditor_last_record_timestamp_seconds").abs() < 60.0);
    assert!(value("time() - auditor_last_tick_timestamp_seconds").abs() < 10.0);

    // What the dashboard and the rules ask for is there, and Prometheus understands it.
    let text = ask(target, "/metrics", "*/*").body;
    let there: BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    let expressions = dashboard();
    for expression in &expressions {
        let found = prometheus.query(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert!(!found.is_empty() || expression.ends_with("> 0"), "nothing for {expression}");
        assert!(names(expression).next().is_some(), "{expression}");
    }
    let mut used: BTreeSet<String> = expressions.iter().flat_map(|text| names(text)).map(str::to_owned).collect();
    let groups = prometheus.api("rules").expect("its rules");
    let rules =
        || groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).flatten();
    assert_eq!(rules().count(), 9, "{groups}");
    for rule in rules() {
        assert_ne!(rule["health"], "err", "{rule}");
        used.extend(names(rule["query"].as_str().expect("a query")).map(str::to_owned));
    }
    let missing: Vec<_> = used.iter().filter(|name| !there.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} are asked for, but not in\n{text}");
    let fires =
        || prometheus.value("ALERTS{alertname=\"AuditorTraceContextBroken\",alertstate=\"firing\"}") == Some(1.0);
    assert!(eventually(PATIENCE, fires), "no alert");

    let audit = auditor.stop();
    audit.assert_clean();
    let seen = audit.outcomes(|_| true);
    assert_eq!((seen["calls"] as f64, seen["dropped"] as f64), (calls, calls), "{}", audit.explain());
    let counted: u64 =
        audit.findings("traceparent_dropped").iter().filter_map(|f| f["finding"]["count"].as_u64()).sum();
    assert_eq!(counted as f64, calls, "{}", audit.explain());
    // Scrapes of the auditor are no hops of the server, and the auditor does not audit itself.
    assert_eq!(audit.calls_of(prometheus.pid())["calls"], 0, "{}", audit.explain());
    assert!(audit.stat("audit", "ignored") > 0, "the scrapes were seen: {}", audit.explain());
    let own = audit.records.iter().find(|record| record["resource"]["process.pid"] == own);
    assert!(own.is_none(), "{own:?}");
    drop(backend);
}

#[test]
fn rules_and_metrics_are_as_prometheus_wants_them() {
    promtool(&["check", "rules", &deployed("prometheus/auditor.rules.yml").display().to_string()], None);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus/auditor.test.yml");
    promtool(&["test", "rules", &tests.display().to_string()], None);

    let service = Service::backend();
    let auditor = Auditor::run_with(best_hooks(), &[service.pid()], &["--metrics-addr", "0"]);
    let target = address(&auditor);
    let answer = settled(target, "/metrics", |answer| answer.body.contains("auditor_hops_total"));
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let dir = TempDir::new("metrics");
    let file = dir.path().join("scrape");
    std::fs::write(&file, &answer.body).expect("it can be written");
    promtool(&["check", "metrics"], Some(&file));
    let open = ask(target, "/metrics", OPEN);
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    auditor.stop().assert_clean();
}

#[test]
fn what_is_wrong_is_told_everywhere() {
    let (backend, service) = dropping();
    let args = ["--metrics-addr", "127.0.0.1:0", "--buffer", "1", "--output", "-", "--output", "/dev/full"];
    let auditor = Auditor::run_with(best_hooks(), &[service.pid()], &args);
    let target = address(&auditor);
    assert_eq!(ask(target, "/healthz", "*/*").body, "alive\n");
    let ready = settled(target, "/readyz", |answer| answer.body.contains("degraded"));
    assert_eq!((ready.status, &*ready.body), (200, "ready, degraded: output_down\n"));
    let text = settled(target, "/metrics", |answer| answer.body.contains("cause=\"output_down\"} 1")).body;
    assert_eq!(sample(&text, "auditor_sink_up{sink=\"/dev/full\"}"), 0.0);
    assert_eq!(sample(&text, "auditor_sink_up{sink=\"stdout\"}"), 1.0);
    assert!(sample(&text, "auditor_sink_errors_total{sink=\"/dev/full\"}") > 0.0);

    auditor.pause();
    // Some 16 KiB a request and 1 MiB of buffer.
    Load::new(&service.addr, "/cart").total(400).header(HeaderStyle::AfterCookies).run().all();
    auditor.resume();
    let text = settled(target, "/metrics", |answer| answer.body.contains("cause=\"records_lost\"} 1")).body;
    assert!(sample(&text, "auditor_events_lost_total{stage=\"ring_buffer\"}") > 0.0);
    let ready = settled(target, "/readyz", |answer| answer.body.contains("records_lost"));
    assert_eq!((ready.status, &*ready.body), (200, "ready, degraded: records_lost, output_down\n"));

    let audit = auditor.stop();
    let told: Vec<_> = audit.of_type("lifecycle").filter(|line| line["event_name"] == "auditor.degraded").collect();
    let causes: Vec<_> = told.iter().map(|line| line["degraded"]["cause"].as_str().unwrap_or_default()).collect();
    assert_eq!(causes, ["output_down", "records_lost"], "{}", audit.explain());
    assert_eq!(told[0]["degraded"]["what"][0], "/dev/full", "{}", told[0]);
    assert!(told[1]["degraded"]["count"].as_u64() > Some(0), "{}", told[1]);
    drop(backend);
}

#[test]
fn nobody_gets_to_know_when_no_output_works() {
    let args = ["run", "--pid", "1", "--metrics-addr", "[::1]:0", "--output", "/dev/full"];
    let auditor = Auditor::spawn(auditor_command().args(args));
    let target = address(&auditor);
    let ready = settled(target, "/readyz", |answer| answer.body.contains("/dev/full"));
    assert_eq!((ready.status, &*ready.body), (503, "no output takes lines: /dev/full\n"));
    assert_eq!(ask(target, "/healthz", "*/*").status, 200);
    drop(auditor);
}

#[test]
fn an_address_that_is_taken_ends_it_before_it_attaches() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    for (address, code, says) in [
        (port.to_string(), 74, format!("--metrics-addr 127.0.0.1:{port}: Address already in use")),
        ("192.0.2.1:9464".to_owned(), 74, "--metrics-addr 192.0.2.1:9464: Cannot assign requested address".to_owned()),
        (":9464".to_owned(), 64, "say 9464 for loopback alone".to_owned()),
        ("localhost".to_owned(), 64, "is not a port".to_owned()),
    ] {
        let mut command = auditor_command();
        let output = command.args(["run", "--duration", "1s", "--metrics-addr", &address]).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{address}: {stderr}");
        assert!(stderr.contains(&says) && output.stdout.is_empty(), "{address}: {stderr}");
    }
}
