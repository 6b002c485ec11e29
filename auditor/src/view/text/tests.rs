use serde_json::json;

use super::*;
use crate::view::Lines;

fn read(lines: &[serde_json::Value]) -> Report {
    let mut report = Report::default();
    let mut input = Lines::new();
    for line in lines {
        input.push(format!("{line}\n").as_bytes(), &mut report);
    }
    assert_eq!(input.finish(&mut report).records, lines.len() as u64);
    report
}

fn summary(service: &str, to: (&str, u16), outcomes: &[(&str, u64)]) -> serde_json::Value {
    let calls: u64 = outcomes.iter().map(|(_, count)| count).sum();
    let mut edge: serde_json::Map<String, serde_json::Value> =
        outcomes.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
    edge.insert("calls".into(), json!(calls));
    json!({"record_type": "summary", "timestamp": "2026-08-24T10:16:30.5Z", "interval_start": "2026-08-24T10:15:30.123456789Z",
        "edge": edge, "inbound": {"http.request.method": "GET", "http.route": "/cart"},
        "attributes": {"http.request.method": "POST", "http.route": "/charge", "server.address": to.0, "server.port": to.1},
        "resource": {"service.name": service, "host.name": "node-a"}})
}

fn finding(service: &str, to: (&str, u16), level: &str, code: &str) -> serde_json::Value {
    let mut line = summary(service, to, &[("dropped", 7)]);
    let edge = line["edge"].take();
    line["record_type"] = json!("finding");
    line["level"] = json!(level);
    line["message"] = json!(format!("{service} received traceparent on GET /cart but sent none"));
    line["trace_id"] = json!("4bf92f3577b34da6a3ce929d0e0e4736");
    line["finding"] = json!({"code": code, "direction": "outbound", "count": 7, "edge": edge, "inbound": line["inbound"],
        "fingerprint": format!("{service}{code}"), "first_seen": "2026-08-24T10:15:31Z", "last_seen": "2026-08-24T10:15:35Z"});
    line
}

fn shop() -> Report {
    read(&[
        summary("checkout", ("payments", 8080), &[("continued", 30)]),
        summary("checkout", ("payments", 8080), &[("continued", 69), ("dropped", 1)]),
        summary("legacy", ("ledger", 80), &[("dropped", 40), ("unknown", 2)]),
        finding("legacy", ("ledger", 80), "error", "traceparent_dropped"),
        summary("gateway", ("stock", 80), &[("restarted", 40)]),
        summary("edge", ("partner.example", 80), &[("dropped", 5)]),
        finding("edge", ("partner.example", 80), "info", "traceparent_dropped"),
        summary("batch", ("queue", 80), &[("absent", 12)]),
        summary("cart", ("2001:db8::1", 80), &[("unknown", 4), ("suspected", 0)]),
        summary("shop", ("prices", 80), &[("passed_through", 9)]),
        json!({"record_type": "blind_spot", "timestamp": "2026-08-24T10:16:30Z", "message": "TLS",
            "blind_spot": {"code": "tls_not_visible", "count": 3}, "resource": {"service.name": "vault", "host.name": "node-b"}}),
    ])
}

#[test]
fn a_report_for_people() {
    let expected = "\
Traces end on 3 of 7 hops, 212 calls, on 2 nodes, 2026-08-24T10:15:30Z to 2026-08-24T10:16:30Z

service   hop                                           calls  coverage         verdict
legacy    GET /cart → POST /charge ledger:80               42  ░░░░░░░░░░   0%  dropped
gateway   GET /cart → POST /charge stock:80                40  ░░░░░░░░░░   0%  restarted
checkout  GET /cart → POST /charge payments:8080          100  █████████░  99%  partly dropped
edge      GET /cart → POST /charge partner.example:80       5  ░░░░░░░░░░   0%  dropped, allowed
shop      GET /cart → POST /charge prices:80                9  ██████████ 100%  passed through
cart      GET /cart → POST /charge [2001:db8::1]:80         4                -  unknown
batch     GET /cart → POST /charge queue:80                12                -  absent

Findings (`auditor explain CODE` tells more)
error    traceparent_dropped, 7 times
         legacy received traceparent on GET /cart but sent none
         trace 4bf92f3577b34da6a3ce929d0e0e4736
info     traceparent_dropped, 7 times
         edge received traceparent on GET /cart but sent none
         trace 4bf92f3577b34da6a3ce929d0e0e4736

Not audited
tls_not_visible  vault, 3 times
";
    assert_eq!(report(&shop(), Style::default()), expected);
}

#[test]
fn lines_fit_the_terminal() {
    let report = shop();
    for limit in [40, 60, 72, 80, 100] {
        let text = super::report(&report, Style { width: Some(limit), colour: false });
        for line in text.lines().skip(1) {
            assert!(width(line) <= limit.max(60), "{limit}: {line}");
        }
    }
    let narrow = table(&report.rows(), Style { width: Some(80), colour: false });
    assert!(narrow.contains("legacy    GET /cart → P…rge ledger:80 "), "{narrow}");
}

#[test]
fn colours_are_those_asked_for() {
    let style = Style { width: None, colour: true };
    let text = super::report(&shop(), style);
    assert!(text.contains("\x1b[31mdropped\x1b[0m") && text.contains("\x1b[32mpassed through\x1b[0m"), "{text}");
    assert!(!super::report(&shop(), Style::default()).contains('\x1b'));
}

#[test]
fn a_hop_that_only_findings_tell_of_has_a_row() {
    let report = read(&[finding("legacy", ("ledger", 80), "error", "traceparent_dropped")]);
    let text = table(&report.rows(), Style::default());
    assert!(text.contains("    ≥7  ░░░░░░░░░░   0%  dropped"), "{text}");
}

#[test]
fn the_other_end_has_a_name_where_it_is_known() {
    let mut line = summary("legacy", ("127.0.0.1", 8080), &[("dropped", 4)]);
    line["attributes"]["service.peer.name"] = json!("ledger");
    let report = read(&[line, summary("legacy", ("127.0.0.1", 8080), &[("dropped", 4)])]);
    let text = table(&report.rows(), Style::default());
    assert!(text.contains("GET /cart → POST /charge ledger:8080       8"), "{text}");
    let graph = crate::view::graph::Graph::new(&report.rows());
    assert_eq!(graph.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["legacy", "ledger"]);
}

#[test]
fn hops_and_findings_of_several_nodes_are_one() {
    let mut lines = Vec::new();
    for node in ["node-a", "node-b"] {
        for mut line in [
            summary("legacy", ("ledger", 80), &[("dropped", 4)]),
            finding("legacy", ("ledger", 80), "error", "traceparent_dropped"),
        ] {
            line["resource"]["host.name"] = json!(node);
            lines.push(line);
        }
    }
    let report = read(&lines);
    assert_eq!(report.rows().iter().map(|row| row.tally.calls).collect::<Vec<_>>(), [8]);
    let findings = report.findings();
    assert_eq!((findings.len(), findings[0].count, findings[0].nodes.len()), (1, 14, 2));
}

#[test]
fn nothing_strange_reaches_the_terminal() {
    let name = "\x1b]0;owned\x07\u{202e}evil\r\n\u{9b}2J";
    let mut line = finding(name, (name, 80), name, name);
    line["resource"]["host.name"] = json!(name);
    let blind = json!({"record_type": "blind_spot", "message": name, "blind_spot": {"code": name}, "resource": {"service.name": name}});
    let text = super::report(&read(&[line, summary(name, (name, 1), &[("dropped", 1)]), blind]), Style::default());
    assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
}

#[test]
fn only_all_is_a_hundred() {
    let shares = [None, Some(0.0), Some(0.001), Some(0.5), Some(0.996), Some(1.0)];
    assert_eq!(shares.map(percent), ["-", "0%", "<1%", "50%", "99%", "100%"]);
    assert_eq!([0.0, 0.001, 0.5, 0.999, 1.0].map(|share| bar(share).matches('█').count()), [0, 1, 5, 9, 10]);
}
