//! Both ends on one node: each is named, and what crosses the wire is told once.

use super::Config;
use super::script::{MS, Ran, SECOND, Say, Script, context};
use crate::report::{FindingLine, Line, SummaryLine};

const BROKEN: &str = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
/// Where services listen.
const CART: u16 = 8001;
const STOCK: u16 = 8002;

/// A call to a port, by one process, and how it is received by another; `apart` is when, seen from the call.
struct Hop {
    from: u32,
    to: u32,
    port: u16,
    target: &'static str,
    apart: i64,
}

impl Hop {
    fn between(from: u32, to: u32, port: u16, target: &'static str) -> Self {
        Self { from, to, port, target, apart: 1 }
    }

    fn call(&self, script: &mut Script, time: u64, value: &str) {
        let client = 40_000 + u16::try_from(time / MS % 1000).expect("small");
        script.call(time, Say::new(self.from, self.from * 10, self.target).between(client, self.port).with(value));
    }

    fn receive(&self, script: &mut Script, time: u64, value: &str) {
        let client = 40_000 + u16::try_from(time / MS % 1000).expect("small");
        let time = time.checked_add_signed(self.apart).expect("later");
        script.receive(
            time,
            MS / 2,
            Say::new(self.to, self.to * 10, self.target).between(self.port, client).with(value),
        );
    }

    fn both(&self, script: &mut Script, time: u64, value: &str) {
        self.call(script, time, value);
        self.receive(script, time, value);
    }
}

fn malformed(ran: &Ran) -> Vec<(&FindingLine, u32)> {
    ran.findings("traceparent_malformed").into_iter().map(|line| (line, line.resource.pid)).collect()
}

fn summaries(ran: &Ran) -> Vec<&SummaryLine> {
    let summaries = ran.lines.iter().filter_map(|line| match line {
        Line::Summary(summary) => Some(&**summary),
        _ => None,
    });
    summaries.collect()
}

#[test]
fn a_fault_is_told_once_at_its_sender_whichever_end_is_seen_first() {
    for apart in [1, -1] {
        let mut script = Script::default();
        for n in 1..=20 {
            let hop = Hop { apart, ..Hop::between(1, 2, CART, "/cart") };
            hop.both(&mut script, n * 10 * MS, BROKEN);
        }
        let ran = script.run();
        assert_eq!(ran.count("traceparent_malformed"), 20, "{}", ran.json());
        for (line, pid) in malformed(&ran) {
            assert_eq!((line.finding.direction, pid), ("outbound", 1), "{}", ran.json());
            assert_eq!(line.attributes.peer_service.as_deref(), Some("service-2"));
            assert_eq!(line.attributes.peer_pid, Some(2));
            assert!(line.message.contains("backend:8080 (service-2)"), "{}", line.message);
        }
    }
}

#[test]
fn without_its_sender_a_fault_is_told_at_the_receiver() {
    let mut script = Script::default();
    let hop = Hop::between(1, 2, CART, "/cart");
    for n in 1..=20 {
        hop.receive(&mut script, n * 10 * MS, BROKEN);
    }
    let ran = script.run();
    let (line, pid) = malformed(&ran)[0];
    assert_eq!((line.finding.direction, pid, ran.count("traceparent_malformed")), ("inbound", 2, 20));
    assert_eq!((&line.attributes.peer_service, line.attributes.peer_pid), (&None, None));
    assert!(line.message.starts_with("10.0.0.1 sent "), "{}", line.message);
    // It waits for the sender, but not for long.
    let mut script = Script::default();
    hop.receive(&mut script, MS, BROKEN);
    hop.receive(&mut script, 10 * SECOND, &context(1, 1));
    let written = script.run().lines.iter().position(|line| matches!(line, Line::Finding(_)));
    assert_eq!(written, Some(1), "right after the first line, that of the start");
}

#[test]
fn where_it_arrives_tells_if_who_sent_it_is_left_out() {
    let mut script = Script::default();
    for n in 1..=20 {
        Hop::between(1, 2, CART, "/cart").both(&mut script, n * 10 * MS, BROKEN);
    }
    let ran = script.run_with(Config { ports: vec![CART], ..Config::default() });
    let mut directions: Vec<_> = malformed(&ran).iter().map(|(line, _)| line.finding.direction).collect();
    directions.sort_unstable();
    directions.dedup();
    assert_eq!((directions, ran.count("traceparent_malformed")), (vec!["inbound"], 20));
}

/// What a proxy passes on is told of who made it, not of the proxy, and not again behind it.
#[test]
fn what_is_passed_on_is_told_where_it_was_made() {
    let mut script = Script::default();
    for n in 1..=20 {
        let time = n * 10 * MS;
        let value = format!("{BROKEN}{n}").replace("-01", "-0x");
        let hop = Hop::between(1, 2, CART, "/cart");
        hop.call(&mut script, time, &value);
        let say = Say::new(2, 20, "/cart").between(CART, 40_000 + u16::try_from(time / MS % 1000).expect("small"));
        script.receive(time + 1, 5 * MS, say.with(&value));
        Hop::between(2, 3, STOCK, "/stock").both(&mut script, time + MS, &value);
    }
    let ran = script.run();
    let told: std::collections::BTreeSet<_> =
        malformed(&ran).iter().map(|(line, pid)| (line.finding.direction, *pid)).collect();
    assert_eq!(told, [("outbound", 1)].into(), "{}", ran.json());
    assert_eq!(ran.count("traceparent_malformed"), 20);
}

/// So it is where nobody knows which of the requests that are open made which call, whatever is broken.
#[test]
fn what_is_passed_on_from_many_at_once_is_told_where_it_was_made() {
    for (field, value) in [("traceparent", BROKEN), ("b3", "X-1"), ("baggage", "a"), ("tracestate", "a=1")] {
        let mut script = Script::default();
        for n in 1..=40 {
            let (time, client, inner) = (n * 10 * MS, 40_000 + n as u16, 50_000 + n as u16);
            let say =
                |pid: u32, target| Say { fields: vec![(field, value.to_owned())], ..Say::new(pid, pid * 10, target) };
            script.receive(time, 35 * MS, say(2, "/cart").between(CART, client));
            script.call(time + 20 * MS, say(2, "/stock").between(inner, STOCK));
            script.receive(time + 20 * MS + 1, MS, say(3, "/stock").between(STOCK, inner));
        }
        let ran = script.run();
        let told = ran.lines.iter().filter_map(|line| if let Line::Finding(line) = line { Some(line) } else { None });
        let told: Vec<_> = told.filter(|line| line.finding.code != "trace_not_started").collect();
        assert!(!told.is_empty() && told.iter().all(|line| line.resource.pid == 2), "{field}: {}", ran.json());
        assert!(told.iter().all(|line| line.finding.direction == "inbound"), "{field}: {}", ran.json());
    }
}

/// A process calls itself, and what it receives is seen before what it sent: that is not the request that the call was made
/// for.
#[test]
fn a_call_is_not_made_for_the_request_that_it_is() {
    for apart in [1, -1] {
        let mut script = Script::default();
        for n in 1..=40 {
            let time = n * 50 * MS;
            let mut page = Say::new(1, 10, "GET /page").with(context(n, 1));
            page.fields.push(("baggage", "a=1".to_owned()));
            script.receive(time, 30 * MS, page);
            let client = 40_000 + u16::try_from(n).expect("small");
            let inner = |own, peer| Say::new(1, 10, "GET /inner").between(own, peer).with(context(n, 2));
            script.call(time + 2 * MS, inner(client, CART));
            script.receive((time + 2 * MS).checked_add_signed(apart).expect("later"), MS, inner(CART, client));
        }
        let ran = script.run();
        assert_eq!((ran.codes(), ran.hops("continued")), (vec!["baggage_dropped"], 40), "{apart}");
    }
}

/// Nobody can say whether the sender made the value or copied it: it is told where it arrives, and says who sent it.
#[test]
fn what_cannot_be_held_against_its_sender_is_still_told() {
    let mut script = Script::default();
    for n in 1..=20 {
        let time = n * 10 * MS;
        for tid in 31..35 {
            script.receive(time, 8 * MS, Say::new(1, tid, "/front").with(format!("00-bad-{tid}")));
        }
        let client = 40_000 + u16::try_from(time / MS % 1000).expect("small");
        script.call(time + MS, Say::new(1, 99, "/cart").between(client, CART).with(BROKEN));
        script.receive(time + MS + 1, MS / 2, Say::new(2, 20, "/cart").between(CART, client).with(BROKEN));
    }
    let ran = script.run();
    let at_cart: Vec<_> = malformed(&ran).into_iter().filter(|(_, pid)| *pid == 2).map(|(line, _)| line).collect();
    assert_eq!(at_cart.iter().map(|line| line.finding.count).sum::<u64>(), 20, "{}", ran.json());
    for line in at_cart {
        assert!(line.message.starts_with("service-1 (pid 1) sent "), "{}", line.message);
    }
}

#[test]
fn edges_and_requests_name_both_ends() {
    let mut script = Script::default();
    for n in 1..=40 {
        let time = n * 20 * MS + n * 7919 % 13 * MS / 4;
        let client = 40_000 + u16::try_from(n).expect("small");
        script.call(time, Say::new(1, 10, "/cart").between(client, CART).with(context(n, 0)));
        script.receive(time + 1, 10 * MS, Say::new(2, 20, "/cart").between(CART, client).with(context(n, 0)));
        let inner = 50_000 + u16::try_from(n).expect("small");
        script.call(time + 2 * MS, Say::new(2, 20, "/stock").between(inner, STOCK));
        script.receive(time + 2 * MS + 1, MS, Say::new(3, 30, "/stock").between(STOCK, inner));
    }
    let ran = script.run();
    let dropped = ran.findings("traceparent_dropped")[0];
    let inbound = dropped.finding.inbound.as_ref().expect("a request");
    assert_eq!((inbound.peer_service.as_deref(), inbound.peer_pid), (Some("service-1"), Some(1)), "{}", ran.json());
    assert_eq!(dropped.attributes.peer_service.as_deref(), Some("service-3"));
    let named: Vec<_> = summaries(&ran)
        .iter()
        .map(|line| {
            (line.resource.pid, line.attributes.peer_service.clone().unwrap_or_default(), line.attributes.peer_pid)
        })
        .collect();
    assert!(named.contains(&(1, "service-2".to_owned(), Some(2))), "{named:?}");
    assert!(named.contains(&(2, "service-3".to_owned(), Some(3))), "{named:?}");
}
