//! Processes that receive requests which nobody can see, through the pipeline without the kernel.

use super::script::{MS, Ran, SECOND, START, Say, Script, context, pid};
use super::worlds::Dice;
use crate::exchange::{Event, Unseen};
use crate::record::{BootNs, Direction, ProcessId};

const BROKEN: &str = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";

const TLS: [Unseen; 2] = [Unseen::Tls(Direction::Recv), Unseen::Tls(Direction::Send)];

fn receives(script: &mut Script, time: BootNs, tgid: u32, what: &[Unseen]) {
    for what in what.iter().copied() {
        script.at(time, Event::Unseen { process: pid(tgid), time: START + time, what });
    }
}

/// Somebody sends a request that is seen, and while that is open one that is not; for the latter a call is made which
/// carries `sent`.
fn in_step(script: &mut Script, from: BootNs, sent: impl Fn(Say, u64) -> Say) {
    for n in 0..100 {
        let time = from + n * 100 * MS + n * 7919 % 13 * MS;
        script.receive(time, 40 * MS, Say::new(1, 10, "GET /page").with(context(from + n, 0)));
        script.call(time + 10 * MS, sent(Say::new(1, 10, "GET /feed"), from + n));
    }
}

fn none(say: Say, _: u64) -> Say {
    say
}

fn nobody_is_accused(ran: &Ran, calls: u64) {
    assert_eq!(ran.codes(), Vec::<&str>::new(), "{}", ran.json());
    assert_eq!(ran.hops("unknown"), calls, "{}", ran.json());
    assert_eq!(ran.back.stats()["pair"]["calls_unseen"], calls);
}

#[test]
fn what_may_be_made_for_such_a_request_accuses_nobody() {
    let of_another: fn(Say, u64) -> Say = |say, n| say.with(context(1 << 40 | n, 1));
    let broken: fn(Say, u64) -> Say = |say, n| say.with(format!("{BROKEN}{n}"));
    for (sent, accused) in [
        (none as fn(Say, u64) -> Say, "traceparent_dropped"),
        (of_another, "trace_restarted"),
        (broken, "traceparent_malformed"),
    ] {
        let mut script = Script::default();
        in_step(&mut script, 0, sent);
        assert!(script.run().count(accused) > 50, "{accused}: where all is seen it is certain");
        for what in [TLS[0], TLS[1], Unseen::Something, Unseen::Opened, Unseen::OpenedForLong] {
            let mut script = Script::default();
            receives(&mut script, 0, 1, &[what]);
            in_step(&mut script, MS, sent);
            let ran = script.run();
            nobody_is_accused(&ran, 100);
            assert_eq!(ran.back.stats()["pair"]["processes_receiving_unseen"], 1);
        }
    }
}

/// A proxy that receives nothing else passes on what it was given; so does a child of it.
#[test]
fn who_receives_nothing_that_is_seen_made_nothing_of_what_it_sends() {
    for below in [false, true] {
        for hidden in [false, true] {
            let mut script = Script::default();
            if hidden {
                receives(&mut script, 0, 1, &TLS);
            }
            for n in 0..20 {
                let say = if below { Say::new(7, 7, "GET /a").below(&[(1, 10)]) } else { Say::new(1, 10, "GET /a") };
                script.call(SECOND + n * 50 * MS, say.with(format!("{BROKEN}{n}")));
            }
            let ran = script.run();
            if hidden {
                nobody_is_accused(&ran, 20);
            } else {
                assert!(ran.count("traceparent_malformed") > 0, "{}", ran.json());
            }
        }
    }
}

/// For good is only what the process answers in kind, and a connection while it is open; anything else as long as a request
/// may be at work.
#[test]
fn a_stranger_hides_nothing_for_long() {
    let (opened, closed) = (Unseen::Opened, Unseen::Closed);
    let cases: &[(&[Unseen], bool)] = &[
        (&TLS[..1], false),
        (&TLS[1..], false),
        (&[Unseen::Something, Unseen::Something], false),
        (&[opened, opened, closed, closed], false),
        (&[closed, opened, closed], false),
        (&TLS, true),
        (&[opened, opened, closed], true),
    ];
    for (what, for_good) in cases {
        let mut script = Script::default();
        receives(&mut script, 0, 1, what);
        in_step(&mut script, 30 * SECOND, none);
        nobody_is_accused(&script.run(), 100);
        in_step(&mut script, 100 * SECOND, none);
        let ran = script.run();
        assert_eq!(ran.count("traceparent_dropped") == 0, *for_good, "{what:?}: {}", ran.json());
    }
}

/// Of a WebSocket on a Unix socket nothing tells when it is over.
#[test]
fn what_may_be_open_is_remembered_for_ten_minutes() {
    for (minutes, is_over) in [(9, false), (11, true)] {
        let mut script = Script::default();
        receives(&mut script, 0, 1, &[Unseen::OpenedForLong]);
        in_step(&mut script, minutes * 60 * SECOND, none);
        let ran = script.run();
        assert_eq!(ran.count("traceparent_dropped") > 0, is_over, "{}", ran.json());
    }
}

/// Nor does who had its pid before, who comes after, or is another process.
#[test]
fn others_hide_nothing() {
    let mut script = Script::default();
    receives(&mut script, 0, 2, &TLS);
    for start_ns in [0, 2] {
        for what in TLS {
            let process = ProcessId { tgid: 1, start_ns };
            script.at(0, Event::Unseen { process, time: START, what });
        }
    }
    in_step(&mut script, MS, none);
    assert!(script.run().count("traceparent_dropped") > 50);
    // A server below one that is hidden receives its own.
    let mut script = Script::default();
    receives(&mut script, 0, 2, &TLS);
    in_step(&mut script, MS, |say, _| say.below(&[(2, 20)]));
    assert!(script.run().count("traceparent_dropped") > 50);
}

/// Many others come and go; who calls is remembered.
#[test]
fn who_calls_is_not_forgotten_for_others() {
    let mut script = Script::default();
    receives(&mut script, 0, 1, &TLS);
    for n in 0..100 {
        in_step(&mut script, n * 10 * SECOND, none);
        for other in 0..100 {
            let tgid = u32::try_from(1000 + n * 100 + other).unwrap();
            receives(&mut script, n * 10 * SECOND + 5 * SECOND, tgid, &TLS[..1]);
        }
    }
    nobody_is_accused(&script.run(), 10_000);
}

/// A pool that receives both: a thread has answered a request that was seen when it calls for the next one, which was not.
#[test]
fn a_thread_that_has_answered_tells_nothing() {
    for hidden in [false, true] {
        let mut script = Script::default();
        if hidden {
            receives(&mut script, 0, 1, &TLS);
        }
        let mut dice = Dice::new(7);
        for n in 0..400 {
            let (time, tid) = (n * 100 * MS + dice.below(50) * MS, 10 + u32::try_from(n % 8).unwrap());
            script.receive(time, 250 * MS, Say::new(1, tid, "GET /page").with(context(n, 0)));
            script.call(time + 20 * MS, Say::new(1, tid, "GET /price").with(context(n, 1)));
            script.call(time + 260 * MS, Say::new(1, tid, "GET /feed").with(format!("{BROKEN}{n}")));
            script.call(time + 270 * MS, Say::new(1, tid, "GET /feed"));
        }
        let ran = script.run();
        assert_eq!(ran.codes().is_empty(), hidden, "{}", ran.json());
        assert_eq!(ran.hops("continued"), 400);
    }
}

#[test]
fn its_thread_or_its_id_tells_whose_a_call_is() {
    for (by, with_id) in [("thread", false), ("affinity", true)] {
        let mut script = Script::default();
        let mut dice = Dice::new(7);
        receives(&mut script, 0, 1, &TLS);
        for n in 0..300 {
            let time = n * 100 * MS + dice.below(50) * MS;
            let tid = if with_id { 10 } else { 10 + u32::try_from(n % 8).unwrap() };
            let (mut receive, mut call) = (Say::new(1, tid, "POST /orders"), Say::new(1, tid, "POST /charge"));
            if with_id {
                (receive, call) = (receive.request_id(n), call.request_id(n));
            }
            script.receive(time, 250 * MS, receive.with(context(n, 0)));
            script.call(time + 20 * MS + dice.below(100) * MS, call);
        }
        let ran = script.run();
        assert!(ran.count("traceparent_dropped") > 100, "{by}: {}", ran.json());
        assert_eq!(ran.findings("traceparent_dropped")[0].finding.correlation.unwrap().method, by);
    }
}

/// What carries the trace of a request that was seen may be of another one of the same trace, that came without the rest.
#[test]
fn what_a_trace_lost_is_not_held_against_it() {
    for hidden in [false, true] {
        let mut script = Script::default();
        if hidden {
            receives(&mut script, 0, 1, &TLS);
        }
        for n in 0..50 {
            let mut say = Say::new(1, 10, "GET /page").with(context(n, 0));
            say.fields.push(("tracestate", "vendor=1".to_owned()));
            script.receive(n * 100 * MS, 40 * MS, say);
            script.call(n * 100 * MS + 10 * MS, Say::new(1, 10, "GET /feed").with(context(n, 1)));
        }
        let ran = script.run();
        assert_eq!(ran.codes().is_empty(), hidden, "{}", ran.json());
        assert_eq!(ran.hops("unknown"), 0, "that it goes on is certain");
    }
}
