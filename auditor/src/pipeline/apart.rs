//! Edges of which some calls keep the context and some do not: the share, and what tells the two apart.

use super::script::{MS, Ran, Say, Script, context};
use super::worlds::Dice;
use crate::report::{Difference, FindingLine, Line};

/// A server with a thread per request, each of which makes one call; `call` says whether it drops, and what it is like.
fn served(requests: u64, call: impl Fn(u64, u64, Say) -> (bool, Say), receive: impl Fn(u64, Say) -> Say) -> Ran {
    let mut script = Script::default();
    let mut dice = Dice::new(7);
    for n in 0..requests {
        let time = n * 20 * MS + dice.below(8 * MS);
        let tid = 10 + u32::try_from(n % 3).unwrap();
        let (drops, say) = call(n, dice.below(1000), Say::new(1, tid, "POST /charge"));
        let say = if drops { say } else { say.with(context(n, 1)) };
        script.receive(time, 10 * MS, receive(n, Say::new(1, tid, "GET /cart").with(context(n, 0))));
        script.call(time + 2 * MS, say);
    }
    script.run()
}

fn plain(_: u64, say: Say) -> Say {
    say
}

fn last(ran: &Ran) -> &FindingLine {
    assert_eq!(ran.codes(), ["traceparent_dropped"]);
    ran.findings("traceparent_dropped").last().unwrap()
}

fn values(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

fn agent(name: &str, say: Say) -> Say {
    Say { user_agent: Some(name.to_owned()), ..say }
}

#[test]
fn the_client_library_that_drops_is_named() {
    let ran = served(
        200,
        |_, roll, say| match roll % 10 < 3 {
            true => (true, agent("python-requests/2.31", say)),
            false => (false, agent("Go-http-client/1.1", say)),
        },
        plain,
    );
    let found = last(&ran);
    let edge = found.finding.edge.as_ref().unwrap();
    let (dropped, kept) = (edge["dropped"], edge["continued"]);
    assert!(dropped > 40 && dropped + kept == 200, "{edge:?}");
    let tail = format!("; {dropped} of 200 calls, those of user agent python-requests/2.31");
    assert!(found.message.ends_with(&tail), "{}", found.message);
    let expected = Difference {
        of: "outbound",
        by: "user_agent.original",
        broken: values(&["python-requests/2.31"]),
        kept: values(&["Go-http-client/1.1"]),
    };
    assert_eq!(found.finding.differs, [expected]);
    let line = serde_json::to_value(Line::Finding(Box::new(found.clone()))).unwrap();
    assert_eq!(line["finding"]["differs"][0]["by"], "user_agent.original");
    jsonschema::validate(&Line::schema(), &line).unwrap();
}

#[test]
fn a_call_that_does_not_say_who_makes_it_is_told_apart_as_well() {
    let ran = served(
        200,
        |_, roll, say| if roll % 3 == 0 { (true, say) } else { (false, agent("Go-http-client/1.1", say)) },
        plain,
    );
    assert_eq!(last(&ran).finding.differs[0].broken, [None]);
    assert!(last(&ran).message.ends_with(", those of user agent (none)"), "{}", last(&ran).message);
}

#[test]
fn the_thread_pool_that_drops_is_named() {
    const BARE: [&str; 4] = ["pool-2-thread-1", "pool-2-thread-2", "pool-2-thread-3", "pool-2-thread-4"];
    const OTHER: [&str; 2] = ["http-nio-exec-1", "http-nio-exec-2"];
    let mut script = Script::default();
    let mut dice = Dice::new(3);
    for n in 0..300u64 {
        let time = n * 20 * MS + dice.below(8 * MS);
        script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        let pick = usize::try_from(dice.below(8)).unwrap();
        let tid = 100 + u32::try_from(pick).unwrap();
        let say = Say::new(1, tid, "POST /charge");
        script.call(
            time + 2 * MS,
            match BARE.get(pick) {
                Some(comm) => Say { comm, ..say },
                None => Say { comm: OTHER[pick % 2], ..say }.with(context(n, 1)),
            },
        );
    }
    let ran = script.run();
    let found = last(&ran);
    assert_eq!(found.finding.differs[0].by, "thread.name");
    assert_eq!(found.finding.differs[0].broken, values(&["pool-2-thread"]));
    assert_eq!(found.finding.differs[0].kept, values(&["http-nio-exec"]));
    assert!(found.message.ends_with(", those of thread pool-2-thread"), "{}", found.message);
}

#[test]
fn the_one_connection_of_a_pool_that_drops_is_named() {
    let ran = served(
        400,
        |_, roll, say| {
            let port = 40_000 + u16::try_from(roll % 5).unwrap();
            (port == 40_002, Say { port, ..say })
        },
        plain,
    );
    let found = last(&ran);
    assert_eq!(found.finding.differs.len(), 1, "{:?}", found.finding.differs);
    assert_eq!(found.finding.differs[0].by, "network.local.port");
    assert_eq!(found.finding.differs[0].broken, values(&["40002"]));
    assert_eq!(found.finding.differs[0].kept.len(), 4);
}

#[test]
fn requests_that_were_not_sampled_are_told_apart() {
    let sampled = |n: u64| !(n * 7919 % 31).is_multiple_of(3);
    let flagged = |n: u64, say: Say| {
        let mut say = say;
        let flags = if sampled(n) { "01" } else { "00" };
        say.fields.iter_mut().for_each(|(_, value)| value.replace_range(53.., flags));
        say
    };
    let ran = served(300, |n, _, say| (!sampled(n), say), flagged);
    let found = last(&ran);
    let expected = Difference { of: "inbound", by: "trace_flags", broken: values(&["00"]), kept: values(&["01"]) };
    assert_eq!(found.finding.differs, [expected]);
    assert!(found.message.ends_with(", those of inbound trace flags 00"), "{}", found.message);
}

#[test]
fn what_happens_to_all_alike_is_told_apart_by_nothing() {
    let ran = served(
        300,
        |n, roll, say| {
            let agents = ["python-requests/2.31", "Go-http-client/1.1"];
            let say = agent(agents[usize::try_from(n % 2).unwrap()], say);
            (roll % 3 == 0, Say { port: 40_000 + u16::try_from(n % 7).unwrap(), ..say })
        },
        plain,
    );
    let found = last(&ran);
    let dropped = found.finding.edge.as_ref().unwrap()["dropped"];
    assert!(found.finding.differs.is_empty(), "{:?}", found.finding.differs);
    assert!(found.message.ends_with(&format!("; {dropped} of 300 calls")), "{}", found.message);
}

/// The drops begin and end, and while they last the connection is another one too: so is whatever else changed then.
#[test]
fn what_lasted_for_a_while_is_not_blamed_on_what_else_did() {
    let broken = |n: u64| (100..200).contains(&n);
    let ran = served(300, |n, _, say| (broken(n), Say { port: if broken(n) { 40_001 } else { 40_000 }, ..say }), plain);
    assert!(last(&ran).finding.differs.is_empty(), "{:?}", last(&ran).finding.differs);
    assert!(last(&ran).message.ends_with("; 100 of 300 calls"), "{}", last(&ran).message);
}

#[test]
fn an_edge_of_one_kind_says_nothing_of_it() {
    let ran = served(100, |_, _, say| (true, agent("python-requests/2.31", say)), plain);
    for found in ran.findings("traceparent_dropped") {
        assert!(found.finding.differs.is_empty());
        assert!(found.message.ends_with("POST /charge to backend:8080"), "{}", found.message);
    }
    assert!(!ran.json().contains("differs"));
    let ran = served(100, |n, _, say| (false, agent(["a", "b"][usize::try_from(n % 2).unwrap()], say)), plain);
    assert_eq!((ran.codes().len(), ran.hops("continued")), (0, 100));
}

#[test]
fn what_is_different_each_time_tells_nothing() {
    let ran = served(
        10_000,
        |n, roll, say| {
            let status = u16::try_from(200 + n % 300).unwrap();
            (roll % 3 == 0, Say { status, port: u16::try_from(10_000 + n).unwrap(), ..agent(&format!("bot/{n}"), say) })
        },
        plain,
    );
    assert!(last(&ran).finding.differs.is_empty());
}

#[test]
fn restarted_calls_are_told_apart_too() {
    let mut script = Script::default();
    let mut dice = Dice::new(5);
    for n in 0..200 {
        let time = n * 20 * MS + dice.below(8 * MS);
        script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        let say = Say::new(1, 10, "POST /charge");
        script.call(
            time + 2 * MS,
            match dice.below(3) {
                0 => agent("okhttp/4", say).with(context(10_000 + n, 1)),
                _ => agent("Apache-HttpClient/5", say).with(context(n, 1)),
            },
        );
    }
    let ran = script.run();
    assert_eq!(ran.codes(), ["trace_restarted"]);
    let found = *ran.findings("trace_restarted").last().unwrap();
    assert_eq!(found.finding.differs[0].broken, values(&["okhttp/4"]));
    assert!(found.message.ends_with("calls, those of user agent okhttp/4"), "{}", found.message);
}

/// An event loop with eight requests open: of a dropped call it is known which route made it, not which request.
#[test]
fn an_event_loop_with_two_client_libraries() {
    let mut script = Script::default();
    let mut dice = Dice::new(9);
    for n in 0..1000 {
        let time = n * 10 * MS + dice.below(5 * MS);
        let from = Say { port: 8000, ..Say::new(1, 10, "GET /cart") };
        script.receive(time, 80 * MS, from.with(context(n, 0)));
        let say = Say::new(1, 10, "POST /charge");
        script.call(
            time + MS / 2,
            match dice.below(3) {
                0 => agent("node-fetch/1.0", say),
                _ => agent("axios/1.6", say).with(context(n, 1)),
            },
        );
    }
    let ran = script.run();
    let found = last(&ran);
    assert_eq!(found.finding.correlation.unwrap().method, "any_parent");
    assert_eq!(found.finding.differs.len(), 1, "{:?}", found.finding.differs);
    assert_eq!(found.finding.differs[0].broken, values(&["node-fetch/1.0"]));
}
