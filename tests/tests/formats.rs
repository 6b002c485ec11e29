//! Services between formats: what became of the trace is told once, and what goes with it by itself.

use std::collections::BTreeMap;

use auditor_tests::audit::Audit;
use auditor_tests::auditor::Auditor;
use auditor_tests::client::Load;
use auditor_tests::fleet::{interpreted, loads};
use auditor_tests::http::TraceParent;
use auditor_tests::process::Service;
use auditor_tests::with_both_hooks;

/// Of a service that sends these formats on, under each load: its findings, of each the code, the level and how many
/// calls it is about, and the one outcome of all its calls.
fn audited(hooks: &str, load: impl Fn(Load) -> Load, sent: &str, findings: &[(&str, &str)], outcome: &str) {
    let backend = Service::backend();
    let service = interpreted("python3", "formats.py", &[sent, &backend.addr.port().to_string()]);
    for plain in loads(&service.addr) {
        let auditor = Auditor::run(hooks, &[service.pid()]);
        let calls = load(plain).run().all();
        let audit = auditor.stop();
        audit.assert_clean();
        let expected: Findings = findings.iter().map(|(code, level)| (format!("{code} [{level}]"), calls)).collect();
        assert_eq!(told(&audit), expected, "{}", audit.explain());
        let seen = audit.calls_to_port(service.pid(), backend.addr.port());
        assert_eq!((seen["calls"], seen[outcome]), (calls, calls), "{}", audit.explain());
    }
}

type Findings = BTreeMap<String, u64>;

fn told(audit: &Audit) -> Findings {
    let mut told = Findings::new();
    for record in audit.of_type("finding") {
        let finding = &record["finding"];
        assert_eq!(finding["direction"], "outbound", "{record}");
        let key = format!("{} [{}]", finding["code"].as_str().unwrap(), record["level"].as_str().unwrap());
        *told.entry(key).or_default() += finding["count"].as_u64().unwrap();
    }
    told
}

fn b3(trace: &TraceParent) -> String {
    format!("b3: {}-{}-1\r\n", trace.trace_id, trace.parent_id)
}

/// B3 and Datadog.
fn vendors(trace: &TraceParent) -> String {
    let (high, low) = trace.trace_id.split_at(16);
    let number = |hex: &str| u64::from_str_radix(hex, 16).unwrap();
    let (low, span) = (number(low), number(&trace.parent_id));
    let datadog =
        format!("x-datadog-trace-id: {low}\r\nx-datadog-parent-id: {span}\r\nx-datadog-sampling-priority: 1\r\n");
    format!("{}{datadog}x-datadog-tags: _dd.p.tid={high}\r\n", b3(trace))
}

fn lists(_: &TraceParent) -> String {
    "tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\r\nbaggage: user=alice,tenant=7\r\n".to_owned()
}

fn jaeger(trace: &TraceParent) -> String {
    format!("uber-trace-id: {}:{}:0:1\r\nUberctx-User: alice\r\n", trace.trace_id, trace.parent_id)
}

fn one_of_three_formats_is_enough(hooks: &str) {
    audited(hooks, |load| load.more(vendors), "b3", &[("format_translated", "info")], "translated");
}

fn all_of_them_is_no_finding(hooks: &str) {
    audited(hooks, |load| load.more(vendors), "w3c,b3,datadog", &[], "continued");
    audited(hooks, |load| load.more(lists), "w3c,tracestate,baggage", &[], "continued");
    audited(hooks, |load| load.without_context().more(jaeger), "jaeger,uberctx", &[], "continued");
}

fn half_of_the_id(hooks: &str) {
    let b3_alone = |load: Load| load.without_context().more(b3);
    audited(hooks, b3_alone, "b3-64", &[("trace_id_truncated", "warning")], "continued");
}

fn tracestate_alone(hooks: &str) {
    audited(hooks, |load| load.more(lists), "w3c,baggage", &[("tracestate_dropped", "warning")], "continued");
}

fn baggage_alone(hooks: &str) {
    audited(hooks, |load| load.more(lists), "w3c,tracestate", &[("baggage_dropped", "warning")], "continued");
    let jaeger_alone = |load: Load| load.without_context().more(jaeger);
    audited(hooks, jaeger_alone, "jaeger", &[("baggage_dropped", "warning")], "continued");
}

with_both_hooks!(
    one_of_three_formats_is_enough,
    all_of_them_is_no_finding,
    half_of_the_id,
    tracestate_alone,
    baggage_alone,
);
