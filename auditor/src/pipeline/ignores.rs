//! What a user wants to hear nothing of, and that it changes nothing else.

use super::Config;
use super::script::{MS, Ran, Say, Script, context};
use crate::audit::Ignore;
use crate::context::Selection;
use crate::context::format::Level;
use crate::report::Line;

fn ignoring(entries: &[&str]) -> Config {
    let ignores = entries.iter().map(|text| text.parse().unwrap()).collect();
    Config { ignores, ..Config::default() }
}

/// A server with a thread per request that loses the context on each call.
fn drops(target: &'static str, host: &'static str) -> Script {
    let mut script = Script::default();
    for n in 0..50 {
        let time = n * 20 * MS + n * 7919 % 13 * MS / 4;
        script.receive(time, 10 * MS, Say::new(1, 10, target).with(context(n, 0)));
        let call = Say { host, user_agent: Some("poller/1.2".into()), ..Say::new(1, 10, "POST /charge") };
        script.call(time + 2 * MS, call);
    }
    script
}

fn counts(ran: &Ran) -> (u64, u64, u64, u64) {
    let totals = ran.back.totals();
    (ran.count("traceparent_dropped"), ran.hops("dropped"), totals.ignored, totals.findings_ignored)
}

#[test]
fn what_comes_in_on_other_ports_is_neither_counted_nor_told() {
    let mut script = Script::default();
    for n in 0..100 {
        let time = n * 20 * MS + n * 7919 % 13 * MS / 4;
        let (port, drops) = if n % 2 == 0 { (8001, true) } else { (8002, false) };
        let request = Say::new(1, 10, "GET /cart").between(port, 40_000).with(context(n, 0));
        script.receive(time, 10 * MS, request);
        let call = Say::new(1, 10, "POST /charge");
        script.call(time + 2 * MS, if drops { call } else { call.with(context(n, 1)) });
    }
    for (ports, requests, dropped, continued) in
        [(vec![], 100, 50, 50), (vec![8001], 50, 50, 0), (vec![8002], 50, 0, 50), (vec![1], 0, 0, 0)]
    {
        let ran = script.run_with(Config { ports, ..Config::default() });
        let totals = ran.back.totals();
        assert_eq!((totals.requests, totals.requests_with_context), (requests, requests));
        assert_eq!((ran.hops("dropped"), ran.hops("continued")), (dropped, continued));
        assert_eq!(totals.findings.values().sum::<u64>(), dropped);
        assert_eq!(ran.count("traceparent_dropped"), dropped);
        let told = ran.lines.iter().filter(|line| matches!(line, Line::Finding(_) | Line::Summary(_))).count();
        assert_eq!(told > 0, requests > 0);
    }
}

#[test]
fn calls_and_requests_are_ignored_by_what_describes_them() {
    let script = drops("GET /internal/cart", "payments:8080");
    for (entry, ignored) in [
        // The calls.
        ("path=/charge", 50),
        ("path=/*", 50),
        ("path=/x,/ch?rge", 50),
        ("destination=payments", 50),
        ("destination=elsewhere,10.0.0.0/8", 50),
        ("user-agent=poller/*", 50),
        ("user-agent=poller/*,path=/charge,destination=payments:8080,service=service-1", 50),
        (r#"{ path = ["/a/{b,c}", "/charge"], reason = "a table" }"#, 50),
        // The requests, and so the calls that were made for them.
        ("path=/internal/**", 100),
        ("service=service-*", 100),
    ] {
        assert_eq!(counts(&script.run_with(ignoring(&[entry]))), (0, 0, ignored, 0), "{entry}");
        assert_eq!(counts(&script.run_with(ignoring(&["service=x", entry]))), (0, 0, ignored, 0), "{entry}");
    }
    for elsewhere in [
        "path=/internal/*/x",
        "path=/char",
        "path=*",
        "service=service",
        "user-agent=poller",
        "destination=payments:9",
        "path=/charge,user-agent=curl",
        // A request that was received goes nowhere.
        "path=/internal/**,destination=payments",
    ] {
        assert_eq!(counts(&script.run_with(ignoring(&[elsewhere]))), (50, 50, 0, 0), "{elsewhere}");
    }
}

#[test]
fn a_code_is_ignored_and_the_outcome_is_counted() {
    let script = drops("GET /internal/cart", "payments:8080");
    for entry in [
        "code=traceparent_dropped",
        "code=traceparent_dropped,path=/charge",
        "path=/internal/**,code=traceparent_dropped",
    ] {
        let ran = script.run_with(ignoring(&[entry]));
        assert_eq!(counts(&ran), (0, 50, 0, 50), "{entry}");
        assert_eq!(ran.back.totals().worst(), None);
        let stats = ran.json();
        assert!(stats.contains(r#""findings_ignored":50"#), "{stats}");
    }
    for entry in ["code=trace_restarted", "code=traceparent_dropped,path=/other"] {
        assert_eq!(counts(&script.run_with(ignoring(&[entry]))), (50, 50, 0, 0), "{entry}");
    }
}

#[test]
fn faults_of_ignored_requests_are_not_told() {
    let mut script = Script::default();
    script.receive(0, 10 * MS, Say::new(1, 10, "GET /internal/x").with("00-BAD-00f067aa0ba902b7-01"));
    let told = |entries: &[&str]| script.run_with(ignoring(entries)).count("traceparent_malformed");
    assert_eq!((told(&[]), told(&["path=/internal/*"]), told(&["code=traceparent_malformed"])), (1, 0, 0));
}

#[test]
fn an_ignored_request_may_still_have_made_a_call() {
    // On one thread: requests with context that make no call, and beside each one without context that makes a call.
    let mut script = Script::default();
    for n in 0..80 {
        let time = n * 20 * MS + n * 7919 % 13 * MS / 4;
        script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.receive(time + MS / 10, 9 * MS, Say::new(1, 10, "GET /internal/feed"));
        script.call(time + 2 * MS, Say::new(1, 10, "POST /charge"));
    }
    assert!(script.run().codes().is_empty());
    for entry in ["path=/internal/**", "path=/internal/**,code=traceparent_dropped"] {
        assert!(script.run_with(ignoring(&[entry])).codes().is_empty(), "{entry}");
    }
}

#[test]
fn what_is_no_entry_is_refused() {
    for (text, why) in [
        ("", "has no key"),
        ("/internal", "has no key"),
        ("pth=/a", "unknown key `pth`, expected one of `service`, `path`"),
        ("path=", "matches nothing"),
        ("path=[", "unclosed"),
        ("destination=http://a", "not a network"),
        ("code=tls_not_visible", "blind spot"),
        ("code=traceparent_droped", "did you mean `traceparent_dropped`?"),
        ("reason=because", "would ignore everything"),
        ("{}", "would ignore everything"),
        ("{ path = [] }", "leave the key out"),
        ("{ path = 5 }", "array of strings"),
    ] {
        let refused = text.parse::<Ignore>().unwrap_err();
        assert!(refused.contains(why), "{text}: {refused}");
    }
}

#[test]
fn other_settings_take_effect_between_two_events_and_nothing_is_forgotten() {
    let script = drops("GET /cart", "payments:8080");
    let events = script.events();
    let half = events.len() / 2;
    let mut back = super::Back::new(Config::default());
    let mut lines = Vec::new();
    for (at, event) in events.into_iter().enumerate() {
        if at == half {
            back.reconfigure(ignoring(&["destination=payments"]), "new: ignore".into(), &mut lines);
        }
        back.handle(event, &mut lines);
    }
    back.finish(&mut lines);
    let ran = Ran { lines, back };
    let (told, dropped, ignored, _) = counts(&ran);
    assert_eq!(told, dropped);
    assert!((20..=30).contains(&told) && told + ignored == 50, "{told} {ignored}");
    let reloaded = |line: &&Line| matches!(line, Line::Lifecycle(line) if line.event_name == "auditor.reloaded");
    assert_eq!(ran.lines.iter().filter(reloaded).count(), 1);

    // The other way round, the evidence of the first half counts: the calls were weighed all the time.
    let mut back = super::Back::new(ignoring(&["destination=payments"]));
    let mut lines = Vec::new();
    for (at, event) in script.events().into_iter().enumerate() {
        if at == half {
            back.reconfigure(Config::default(), "new: ignore".into(), &mut lines);
        }
        back.handle(event, &mut lines);
    }
    back.finish(&mut lines);
    let (told, dropped, ignored, _) = counts(&Ran { lines, back });
    assert!((20..=30).contains(&told) && told == dropped && told + ignored == 50, "{told} {dropped} {ignored}");
}

#[test]
fn other_formats_wait_for_a_restart() {
    let script = drops("GET /cart", "payments:8080");
    let selection = Selection::new(&["b3", "w3c"], &[""; 0], Level::Two).unwrap();
    let only_b3 = Selection::new(&["b3"], &[""; 0], Level::Two).unwrap();
    let mut back = super::Back::new(Config { selection, ..Config::default() });
    let mut lines = Vec::new();
    // Before every event: whatever is open when they come has been read in the first order.
    for event in script.events() {
        let other = Config { selection: only_b3.clone(), ..Config::default() };
        back.reconfigure(other, "formats".into(), &mut lines);
        back.handle(event, &mut lines);
    }
    back.finish(&mut lines);
    let ran = Ran { lines, back };
    let codes: Vec<_> = ran
        .lines
        .iter()
        .filter_map(|line| match line {
            Line::Finding(line) => Some(line.finding.code),
            _ => None,
        })
        .collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == "traceparent_dropped"), "{codes:?}");
}
