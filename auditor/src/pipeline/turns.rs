//! Processes that are looked at in turns, through the pipeline without the kernel.

use super::script::{MS, SECOND, START, Say, Script, context, pid};
use super::worlds::Dice;
use crate::record::DutyCycle;
use crate::report::Line;

const BROKEN: &str = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";

fn cycle() -> DutyCycle {
    "3s/9s".parse().unwrap()
}

/// When the turns of a process begin.
fn turns(tgid: u32) -> impl Iterator<Item = u64> {
    (2..40).map(move |period| cycle().window(START + period * cycle().period(), pid(tgid)).start - START)
}

/// An event loop; of each request it does not hand on the context but, if so, the request's id.
fn loses_contexts(script: &mut Script, with_id: bool) {
    let mut dice = Dice::new(5);
    for (turn, begins) in (0..).zip(turns(1)) {
        for n in 0..28 {
            let (time, id) = (begins + n * 100 * MS + dice.below(50) * MS, turn << 16 | n);
            let receive = Say::new(1, 10, "POST /orders").with(context(id, 0));
            let call = Say::new(1, 10, "POST /charge");
            let (receive, call) = if with_id { (receive.request_id(id), call.request_id(id)) } else { (receive, call) };
            script.receive(time, 130 * MS, receive);
            script.call(time + 20 * MS + dice.below(100) * MS, call);
        }
    }
}

#[test]
fn in_an_event_loop_the_id_of_the_request_convicts_and_nothing_else() {
    let run = |with_id| {
        let mut script = Script::in_turns(cycle());
        loses_contexts(&mut script, with_id);
        script.run()
    };
    assert!(run(true).count("traceparent_dropped") > 100);
    let ran = run(false);
    assert_eq!(ran.codes(), Vec::<&str>::new());
    // Nor is it said that they forward it, or that there is nothing to forward.
    let summaries = ran.lines.iter().filter_map(|line| if let Line::Summary(line) = line { Some(line) } else { None });
    let edges: Vec<_> = summaries.map(|line| &line.edge).collect();
    assert!(!edges.is_empty() && edges.iter().all(|edge| edge["unknown"] == edge["calls"]), "{edges:?}");
}

/// A proxy holds a request until all of its body is there, and passes on what it carried.
#[test]
fn what_came_between_two_turns_is_passed_on_in_the_next() {
    for others in [false, true] {
        let mut script = Script::in_turns(cycle());
        for (turn, begins) in (0..).zip(turns(1)) {
            for n in 0..20 {
                let (time, trace) = (begins + n * 100 * MS, turn << 16 | n);
                if others {
                    script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(trace, 0)));
                    let say = Say::new(1, 10, "GET /cart").with(context(trace, 1));
                    script.call(time + 2 * MS, say);
                }
                script.call(time + 5 * MS, Say::new(1, 10, "POST /upload").with(format!("{BROKEN}{n}")));
            }
        }
        let ran = script.run();
        assert_eq!(ran.codes(), Vec::<&str>::new(), "{}", ran.json());
    }
}

/// Of what requests left behind a while ago, each request sends some, with the context that it was left with.
#[test]
fn what_was_left_behind_goes_on_with_its_own_trace() {
    let mut script = Script::in_turns(cycle());
    for (turn, begins) in (0..).zip(turns(1)) {
        for n in 0..28 {
            let (time, trace) = (begins + n * 100 * MS, turn << 16 | n);
            let tid = 10 + u32::try_from(n % 4).unwrap();
            script.receive(time, 250 * MS, Say::new(1, tid, "POST /orders").with(context(trace, 0)));
            let earlier = context(1 << 40 | trace, 7);
            script.call(time + 20 * MS, Say::new(1, tid, "POST /outbox").with(earlier));
        }
    }
    assert_eq!(script.run().codes(), Vec::<&str>::new());
}

/// Threads of their own for requests that come together: whatever else is open, a call is that of the thread's request.
#[test]
fn threads_convict() {
    let mut script = Script::in_turns(cycle());
    let mut dice = Dice::new(7);
    for (turn, begins) in (0..).zip(turns(1)) {
        for n in 0..28 {
            let (time, trace) = (begins + n * 100 * MS + dice.below(50) * MS, turn << 16 | n);
            let tid = 10 + u32::try_from(n % 8).unwrap();
            script.receive(time, 250 * MS, Say::new(1, tid, "POST /orders").with(context(trace, 0)));
            script.call(time + 20 * MS + dice.below(100) * MS, Say::new(1, tid, "POST /charge"));
        }
    }
    let ran = script.run();
    assert!(ran.count("traceparent_dropped") > 100, "{}", ran.json());
    assert_eq!(ran.findings("traceparent_dropped")[0].finding.correlation.unwrap().method, "thread");
}

/// A program with threads and an event loop in one container, which names them both. In the event loop a request that came
/// before the turn calls whenever another one is open.
#[test]
fn threads_of_one_program_prove_nothing_of_another() {
    let mut script = Script::in_turns(cycle());
    script.same_service.insert(2, 1);
    for (turn, (threads, event_loop)) in (0..).zip(turns(1).zip(turns(2))) {
        for n in 0..25 {
            let (time, trace) = (n * 110 * MS, turn << 16 | n);
            let say = Say::new(1, 10 + u32::try_from(n % 8).unwrap(), "POST /orders");
            script.receive(threads + time, 250 * MS, say.with(context(trace, 0)));
            let time = event_loop + time + n * 7919 % 13 * MS;
            script.receive(time, 40 * MS, Say::new(2, 20, "GET /cart").with(context(1 << 32 | trace, 0)));
            script.call(time + 10 * MS, Say::new(2, 20, "GET /feed"));
        }
    }
    assert_eq!(script.run().codes(), Vec::<&str>::new());
}

#[test]
fn who_begins_in_its_turn_is_judged_as_ever() {
    let mut script = Script::in_turns(cycle());
    let process = 77;
    let begins = turns(process).next().unwrap();
    let say = |target| Say::new(process, 1, target).born(START + begins + MS);
    for n in 0..25 {
        let time = begins + (n + 1) * 100 * MS + n * 7919 % 13 * MS;
        script.receive(time, 40 * MS, say("GET /cart").with(context(n, 0)));
        script.call(time + 10 * MS, say("GET /stock"));
    }
    script.receive(begins + 5 * SECOND, MS, say("GET /cart"));
    let ran = script.run();
    assert!(ran.count("traceparent_dropped") > 0, "{}", ran.json());
}

/// Of a server whose turn it is not nothing is known: what its children and itself call is not for the server that forked
/// it.
#[test]
fn calls_below_a_server_that_rests_are_nobodys() {
    let cycle = cycle();
    let begins = |tgid, period: u64| cycle.window(START + period * cycle.period(), pid(tgid)).start - START;
    let other = (2..).find(|other| begins(*other, 9).abs_diff(begins(1, 9)) > 3000 * MS).unwrap();
    let mut script = Script::in_turns(cycle);
    for period in 2..12 {
        // It has been heard of before the first of these.
        let turn = begins(other, period - 1) + 1500 * MS;
        script.receive(turn, 20 * MS, Say::new(other, 20, "GET /inner").with(context(1 << 40 | period, 0)));
        for n in 0..20 {
            let time = begins(1, period) + n * 140 * MS + n * 7919 % 13 * MS;
            let child = 1000 + u32::try_from(period * 20 + n).unwrap();
            script.receive(time, 20 * MS, Say::new(1, 10, "GET /cgi").with(context(period << 8 | n, 0)));
            let born = START + time + 5 * MS;
            let curl = Say::new(child, child, "GET /stock").below(&[(other, 20), (1, 10)]).born(born);
            script.call(time + 8 * MS, curl);
            script.call(time + 10 * MS, Say::new(other, 20, "GET /price").below(&[(1, 10)]));
        }
    }
    let ran = script.run();
    assert_eq!(ran.codes(), Vec::<&str>::new());
    let summaries = ran.lines.iter().filter_map(|line| if let Line::Summary(line) = line { Some(line) } else { None });
    let paired: Vec<_> = summaries.filter(|line| line.inbound.is_some()).map(|line| line.hop()).collect();
    assert!(paired.is_empty(), "{paired:?}");
}
