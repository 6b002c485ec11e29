//! Services that fork for their requests, through the pipeline without the kernel.

use super::script::{MS, START, Say, Script, context};
use super::worlds::Dice;

#[test]
fn a_child_process_drops_for_its_parent() {
    let mut script = Script::default();
    for n in 0..60 {
        let time = n * 50 * MS + n * 7919 % 13 * MS;
        let child = 1000 + u32::try_from(n).unwrap();
        script.receive(time, 20 * MS, Say::new(1, 10, "GET /cgi").with(context(n, 0)));
        let curl = Say::new(child, child, "GET /stock").below(&[(1, 10)]).born(START + time + 5 * MS);
        script.call(time + 10 * MS, curl);
    }
    let ran = script.run();
    assert_eq!(ran.count("traceparent_dropped"), 60);
    let finding = ran.findings("traceparent_dropped")[0];
    assert_eq!((finding.finding.correlation.unwrap().method, finding.resource.pid), ("child_process", 1));
    // A helper that was there before any request is nobody's child.
    let mut script = Script::default();
    for n in 0..200 {
        script.receive(n * 50 * MS, 20 * MS, Say::new(1, 10, "GET /cgi").with(context(n, 0)));
        script.call(n * 50 * MS + 10 * MS, Say::new(1000, 1000, "GET /stock").below(&[(1, 1)]).born(START - 1));
    }
    assert!(script.run().codes().is_empty());
}

/// Requests of one thread that follow each other without a pause; every fifth has a child make a call, at some time.
fn always_busy(requests: u64, child: impl Fn(u32) -> Say) -> super::script::Ran {
    let mut script = Script::default();
    for n in 0..requests {
        let time = n * 100 * MS;
        let target = if n % 5 == 0 { "GET /fan" } else { "GET /keep" };
        script.receive(time, 99 * MS, Say::new(1, 10, target).with(context(n, 0)));
        if n % 5 == 0 {
            let at = time + 20 * MS + n * 7919 % 71 * MS;
            script.call(at, child(1000 + u32::try_from(n).unwrap()).born(START + at - MS));
        }
    }
    script.run()
}

#[test]
fn a_child_is_forked_for_the_request_of_its_thread() {
    let ran = always_busy(300, |child| Say::new(child, child, "GET /stock").below(&[(1, 10)]));
    assert_eq!(ran.count("traceparent_dropped"), 60);
    // By a script, and that for the request.
    let ran = always_busy(300, |child| Say::new(child, child, "GET /stock").below(&[(child + 5000, 1), (1, 10)]));
    assert_eq!(ran.count("traceparent_dropped"), 60);
}

#[test]
fn what_a_child_left_behind_calls_is_nobodys() {
    let ran = always_busy(300, |child| Say::new(child, child, "GET /stock").below(&[(900, 900), (1, 10)]));
    assert_eq!(ran.codes(), Vec::<&str>::new());
}

#[test]
fn what_an_event_loop_forks_while_requests_are_open_may_be_a_timers() {
    // One long poll after the other, on the only thread; jobs that are started at any time.
    for (poll, mean) in [(1000, 300), (1000, 500), (5000, 2000), (30_000, 10_000)] {
        let mut script = Script::default();
        for n in 0..200 {
            script.receive(n * poll * MS, (poll - 5) * MS, Say::new(1, 10, "GET /poll").with(context(n, 0)));
        }
        let (mut dice, mut time, mut child) = (Dice::new(poll), 0, 1000);
        while time < 200 * poll * MS {
            time += dice.pause(mean * MS);
            child += 1;
            let curl = Say::new(child, child, "GET /stock").below(&[(1, 10)]).born(START + time);
            script.call(time, curl);
        }
        assert_eq!(script.run().codes(), Vec::<&str>::new(), "{poll} {mean}");
    }
}

#[test]
fn a_process_for_every_connection() {
    let mut script = Script::default();
    for n in 0..300 {
        let (time, child) = (n * 20 * MS, 1000 + u32::try_from(n).unwrap());
        let target = if n % 5 == 0 { "GET /fan" } else { "GET /keep" };
        script.receive(time, 2000 * MS, Say::new(child, child, target).born(START + time - MS).with(context(n, 0)));
        if n % 5 == 0 {
            script.call(time + 1000 * MS, Say::new(child, child, "GET /stock").born(START + time - MS));
        }
    }
    assert_eq!(script.run().count("traceparent_dropped"), 60);
}
