//! Processes that are left alone because they call nobody, through the pipeline without the kernel.

use super::script::{MS, Ran, SECOND, START, Say, Script, context, pid};
use super::{Back, Config};
use crate::exchange::Event;
use crate::pair::Rest;
use crate::record::BootNs;

/// Longer than a request is remembered.
const REST: BootNs = 100 * SECOND;
/// Upper case is no valid trace-id.
const BROKEN: &str = "4BF92F3577B34DA6A3CE929D0E0E4736";

/// A process that answers 600 requests a second for six seconds.
fn busy() -> Script {
    let mut script = Script::leaving_alone(REST);
    answers(&mut script, 0, 600 * 6);
    script
}

fn answers(script: &mut Script, from: BootNs, requests: u64) {
    for n in 0..requests {
        let say = Say::new(1, 10, "GET /static").with(context(from + n, 0));
        script.receive(from + n * SECOND / 600, MS, say);
    }
}

/// When the source is to leave which process alone, and when to look at it again; in seconds.
fn rests(script: &Script) -> Vec<(BootNs, Rest)> {
    let mut back = Back::new(Config::default());
    let mut rests = Vec::new();
    for event in script.events() {
        let (Event::Request(_) | Event::Tick(_)) = event else {
            back.handle(event, &mut Vec::new());
            continue;
        };
        let time = if let Event::Tick(tick) = &event { tick.time } else { START };
        let time = if let Event::Request(request) = &event { request.time } else { time };
        back.handle(event, &mut Vec::new());
        rests.extend(back.rests().into_iter().map(|rest| ((time - START) / SECOND, rest)));
    }
    rests
}

fn rest(rests: bool) -> Rest {
    Rest { process: pid(1), rests }
}

#[test]
fn who_answers_much_and_calls_nobody_is_left_alone_for_a_while() {
    let mut script = busy();
    script.receive(200 * SECOND, MS, Say::new(1, 10, "GET /static"));
    assert_eq!(rests(&script), [(5, rest(true)), (105, rest(false))]);
    answers(&mut script, 110 * SECOND, 600 * 6);
    assert_eq!(rests(&script), [(5, rest(true)), (105, rest(false)), (115, rest(true))]);
    // Unless nobody asked for that, as in a recording.
    let mut script = Script::default();
    answers(&mut script, 0, 600 * 6);
    assert_eq!(rests(&script), []);
}

#[test]
fn who_answers_little_or_calls_is_not() {
    let mut script = Script::leaving_alone(REST);
    for n in 0..3000u64 {
        script.receive(n * 3 * MS, MS, Say::new(1, 10, "GET /static"));
    }
    assert_eq!(rests(&script), []);
    for child in [false, true] {
        let mut script = busy();
        let say = if child { Say::new(7, 7, "GET /b").below(&[(1, 10)]) } else { Say::new(1, 10, "GET /b") };
        script.call(100 * MS, say);
        answers(&mut script, 60 * SECOND, 600 * 6);
        assert_eq!(rests(&script), []);
    }
}

#[test]
fn a_call_wakes_and_it_is_not_left_alone_again() {
    for child in [false, true] {
        let mut script = busy();
        let say = if child { Say::new(7, 7, "GET /b").below(&[(1, 10)]) } else { Say::new(1, 10, "GET /b") };
        script.call(20 * SECOND, say);
        answers(&mut script, 30 * SECOND, 600 * 12);
        assert_eq!(rests(&script), [(5, rest(true)), (20, rest(false))]);
    }
}

/// How many calls have which outcome in summaries.
fn unknown(ran: &Ran) -> (u64, u64) {
    (ran.hops("unknown"), ran.back.totals().info().hops.values().sum())
}

/// What it received while it was left alone takes long, and calls now and then, without context or with what it was given:
/// a broken one, or that of another trace. Of what is received since, each carries a context and calls nobody.
#[test]
fn what_was_received_meanwhile_accuses_nobody() {
    let calls: [fn(Say, u64) -> Say; 3] = [
        |say, _| say,
        |say, n| say.with(format!("00-{BROKEN}-{n:016x}-01")),
        |say, n| say.with(context(1 << 40 | n, 1)),
    ];
    for carries in calls {
        let mut script = busy();
        for n in 0..500u64 {
            let time = 20 * SECOND + n * 100 * MS;
            script.call(time, carries(Say::new(1, 10, "GET /late"), n));
            script.receive(time + 10 * MS + n * 7919 % 83 * MS, 60 * MS, Say::new(1, 10, "GET /a").with(context(n, 0)));
        }
        let ran = script.run();
        assert_eq!(ran.codes(), Vec::<&str>::new(), "{}", ran.json());
        assert_eq!(unknown(&ran), (500, 500));
    }
}

#[test]
fn what_is_certain_is_said_at_once() {
    let mut script = busy();
    script.call(20 * SECOND, Say::new(1, 10, "GET /first"));
    for n in 0..100u64 {
        let time = 21 * SECOND + n * 100 * MS + n * 7919 % 53 * MS;
        script.receive(time, 130 * MS, Say::new(1, 10, "GET /a").with(context(n, 0)).request_id(n));
        script.call(time + 30 * MS, Say::new(1, 10, "GET /b").request_id(n));
        script.call(time + 70 * MS, Say::new(1, 10, "GET /c").with(context(n, 5)));
    }
    let ran = script.run();
    assert!(ran.count("traceparent_dropped") > 30, "{}", ran.json());
    assert_eq!(ran.hops("continued"), 100);
}

#[test]
fn a_minute_after_it_was_woken_it_is_judged_as_ever() {
    let mut script = busy();
    script.call(20 * SECOND, Say::new(1, 10, "GET /first"));
    for n in 0..60u64 {
        let time = 81 * SECOND + n * 100 * MS + n * 7919 % 13 * MS;
        script.receive(time, 40 * MS, Say::new(1, 10, "GET /a").with(context(n, 0)));
        script.call(time + 20 * MS, Say::new(1, 10, "GET /b"));
    }
    assert!(script.run().count("traceparent_dropped") > 30);
}

/// The pid of one that ended while it was left alone is given to another, whose child calls.
#[test]
fn another_process_of_its_pid_is_not_left_alone() {
    let mut script = busy();
    let born = START + 10 * SECOND;
    for n in 0..1000u64 {
        let time = 20 * SECOND + n * 100 * MS + n * 7919 % 13 * MS;
        let child = 1000 + u32::try_from(n).unwrap();
        script.receive(time, 40 * MS, Say::new(1, 1, "GET /cgi").with(context(1 << 30 | n, 0)).born(born));
        let curl = Say::new(child, child, "GET /stock").below(&[(1, 1)]).born(START + time + 5 * MS);
        script.call(time + 10 * MS, curl);
    }
    let ran = script.run();
    assert_eq!(ran.count("traceparent_dropped"), 1000, "{}", ran.json());
}

/// What still comes from a process that is to be left alone by now changes nothing.
#[test]
fn what_comes_nevertheless_is_not_taken_for_the_cause_of_anything() {
    let mut script = busy();
    answers(&mut script, 6 * SECOND, 600 * 20);
    script.call(20 * SECOND + 100_000, Say::new(1, 10, "GET /b"));
    let ran = script.run();
    assert_eq!((ran.codes(), unknown(&ran)), (Vec::<&str>::new(), (1, 1)));
}

/// One request of a trace came while it was left alone, and makes a call; another one of it brought more.
#[test]
fn what_was_received_meanwhile_may_share_a_trace() {
    let mut script = busy();
    script.call(20 * SECOND, Say::new(1, 10, "GET /first"));
    let mut open = Say::new(1, 10, "GET /a").with(context(1 << 40, 0));
    open.fields.push(("tracestate", "vendor=1".to_owned()));
    script.receive(30 * SECOND, SECOND, open);
    script.call(30 * SECOND + 100 * MS, Say::new(1, 11, "GET /c").with(context(1 << 40, 2)));
    let ran = script.run();
    assert_eq!((ran.codes(), ran.hops("continued")), (Vec::<&str>::new(), 1));
}
