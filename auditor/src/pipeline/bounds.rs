//! What is forgotten when there is too much of it, and what is not.

use super::Config;
use super::script::{MS, SECOND, Say, Script, context};
use crate::report::Line;

#[test]
fn tables_are_bounded() {
    let config = Config {
        pairing: crate::pair::Limits { processes: 8, requests: 1000, ..Default::default() },
        max_pending: 1000,
        ..Config::default()
    };
    let mut script = Script::default();
    for n in 0..100_000u64 {
        let process = 1 + u32::try_from(n % 20).unwrap();
        script.receive(n * 1000, 1000 * SECOND, Say::new(process, 10, "GET /a").with(context(n, 0)));
        if n % 10 == 0 {
            script.call(n * 1000 + 1, Say::new(process, 10, "GET /b"));
        }
    }
    let mut events = script.events();
    events.truncate(130_000);
    let ran = super::script::run(events, config);
    let stats = ran.lines.iter().rev().find_map(|line| match line {
        Line::Stats(stats) => Some(stats),
        _ => None,
    });
    let stats = &stats.unwrap().stats;
    assert!(stats["tables"]["requests"] <= 1000 && stats["tables"]["processes"] <= 8);
    assert!(stats["evicted"]["processes"] + stats["evicted"]["requests"] > 0);
}

#[test]
fn of_answered_requests_the_latest_are_kept() {
    let config = Config { pairing: crate::pair::Limits { answered: 100, ..Default::default() }, ..Config::default() };
    let mut script = Script::default();
    // One that is open all the time, and is the first: it is not among those that were answered first.
    script.receive(0, 40 * SECOND, Say::new(1, 10, "GET /a").with(context(1, 0)));
    for n in 0..2000u64 {
        script.receive((n + 1) * 10 * MS, MS, Say::new(1, 11, "GET /b").with(context(2 + n, 0)));
    }
    script.call(30 * SECOND, Say::new(1, 99, "GET /c").with(context(1, 1)));
    let ran = super::script::run(script.events(), config);
    let said = |of: fn(&Line) -> Option<u64>| ran.lines.iter().rev().find_map(of);
    let held = said(|line| if let Line::Stats(stats) = line { Some(stats.stats["tables"]["requests"]) } else { None });
    let forgotten =
        said(
            |line| if let Line::Stats(stats) = line { Some(stats.stats["pair"]["requests_superseded"]) } else { None },
        );
    assert!(held.is_some_and(|held| held <= 101), "{held:?}");
    assert_eq!(forgotten, Some(1901));
    assert!(ran.json().contains("\"continued\":1"), "the call of the open one is known for its own");
}

#[test]
fn of_a_process_that_calls_nobody_few_answered_requests_are_kept() {
    let mut script = Script::default();
    for n in 0..2000u64 {
        script.receive(n * 10 * MS, MS, Say::new(1, 11, "GET /a").with(context(n, 0)));
    }
    let ran = script.clone().run();
    let held = |ran: &super::script::Ran| {
        let stats =
            ran.lines.iter().rev().find_map(|line| if let Line::Stats(stats) = line { Some(stats) } else { None });
        stats.map(|stats| stats.stats["tables"]["requests"])
    };
    assert!(held(&ran).is_some_and(|held| (256..290).contains(&held)), "{:?}", held(&ran));
    // The first call comes late, by a child, and goes on with a trace that is forgotten.
    script.call(20 * SECOND, Say::new(7, 7, "GET /b").with(context(1, 1)).below(&[(1, 11)]));
    // From now on it calls: what is answered is remembered for calls to come.
    for n in 0..1000u64 {
        script.receive(21 * SECOND + n * 10 * MS, MS, Say::new(1, 11, "GET /a").with(context(5000 + n, 0)));
        script.call(41 * SECOND + n * 10 * MS, Say::new(7, 7, "GET /b").with(context(5000 + n, 1)).below(&[(1, 11)]));
    }
    let ran = script.run();
    assert!(held(&ran).is_some_and(|held| held >= 1000), "{:?}", held(&ran));
    assert_eq!(ran.hops("continued"), 1000);
    assert!(ran.codes().is_empty(), "{:?}", ran.codes());
}

#[test]
fn what_the_first_calls_carry_may_be_of_a_request_that_is_forgotten() {
    let mut script = Script::default();
    let broken = |n: u64| format!("00-{n:032X}-00f067aa0ba902b7-01");
    for n in 1..=2000u64 {
        script.receive(n * 10 * MS, MS, Say::new(1, 11, "GET /a").with(broken(n)));
    }
    // All of them at last, while another one is open that carries a context, and after it.
    script.receive(30 * SECOND, 10 * SECOND, Say::new(1, 11, "GET /b").with(context(1, 0)));
    for n in 1..=2000u64 {
        script.call(30 * SECOND + n * 10 * MS, Say::new(1, 12, "POST /flush").with(broken(n)));
    }
    let ran = script.run();
    let of_a_call = |line: &&Line| matches!(line, Line::Finding(line) if line.finding.direction == "outbound");
    let accused: Vec<_> = ran.lines.iter().filter(of_a_call).map(Line::to_json).collect();
    assert!(accused.is_empty(), "{accused:?}");
    assert_eq!(ran.hops("started") + ran.hops("restarted"), 0);
}

/// `calls`: whether the process has been seen to call.
fn forgotten_at_work(calls: bool, pairing: crate::pair::Limits) {
    let mut script = Script::default();
    if calls {
        script.call(0, Say::new(1, 9, "GET /other"));
    }
    // Two requests of one trace, of which one brings a `tracestate`; the other one is answered, and then so many that it is
    // forgotten.
    let mut open = Say::new(1, 10, "GET /a").with(context(1, 0));
    open.fields.push(("tracestate", "vendor=1".to_owned()));
    script.receive(0, SECOND, open);
    script.receive(10_000, 10_000, Say::new(1, 10, "GET /a").with(context(1, 1)));
    for n in 0..2000u64 {
        script.receive(MS + n * 20_000, 10_000, Say::new(1, 10, "GET /b").with(context(2 + n, 0)));
    }
    script.call(50 * MS, Say::new(1, 10, "GET /c").with(context(1, 2)));
    let ran = script.run_with(Config { pairing, ..Config::default() });
    assert_eq!(ran.hops("continued"), 1);
    assert!(ran.codes().is_empty(), "{:?}", ran.codes());
}

#[test]
fn one_that_is_forgotten_while_it_may_be_at_work_still_may_have_made_a_call() {
    forgotten_at_work(false, Default::default());
    forgotten_at_work(true, crate::pair::Limits { answered: 100, ..Default::default() });
}

#[test]
fn what_forgotten_requests_call_is_not_held_against_one_that_is_open() {
    let mut script = Script::default();
    // Requests without context on one thread; and at any time one with, on another, which calls nobody.
    for n in 0..10_000u64 {
        script.receive(n * 20_000, 10_000, Say::new(1, 10, "GET /bare"));
    }
    for n in 0..60u64 {
        script.receive(n * 5 * MS, 4 * MS, Say::new(1, 11, "GET /traced").with(context(n, 0)));
    }
    // The first calls of all, for the last of the former.
    for n in 0..1000u64 {
        script.call(200 * MS + n * 90_000, Say::new(1, 10, "GET /late"));
    }
    let ran = script.run();
    assert!(ran.codes().is_empty(), "{:?}", ran.codes());
}

#[test]
fn many_open_requests_are_survived() {
    let mut script = Script::default();
    for n in 0..100_000u64 {
        script.receive(n * 1000, 1000 * SECOND, Say::new(1, 10, "GET /a").with(context(n, 0)));
        if n % 4 == 0 {
            script.call(n * 1000 + 1, Say::new(1, 10, "GET /b"));
        }
    }
    let ran = script.run();
    assert_eq!(ran.back.totals().requests, 100_000);
}
