//! The rules that several calls break together, and what looks like it and is legal.

use super::script::{MS, Ran, SECOND, Say, Script};
use crate::report::FindingLine;

const FIXED: u64 = 0xb7ad_6b71_6920_3331;

/// SplitMix64.
fn random(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn value(trace: u64, parent: u64, flags: u8) -> String {
    format!("00-{:016x}{trace:016x}-{parent:016x}-{flags:02x}", 0x4bf9_2f35)
}

/// Each trace and span with ids as a library makes them.
fn made(trace: u64, span: u64) -> String {
    value(random(trace), random(span), 1)
}

/// A server with a thread per request; each makes one call after 2 ms. Every other request is of another route.
fn served(requests: u64, receive: impl Fn(u64, Say) -> Say, call: impl Fn(u64, Say) -> Say) -> Script {
    let mut script = Script::default();
    for n in 0..requests {
        let (time, tid) = (n * 20 * MS + n * 7919 % 13 * MS / 4, 10 + u32::try_from(n % 3).unwrap());
        let route = if n % 2 == 0 { "GET /cart" } else { "GET /stock" };
        script.receive(time, 10 * MS, receive(n, Say::new(1, tid, route)));
        script.call(time + 2 * MS, call(n, Say::new(1, tid, "GET /prices")));
    }
    script
}

fn bare(_: u64, say: Say) -> Say {
    say
}

fn with_context(n: u64, say: Say) -> Say {
    say.with(made(n, 1000 + n))
}

fn is_quiet(script: &Script) {
    let ran = script.run();
    assert!(ran.codes().is_empty(), "{:?}", ran.codes());
}

fn level(ran: &Ran, code: &str) -> &'static str {
    ran.findings(code).last().unwrap().level
}

#[test]
fn one_parent_id_in_many_traces() {
    let ran = served(50, with_context, |n, say| say.with(value(random(n), FIXED, 1))).run();
    assert_eq!((ran.codes(), ran.count("parent_id_reused")), (vec!["parent_id_reused"], 48));
    let finding = &ran.findings("parent_id_reused")[0].finding;
    assert_eq!((finding.outcome, finding.correlation.unwrap().method), (Some("continued"), "trace_id"));
    assert!(finding.inbound.is_some());
}

#[test]
fn one_parent_id_in_traces_of_its_own() {
    let ran = served(50, bare, |n, say| say.with(value(random(n), FIXED, 1))).run();
    assert_eq!((ran.codes(), ran.count("parent_id_reused")), (vec!["parent_id_reused"], 48));
    // Stored with the trace that it goes on with, by what is not for the request.
    is_quiet(&served(50, bare, |n, say| say.with(made(n / 10, 1000 + n / 10))));
}

#[test]
fn one_parent_id_in_many_calls_of_a_trace() {
    let mut script = Script::default();
    for n in 0..50 {
        let time = n * 100 * MS;
        script.receive(time, 50 * MS, Say::new(1, 10, "GET /cart").with(made(n, 1000 + n)));
        // A fan-out under one span, a retry, a retry after the response.
        for call in [1, 2, 3, 4, 60] {
            script.call(time + call * MS, Say::new(1, 10, "GET /prices").with(made(n, 2000 + n)));
        }
    }
    is_quiet(&script);
    // A load generator with a fixed parent-id, and a proxy that copies it.
    let fixed = |n, say: Say| say.with(value(random(n), FIXED, 1));
    assert_eq!(served(50, fixed, fixed).run().codes(), ["parent_id_not_updated"]);
    // It has the same id in another format.
    let both = |n, say: Say| {
        let say = say.with(made(n, 1000 + n));
        let b3 = ("b3", format!("{:032x}-{FIXED:016x}-1", u128::from(random(n)) | 0x4bf9_2f35 << 64));
        Say { fields: [say.fields.clone(), vec![b3]].concat(), ..say }
    };
    assert!(!served(50, both, fixed).run().codes().contains(&"parent_id_reused"));
    // The generator itself.
    let mut script = Script::default();
    (0..50).for_each(|n| _ = script.call(n * 20 * MS, Say::new(1, 10, "GET /cart").with(value(random(n), FIXED, 1))));
    is_quiet(&script);
    // Spans that are counted in each trace, by replicas of a service.
    is_quiet(&served(50, with_context, |n, say| say.with(value(random(n), 1, 1))));
}

#[test]
fn one_trace_for_all_requests() {
    let ran = served(50, bare, |n, say| say.with(made(7, n))).run();
    assert_eq!((ran.codes(), ran.count("trace_id_reused")), (vec!["trace_id_reused"], 35));
    let finding = &ran.findings("trace_id_reused")[0];
    assert_eq!((finding.finding.outcome, finding.finding.correlation.unwrap().method), (Some("started"), "thread"));
    assert!(finding.message.contains("received GET /"), "{}", finding.message);
}

#[test]
fn one_trace_for_requests_that_belong_together() {
    let one = |n, say: Say| say.with(made(7, n));
    // A session; steps of a workflow; messages that are pushed, with their context in the body.
    is_quiet(&served(50, |_, say| say.value(5), one));
    is_quiet(&served(50, |_, say| Say { target: "GET /tick", ..say }, one));
    let step = |n, say| Say { target: if n % 20 == 0 { "GET /begin" } else { "GET /step" }, ..say };
    is_quiet(&served(50, step, one));
    // Steps of one that was sent.
    is_quiet(&served(50, |n, say| if n == 10 { Say { target: "POST /jobs", ..say } } else { say }, one));
    is_quiet(&served(50, |n, say| Say { target: if n % 2 == 0 { "POST /push" } else { "POST /event" }, ..say }, one));
    // Every request has its own, whatever the retries and fan-outs.
    let mut script = served(50, bare, |n, say| say.with(made(n, n)));
    for n in 0..50 {
        for call in [3, 4, 5] {
            let tid = 10 + u32::try_from(n % 3).unwrap();
            let time = n * 20 * MS + n * 7919 % 13 * MS / 4 + call * MS;
            script.call(time, Say::new(1, tid, "GET /prices").with(made(n, n)));
        }
    }
    is_quiet(&script);
    // Several traces at a time, which many requests to the replicas of a service belong to.
    let mut script = Script::default();
    for n in 0..64 {
        let replica = 1 + u32::try_from(n % 8).unwrap();
        let target = if n % 16 < 8 { "GET /cart" } else { "GET /stock" };
        script.receive(n * 20 * MS, 10 * MS, Say::new(replica, 10, target));
        script.call(n * 20 * MS + MS, Say::new(replica, 10, "GET /prices").with(made(n % 7, n)));
    }
    is_quiet(&script);
}

#[test]
fn one_trace_of_a_batch_job() {
    // It makes calls while requests without context are open, and while none is.
    let mut script = served(50, bare, |n, say| say.with(made(n, n)));
    (0..400).for_each(|n| _ = script.call(n * 3 * MS, Say::new(1, 77, "GET /rows").with(made(1 << 40, n))));
    is_quiet(&script);
    // An event loop, where nobody knows which calls are the job's.
    let mut script = Script::default();
    for n in 0..100 {
        script.receive(n * 5 * MS, 40 * MS, Say::new(1, 10, if n % 2 == 0 { "GET /cart" } else { "GET /stock" }));
        script.call(n * 5 * MS + 2 * MS, Say::new(1, 10, "GET /rows").with(made(7, n)));
    }
    is_quiet(&script);
    // It was begun by a request with context that nobody remembers.
    let mut script = Script::default();
    script.receive(0, MS, Say::new(1, 10, "POST /import").with(made(7, 1)));
    (1..10).for_each(|n| _ = script.call(n * 5 * MS, Say::new(1, 10, "GET /rows").with(made(7, n))));
    for n in 0..50 {
        let time = 100 * SECOND + n * 20 * MS;
        script.receive(time, 10 * MS, Say::new(1, 10, if n % 2 == 0 { "GET /cart" } else { "GET /stock" }));
        script.call(time + 2 * MS, Say::new(1, 10, "GET /rows").with(made(7, n)));
    }
    assert!(!script.run().codes().contains(&"trace_id_reused"));
}

#[test]
fn trace_ids_that_count() {
    let ran = served(100, bare, |n, say| say.with(value(n + 1, random(n), 1))).run();
    assert_eq!((ran.codes(), ran.count("trace_id_not_random")), (vec!["trace_id_not_random"], 3));
    assert_eq!(level(&ran, "trace_id_not_random"), "warning");
}

#[test]
fn trace_ids_that_count_and_are_not_the_services() {
    let counting = |n, say: Say| say.with(value(n + 1, random(n), 1));
    // A test counts its traces, and the service goes on with them, or restarts them.
    is_quiet(&served(100, counting, |n, say| say.with(value(n + 1, random(n + 500), 1))));
    assert_eq!(served(100, counting, |n, say| say.with(made(n, n))).run().codes(), ["trace_restarted"]);
    // The generator that counts; a consumer of messages; messages that are pushed.
    let mut script = Script::default();
    (0..100).for_each(|n| _ = script.call(n * 20 * MS, counting(n, Say::new(1, 10, "GET /cart"))));
    is_quiet(&script);
    let mut script = served(100, bare, |n, say| say.with(made(n, n)));
    (0..100).for_each(|n| _ = script.call(n * 20 * MS + 15 * MS, counting(n, Say::new(1, 77, "GET /rows"))));
    is_quiet(&script);
    is_quiet(&served(100, |_, say| Say { target: "POST /push", ..say }, counting));
    // Random ids, of which only those of one trace in a thousand are sent.
    let sampled = |n| random(n) & 0x3fff_ffff_ffff | 0xff_c000_0000_0000;
    is_quiet(&served(100, bare, |n, say| say.with(value(sampled(n), random(n), 1))));
}

/// A client that sends every third `traceparent` in another form; a service that restarts these.
fn refused(name: &'static str, version: &'static str, port: impl Fn(u64) -> u16) -> Ran {
    let odd = |n: u64| n.is_multiple_of(3);
    let receive = |n, say: Say| {
        let (name, version) = if odd(n) { (name, version) } else { ("traceparent", "00") };
        let fields = vec![(name, format!("{version}{}", &made(n, 1000 + n)[2..]))];
        Say { fields, port: port(n), target: "GET /cart", ..say }
    };
    let call = |n, say: Say| say.with(made(if odd(n) { 5000 + n } else { n }, 2000 + n));
    served(60, receive, call).run()
}

#[test]
fn values_that_are_as_valid_as_others_are_refused() {
    const CODE: &str = "valid_traceparent_rejected";
    for (name, version, reason) in [("traceparent", "01", "future_version"), ("TraceParent", "00", "name_casing")] {
        let ran = refused(name, version, |_| 8000);
        assert_eq!((ran.count(CODE), ran.findings(CODE)[0].finding.reason), (13, Some(reason)));
        assert!(ran.findings(CODE)[0].finding.inbound.is_some());
        // Strangers come in elsewhere.
        let ran = refused(name, version, |n| if n % 3 == 0 { 8443 } else { 8000 });
        assert_eq!(ran.count(CODE), 0);
    }
    // Strangers whose library writes the name so.
    assert_eq!(refused("Traceparent", "00", |_| 8000).count(CODE), 0);
    assert_eq!(refused("traceparent", "00", |_| 8000).count(CODE), 0);
}

#[test]
fn to_copy_is_odd_for_who_makes_spans() {
    const CODE: &str = "parent_id_not_updated";
    let second_client = |n: u64, say: Say| match n % 3 {
        0 => Say { target: "GET /raw", ..say }.with(made(n, 1000 + n)),
        _ => say.with(made(n, 2000 + n)),
    };
    let ran = served(60, with_context, second_client).run();
    let (odd, early): (Vec<_>, Vec<_>) = ran.findings(CODE).into_iter().partition(|finding| finding.level == "warning");
    let count = |lines: &[&FindingLine]| lines.iter().map(|line| line.finding.count).sum::<u64>();
    assert_eq!((ran.codes(), count(&early), count(&odd)), (vec![CODE], 15, 5));
    assert!(odd[0].message.ends_with("although the process sets parent-ids of its own on other calls"));
    // Spans are made for some requests only, and so for some calls of each kind.
    let chosen = |n: u64, say: Say| say.with(made(n, if n.is_multiple_of(3) { 1000 } else { 2000 } + n));
    assert_eq!(level(&served(60, with_context, chosen).run(), CODE), "info");
    // A proxy.
    assert_eq!(level(&served(60, with_context, with_context).run(), CODE), "info");
    // Spans are made of what is sampled.
    let flags = |n: u64| u8::from(!n.is_multiple_of(3));
    let ran = served(
        60,
        |n, say| say.with(value(random(n), random(1000 + n), flags(n))),
        |n, say| say.with(value(random(n), random(if flags(n) == 0 { 1000 } else { 2000 } + n), flags(n))),
    );
    assert_eq!(level(&ran.run(), CODE), "info");
    // Two processes of one container, and one of them is a proxy.
    let mut script = Script::default();
    for n in 0..60 {
        let (process, parent) = if n % 2 == 0 { (1, 1000 + n) } else { (2, 2000 + n) };
        script.receive(n * 20 * MS, 10 * MS, Say::new(process, 10, "GET /cart").with(made(n, 1000 + n)));
        script.call(n * 20 * MS + MS, Say::new(process, 10, "GET /prices").with(made(n, parent)));
    }
    assert_eq!(level(&script.run(), CODE), "info");
}
