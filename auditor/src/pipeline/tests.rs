//! Each outcome and rule, and what looks like it and is legal.

use super::Config;
use super::script::{MS, SECOND, START, Say, Script, context};
use crate::exchange::{Event, Visibility};
use crate::report::{LINE_CAP, Line};

const BROKEN: &str = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
const BROKEN_ID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01";

/// A server with a thread per request; each request takes 10 ms of every 20 and makes one call after 2 ms.
fn served(requests: u64, call: impl Fn(u64, Say) -> Say, receive: impl Fn(u64, Say) -> Say) -> Script {
    let mut script = Script::default();
    for n in 0..requests {
        let jitter = n * 7919 % 13 * MS / 4;
        let (time, tid) = (n * 20 * MS + jitter, 10 + u32::try_from(n % 3).unwrap());
        script.receive(time, 10 * MS, receive(n, Say::new(1, tid, "GET /cart")));
        script.call(time + 2 * MS, call(n, Say::new(1, tid, "POST /charge/17")));
    }
    script
}

fn valid(n: u64, say: Say) -> Say {
    say.with(context(n, 0))
}

fn bare(_: u64, say: Say) -> Say {
    say
}

#[test]
fn a_synchronous_server_that_drops_is_found_and_every_call_counts() {
    let ran = served(50, bare, valid).run();
    assert_eq!(ran.codes(), ["traceparent_dropped"]);
    assert_eq!(ran.count("traceparent_dropped"), 50);
    assert_eq!(ran.hops("dropped"), 50);
    let findings = ran.findings("traceparent_dropped");
    let first = findings[0];
    assert!(first.finding.count >= 5);
    assert_eq!(
        first.message,
        "service-1 (pid 1) received traceparent on GET /cart but sent none on POST /charge/{id} to backend:8080"
    );
    assert_eq!(first.resource.pid, 1);
    assert_eq!(first.attributes.status_code, Some(200));
    assert_eq!(first.attributes.server_port, Some(8080));
    assert_eq!(first.finding.correlation.unwrap().method, "thread");
    assert!(first.finding.correlation.unwrap().confidence >= 0.99);
    assert_eq!(first.finding.received.as_deref().map(|raw| &raw[3..35]), first.trace_id.as_deref());
    assert_eq!(findings.iter().map(|f| &f.finding.fingerprint).collect::<std::collections::BTreeSet<_>>().len(), 1);
}

#[test]
fn a_thread_for_each_request_is_found() {
    let mut script = Script::default();
    for n in 0..60 {
        let (time, tid) = (n * 3 * MS, 100 + u32::try_from(n).unwrap());
        script.receive(time, 40 * MS, Say::new(1, tid, "GET /cart").with(context(n, 0)));
        script.call(time + 20 * MS, Say::new(1, tid, "POST /charge"));
    }
    assert_eq!(script.run().count("traceparent_dropped"), 60);
}

#[test]
fn a_pool_that_hands_over_is_found() {
    let mut script = Script::default();
    for n in 0..200 {
        let time = n * 20 * MS + n * 7919 % 13 * MS;
        script.receive(time, 6 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.call(time + 2 * MS, Say::new(1, 20 + u32::try_from(n % 5).unwrap(), "POST /charge"));
    }
    let ran = script.run();
    assert_eq!(ran.count("traceparent_dropped"), 200);
    assert_eq!(ran.findings("traceparent_dropped")[0].finding.correlation.unwrap().method, "sole_candidate");
}

#[test]
fn an_event_loop_that_drops_is_found_among_sixteen_open_requests() {
    let mut script = Script::default();
    for n in 0..400 {
        let time = n * 5 * MS + n * 7919 % 17 * MS / 10;
        script.receive(time, 80 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.call(time + MS / 2, Say::new(1, 10, "POST /charge"));
    }
    let ran = script.run();
    assert_eq!(ran.codes(), ["traceparent_dropped"]);
    assert!(ran.count("traceparent_dropped") >= 390);
    assert_eq!(ran.findings("traceparent_dropped")[0].finding.correlation.unwrap().method, "any_parent");
}

#[test]
fn fan_out_counts_every_call() {
    for calls in [2, 5, 12] {
        let mut script = Script::default();
        for n in 0..60 {
            let time = n * 40 * MS + n * 7919 % 13 * MS;
            script.receive(time, 15 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
            for call in 0..calls {
                script.call(time + (1 + call) * MS, Say::new(1, 10, "GET /item"));
            }
        }
        assert_eq!(script.run().count("traceparent_dropped"), 60 * calls, "{calls}");
    }
}

#[test]
fn forwarding_is_continued_or_passed_through() {
    let ran = served(50, |n, say| say.with(context(n, 1)), valid).run();
    assert_eq!((ran.hops("continued"), ran.codes().len()), (50, 0));
    let ran = served(50, valid, valid).run();
    assert_eq!((ran.hops("passed_through"), ran.codes()), (50, vec!["parent_id_not_updated"]));
    assert_eq!(ran.count("parent_id_not_updated"), 50);
    // Handed to threads that never see the request, long after it was answered.
    let mut script = Script::default();
    for n in 0..50 {
        script.receive(n * MS, MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.call(n * MS + 5 * SECOND, Say::new(1, 77, "POST /mail").with(context(n, 1)));
    }
    assert_eq!(script.run().hops("continued"), 50);
}

#[test]
fn restarts_are_found_unless_they_are_mandatory() {
    let ran = served(50, |n, say| say.with(context(1000 + n, 1)), valid).run();
    assert_eq!((ran.codes(), ran.count("trace_restarted")), (vec!["trace_restarted"], 50));
    let ran = served(50, |n, say| say.with(context(1000 + n, 1)), |_, say| say.with("00-bad")).run();
    assert_eq!(ran.codes(), ["traceparent_malformed"]);
    assert_eq!(ran.hops("started"), 50);
    assert!(ran.findings("traceparent_malformed").iter().all(|f| f.finding.direction == "inbound"));
}

#[test]
fn nothing_in_is_no_fault() {
    let random = |n: u64| n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let ran = served(50, |n, say| say.with(context(random(n), 1)), bare).run();
    assert_eq!((ran.hops("started"), ran.codes().len()), (50, 0));
    let ran = served(50, bare, bare).run();
    assert_eq!((ran.codes(), ran.count("trace_not_started")), (vec!["trace_not_started"], 50));
    assert_eq!(ran.hops("absent"), 50);
}

#[test]
fn broken_values_blame_who_made_them() {
    // Made by this service.
    let ran = served(20, |_, say| say.with(BROKEN), valid).run();
    assert_eq!((ran.codes(), ran.count("traceparent_malformed")), (vec!["traceparent_malformed"], 20));
    let finding = ran.findings("traceparent_malformed")[0];
    assert_eq!((finding.finding.direction, finding.finding.reason), ("outbound", Some("uppercase_hex")));
    // Made upstream, copied here.
    let ran = served(20, |_, say| say.with(BROKEN), |_, say| say.with(BROKEN)).run();
    assert!(ran.findings("traceparent_malformed").iter().all(|f| f.finding.direction == "inbound"));
    assert_eq!(ran.hops("passed_through"), 20);
    // Made here of another one that is broken in the same way.
    let ran = served(20, |n, say| say.with(format!("00-0-{n}-01")), |_, say| say.with("00-0-x-01")).run();
    assert!(ran.findings("traceparent_malformed").iter().any(|f| f.finding.direction == "outbound"));
    // Repaired here.
    let ran = served(20, |_, say| say.with(BROKEN_ID), |_, say| say.with(BROKEN)).run();
    assert_eq!(ran.codes(), ["invalid_trace_id_reused", "traceparent_malformed"]);
    assert_eq!(ran.count("invalid_trace_id_reused"), 20);
}

#[test]
fn duplicates() {
    let twice = |n: u64, say: Say| say.with(context(n, 0)).with(context(n, 1));
    let ran = served(20, twice, valid).run();
    assert_eq!((ran.codes(), ran.count("traceparent_duplicated")), (vec!["traceparent_duplicated"], 20));
    let ran = served(20, twice, twice).run();
    assert!(ran.findings("traceparent_duplicated").iter().all(|f| f.finding.direction == "inbound"));
    assert_eq!(ran.hops("passed_through"), 20);
    // Other ones.
    let ran = served(20, |n, say| twice(1000 + n, say), twice).run();
    let own: Vec<_> =
        ran.findings("traceparent_duplicated").into_iter().filter(|f| f.finding.direction == "outbound").collect();
    assert_eq!(own.iter().map(|f| f.finding.count).sum::<u64>(), 20);
}

/// Each request is answered after 20 ms, and this long after that there is a call.
fn called_after(lag: u64) -> super::script::Ran {
    let mut script = Script::default();
    for n in 0..200 {
        script.receive(n * 300 * MS, 20 * MS, Say::new(1, 10, "GET /a").with(context(n, 0)));
        script.call(n * 300 * MS + 20 * MS + lag, Say::new(1, 10, "POST /audit"));
    }
    script.run()
}

#[test]
fn work_that_goes_on_after_the_response_can_drop_as_well() {
    assert!(called_after(5 * MS).count("traceparent_dropped") > 180);
}

#[test]
fn what_comes_long_after_the_response_is_not_held_against_it() {
    assert!(called_after(120 * MS).codes().is_empty());
}

#[test]
fn what_was_not_seen_whole_is_unknown() {
    for visibility in [Visibility::Truncated, Visibility::Lost] {
        let ran = served(50, |_, say| say.seen(visibility), valid).run();
        assert_eq!((ran.hops("unknown"), ran.codes().len()), (50, 0));
        let ran = served(50, bare, |_, say| say.seen(visibility)).run();
        assert_eq!((ran.hops("unknown"), ran.codes().len()), (50, 0));
    }
}

#[test]
fn after_a_loss_nothing_is_concluded_for_a_while() {
    let mut script = served(500, bare, valid);
    for n in 0..10 {
        script.at(n * SECOND, Event::Lost { count: 1, time: START + n * SECOND });
    }
    let ran = script.run();
    assert!(ran.codes().is_empty());
    assert_eq!(ran.back.totals().lost, 10);
    assert!(ran.json().contains("\"capture_lost\""));
}

#[test]
fn a_lost_event_never_creates_a_drop() {
    // A service that is healthy but for calls that are too few, or too mixed with background, to say.
    let mut script = served(4, bare, valid);
    for n in 0..40 {
        script.receive(n * 90 * MS, 30 * MS, Say::new(2, 10, "GET /b").with(context(n, 0)));
        script.call(n * 31 * MS, Say::new(2, 10, "GET /poll"));
    }
    let events = script.events();
    assert!(super::script::run(events.clone(), Config::default()).findings("traceparent_dropped").is_empty());
    for gone in 0..events.len() {
        let mut events = events.clone();
        let time = match events.remove(gone) {
            Event::Request(request) => request.time,
            Event::Response { time, .. } | Event::End { time, .. } => time,
            _ => continue,
        };
        events.insert(gone, Event::Lost { count: 1, time });
        assert!(super::script::run(events, Config::default()).findings("traceparent_dropped").is_empty(), "{gone}");
    }
}

#[test]
fn a_loss_counts_for_calls_that_still_wait_for_their_answer() {
    // Calls that look like drops, then one that speaks for the service, then all the answers: without that one call the
    // drops would be certain, so they must not be once it is lost.
    let mut tipped = 0;
    for hits in 5..20 {
        let mut script = Script::default();
        for n in 0..hits {
            let time = n * 100 * MS + n * 7919 % 13 * MS;
            script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
            script.slow_call(time + 2 * MS, 5 * SECOND, Say::new(1, 10, "POST /charge"));
        }
        let last = hits * 100 * MS + 50 * MS;
        let (unknowing, mut lossy) = (script.clone(), script.clone());
        lossy.at(last, Event::Lost { count: 1, time: START + last });
        script.call(last, Say::new(1, 10, "POST /charge"));
        let [full, lossy, unknowing] =
            [script, lossy, unknowing].map(|script| script.run().count("traceparent_dropped"));
        assert_eq!(lossy, 0, "{hits} calls before the loss, {full} reported without it");
        tipped += u64::from(full == 0 && unknowing > 0);
    }
    assert!(tipped > 0);
}

#[test]
fn a_call_that_fails_says_so() {
    let mut script = Script::default();
    for n in 0..30 {
        let time = n * 20 * MS + n * 7919 % 13 * MS;
        script.receive(time, 5 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.call_in_vain(time + MS, Say::new(1, 10, "POST /charge"));
    }
    let nobody = script.clone().run();
    // It was there before.
    script.call(0, Say::new(2, 20, "POST /charge").with(context(99, 1)));
    let ran = script.run();
    assert_eq!(ran.findings("traceparent_dropped")[0].attributes.error_type, Some("connection_closed"));
    assert!(ran.json().contains("\"failed\":30"));
    // Who never answers is perhaps no server, and what was sent no call.
    assert_eq!((nobody.codes(), nobody.hops("unknown")), (vec![], 30), "{}", nobody.json());
    assert!(nobody.json().contains("\"failed\":30"));
    assert!(!nobody.json().contains("duration_seconds"));
}

/// A back end that takes longer than anybody waits for has answered as well.
#[test]
fn who_answers_late_answers() {
    let ran = |answers: bool| {
        let mut script = Script::default();
        for n in 0..60 {
            let time = n * 3 * SECOND + n * 7919 % 13 * MS;
            script.receive(time, 30 * SECOND, Say::new(1, 10 + n as u32 % 20, "GET /ask").with(context(n, 0)));
            let takes = if answers { 20 * SECOND } else { 500 * SECOND };
            script.slow_call(time + MS, takes, Say::new(1, 10 + n as u32 % 20, "POST /model"));
        }
        script.run().count("traceparent_dropped")
    };
    assert!(ran(true) > 20 && ran(false) == 0, "{} {}", ran(true), ran(false));
}

#[test]
fn a_summary_tells_how_long_calls_took_and_which_broke() {
    let mut script = Script::default();
    for n in 0..200 {
        let (time, takes) = (n * 20 * MS, if n == 7 { 3 * SECOND } else { 2 * MS });
        let status = if n % 4 == 0 { 503 } else { 200 };
        script.receive(time, 5 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        let call = Say { status, ..Say::new(1, 10, "POST /charge").with(context(n, 1)) };
        script.slow_call(time + MS, takes, call);
    }
    // Where a request was not seen to begin, its response tells nothing of how long it took; nor is there any yet.
    script.call(4100 * MS, Say::new(1, 10, "POST /charge").with(context(0, 1)).seen(Visibility::Lost));
    script.slow_call(4100 * MS, 11 * SECOND, Say::new(1, 10, "POST /charge").with(context(0, 1)));
    let ran = script.run();
    let summary = ran.lines.iter().find_map(|line| match line {
        Line::Summary(summary) if summary.edge["continued"] > 0 => Some(summary),
        _ => None,
    });
    let summary = summary.unwrap();
    assert_eq!((summary.edge["calls"], summary.edge["server_errors"], summary.edge["failed"]), (202, 50, 0));
    let duration = summary.duration_seconds.unwrap();
    assert_eq!((duration.count, duration.max), (200, 3.0));
    assert!((duration.p50 - 0.002).abs() <= 0.002 / 16.0 && (duration.p99 - 0.002).abs() <= 0.002 / 16.0);
}

#[test]
fn telemetry_is_not_a_hop() {
    let mut script = Script::default();
    for n in 0..100 {
        script.receive(n * 20 * MS, 10 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.call(n * 20 * MS + MS, Say::new(1, 10, "POST /v1/traces"));
    }
    let ran = script.run();
    assert_eq!((ran.codes().len(), ran.back.totals().ignored), (0, 100));
    assert_eq!(ran.back.totals().hops.values().sum::<u64>(), 0);
}

#[test]
fn two_runs_are_byte_identical_and_lines_fit() {
    let script = served(300, |n, say| if n % 2 == 0 { say } else { say.with(BROKEN) }, valid);
    let (one, two) = (script.run().json(), script.run().json());
    assert_eq!(one, two);
    assert!(one.lines().all(|line| line.len() <= LINE_CAP));
    for line in one.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["schema_version"], "1.0");
        assert!(value["record_type"].is_string());
    }
}

#[test]
fn findings_fold_into_windows() {
    let ran = served(9000, bare, valid).run();
    let findings = ran.findings("traceparent_dropped");
    assert!((3..=5).contains(&findings.len()), "{}", findings.len());
    assert_eq!(ran.count("traceparent_dropped"), 9000);
    let config = Config { aggregation_window: std::time::Duration::ZERO, ..Config::default() };
    let ran = served(100, bare, valid).run_with(config);
    assert!(ran.findings("traceparent_dropped").len() > 50);
    assert_eq!(ran.count("traceparent_dropped"), 100);
}

#[test]
fn long_evidence_is_cut() {
    let mut ran = served(50, bare, valid).run();
    let line = ran.lines.iter_mut().find(|line| matches!(line, Line::Finding(_))).unwrap();
    if let Line::Finding(finding) = line {
        finding.resource.command_line = Some("\u{1}".repeat(4000));
    }
    let text = line.to_json();
    assert!(text.len() <= LINE_CAP && text.contains("\"truncated\":true"));
}

#[test]
fn the_schema_names_every_record() {
    let schema = Line::schema().to_string();
    for name in ["finding", "summary", "blind_spot", "stats", "lifecycle", "2020-12", "oneOf", "process.linux.cgroup"] {
        assert!(schema.contains(name), "{name}");
    }
}

/// Requests from `from` on, one after the other on thread 10, each with a call that drops, and one without context on
/// the same thread that nobody answers.
fn beside_an_abandoned_one(from: u64) -> super::script::Ran {
    let mut script = Script::default();
    script.receive(0, 3 * 3600 * SECOND, Say::new(1, 10, "GET /abandoned"));
    for n in 0..50 {
        let time = from + n * 20 * MS + n * 7919 % 13 * MS / 4;
        script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.call(time + 2 * MS, Say::new(1, 10, "POST /charge"));
    }
    script.run()
}

#[test]
fn a_request_that_nobody_answers_is_no_candidate_for_ever() {
    let expired = |ran: &super::script::Ran| {
        let last =
            ran.lines.iter().rev().find_map(|line| if let Line::Stats(stats) = line { Some(stats) } else { None });
        last.map(|stats| stats.stats["pair"]["requests_expired"])
    };
    let ran = beside_an_abandoned_one(SECOND);
    assert!(ran.codes().is_empty(), "it may be the parent");
    let ran = beside_an_abandoned_one(601 * SECOND);
    assert_eq!(ran.codes(), ["traceparent_dropped"]);
    assert_eq!(ran.hops("dropped"), 50);
    assert_eq!(expired(&ran), Some(1));
}

#[test]
fn a_call_that_carries_the_trace_of_an_expired_request_is_still_its_own() {
    let mut script = Script::default();
    script.receive(0, 3600 * SECOND, Say::new(1, 10, "GET /long").with(context(1, 0)));
    script.receive(1200 * SECOND, MS, Say::new(1, 11, "GET /other").with(context(2, 0)));
    script.call(1300 * SECOND, Say::new(1, 10, "POST /a").with(context(1, 5)));
    script.receive(3700 * SECOND, MS, Say::new(1, 11, "GET /other").with(context(3, 0)));
    let ran = script.run();
    assert_eq!(ran.hops("continued"), 1);
    assert!(ran.codes().is_empty(), "{:?}", ran.codes());
}
