//! Services between formats: what became of the trace is said once, whatever it is written in.

use std::collections::BTreeMap;

use super::Config;
use super::script::{MS, Ran, Say, Script};
use crate::context::Selection;
use crate::context::format::Level;
use crate::report::{Line, SummaryLine};

const TRACE: u64 = 0x4bf9_2f35_77b3_4da6;

type Fields = Vec<(&'static str, String)>;

/// A trace in a format: of `n`, with this span.
fn field(format: &str, n: u64, span: u64) -> Fields {
    let (high, low, span) = (TRACE, n + (1 << 40), span + (1 << 40));
    match format {
        "w3c" => vec![("traceparent", format!("00-{high:016x}{low:016x}-{span:016x}-01"))],
        "another w3c" => vec![("traceparent", format!("00-{:016x}{low:016x}-{span:016x}-01", !high))],
        "tracestate" => vec![("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".to_owned())],
        "baggage" => vec![("baggage", "userId=alice,serverNode=DF%2028".to_owned())],
        "uberctx" => vec![("Uberctx-User", "alice".to_owned()), ("uberctx-tenant", "7".to_owned())],
        "b3" => vec![("b3", format!("{high:016x}{low:016x}-{span:016x}-1"))],
        "b3 multi" => vec![
            ("x-b3-traceid", format!("{high:016x}{low:016x}")),
            ("x-b3-spanid", format!("{span:016x}")),
            ("x-b3-sampled", "1".to_owned()),
        ],
        "b3 short" => vec![("b3", format!("{low:016x}-{span:016x}-1"))],
        "datadog" => vec![
            ("x-datadog-trace-id", low.to_string()),
            ("x-datadog-parent-id", span.to_string()),
            ("x-datadog-sampling-priority", "1".to_owned()),
            ("x-datadog-tags", format!("_dd.p.tid={high:016x}")),
        ],
        "jaeger" => vec![("uber-trace-id", format!("{high:016x}{low:016x}:{span:016x}:0:1"))],
        "request id" => vec![("x-request-id", format!("6f1c1c1e-9d1b-4b3a-8f00-{low:012x}"))],
        other => panic!("{other}"),
    }
}

fn carrying(mut say: Say, formats: &[&str], n: u64, span: u64) -> Say {
    say.fields = formats.iter().flat_map(|format| field(format, n, span)).collect();
    say
}

/// A server with a thread for each of fifty requests, which makes one call.
fn script(received: &[&str], sent: &[&str]) -> Script {
    let mut script = Script::default();
    for n in 0..50 {
        let (time, tid) = (n * 20 * MS + n * 7919 % 13 * MS / 4, 10 + u32::try_from(n % 3).unwrap());
        script.receive(time, 10 * MS, carrying(Say::new(1, tid, "GET /cart"), received, n, 1));
        script.call(time + 2 * MS, carrying(Say::new(1, tid, "POST /charge"), sent, n, 2 + n));
    }
    script
}

fn served(received: &[&str], sent: &[&str]) -> Ran {
    script(received, sent).run()
}

fn summaries(ran: &Ran) -> impl Iterator<Item = &SummaryLine> {
    ran.lines.iter().filter_map(|line| if let Line::Summary(summary) = line { Some(&**summary) } else { None })
}

fn formats(ran: &Ran, code: &str) -> BTreeMap<&'static str, &'static str> {
    ran.findings(code).first().map(|finding| finding.finding.formats.clone()).unwrap_or_default()
}

#[test]
fn one_of_three_formats_is_enough() {
    let ran = served(&["w3c", "b3", "datadog"], &["b3"]);
    assert_eq!(ran.codes(), ["format_translated"]);
    assert_eq!(ran.hops("translated"), 50);
    let statuses = formats(&ran, "format_translated");
    assert_eq!(statuses, BTreeMap::from([("w3c", "dropped"), ("b3", "continued"), ("datadog", "dropped")]));
    assert!(ran.findings("format_translated")[0].message.contains("(w3c to b3)"));
}

#[test]
fn another_encoding_or_all_of_them_is_no_finding() {
    for (received, sent) in [
        (&["b3"][..], &["b3 multi"][..]),
        (&["w3c", "b3"], &["w3c", "b3 multi"]),
        (&["w3c"], &["w3c", "b3", "jaeger", "datadog"]),
        (&["w3c", "tracestate", "baggage"], &["w3c", "tracestate", "baggage"]),
        (&["jaeger", "uberctx"], &["jaeger", "uberctx"]),
        (&["datadog", "request id"], &["datadog", "request id"]),
    ] {
        let ran = served(received, sent);
        assert_eq!(ran.codes(), [""; 0], "{received:?} {sent:?}");
        assert_eq!(ran.hops("continued"), 50, "{received:?} {sent:?}");
    }
}

#[test]
fn half_of_the_id_is_lost() {
    let ran = served(&["b3"], &["b3 short"]);
    assert_eq!(ran.codes(), ["trace_id_truncated"]);
    assert_eq!(ran.hops("continued"), 50);
}

#[test]
fn what_goes_with_the_trace_is_lost_by_itself() {
    for (lost, code) in
        [("tracestate", "tracestate_dropped"), ("baggage", "baggage_dropped"), ("request id", "request_id_dropped")]
    {
        let all = ["w3c", "tracestate", "baggage", "request id"];
        let rest: Vec<&str> = all.into_iter().filter(|format| *format != lost).collect();
        assert_eq!(served(&all, &rest).codes(), [code]);
        // Not beside the end of the trace.
        let ran = served(&all, &[]);
        assert_eq!(ran.codes(), ["traceparent_dropped"]);
        assert_eq!(formats(&ran, "traceparent_dropped").get("baggage"), Some(&"dropped"));
    }
}

#[test]
fn baggage_of_jaeger_is_lost_or_goes_on_as_w3c() {
    let ran = served(&["jaeger", "uberctx"], &["jaeger"]);
    assert_eq!(ran.codes(), ["baggage_dropped"]);
    let finding = ran.findings("baggage_dropped")[0];
    assert_eq!((finding.finding.format, finding.finding.received.as_deref()), ("uberctx", Some("User,tenant")));
    assert!(!finding.message.contains("alice"));
    let mut script = Script::default();
    for n in 0..50 {
        script.receive(n * 20 * MS, 10 * MS, carrying(Say::new(1, 10, "GET /cart"), &["jaeger", "uberctx"], n, 1));
        let mut call = carrying(Say::new(1, 10, "POST /charge"), &["jaeger"], n, 2 + n);
        call.fields.push(("baggage", "user=alice,tenant=7".to_owned()));
        script.call(n * 20 * MS + 2 * MS, call);
    }
    assert_eq!(script.run().codes(), [""; 0]);
}

#[test]
fn the_end_of_a_trace_is_told_of_its_format_and_once() {
    for (received, format, code) in [
        (&["b3"][..], "b3", "b3_dropped"),
        (&["b3 multi"], "b3", "b3_dropped"),
        (&["jaeger"], "jaeger", "jaeger_dropped"),
        (&["datadog"], "datadog", "datadog_dropped"),
        (&["w3c", "b3", "datadog"], "w3c", "traceparent_dropped"),
    ] {
        let ran = served(received, &[]);
        assert_eq!(ran.codes(), [code]);
        assert_eq!((ran.count(code), ran.hops("dropped")), (50, 50), "{received:?}");
        let finding = ran.findings(code)[0];
        assert_eq!(finding.finding.format, format);
        assert!(finding.trace_id.is_some() && finding.finding.received.is_some(), "{received:?}");
    }
}

#[test]
fn two_traces_in_one_call() {
    let mut script = Script::default();
    for n in 0..20 {
        let time = n * 20 * MS;
        script.receive(time, 10 * MS, carrying(Say::new(1, 10, "GET /cart"), &["w3c"], n, 1));
        let mut call = carrying(Say::new(1, 10, "POST /charge"), &["w3c"], n, 2 + n);
        call.fields.extend(field("b3", 7_000_000 + n, 9));
        script.call(time + 2 * MS, call);
    }
    let ran = script.run();
    assert_eq!(ran.codes(), ["trace_id_mismatch_across_formats"]);
    assert_eq!(ran.hops("continued"), 20);
}

/// Fields of several formats, each of a trace of its own, or with other changes.
fn fields(all: &[(&str, u64, u64)]) -> Fields {
    all.iter().flat_map(|&(format, n, span)| field(format, n, span)).collect()
}

/// As [`served`], with any fields.
fn served_with(received: impl Fn(u64) -> Fields, sent: impl Fn(u64) -> Fields) -> Ran {
    let mut script = Script::default();
    for n in 0..50 {
        let say = |target| Say::new(1, 10, target);
        script.receive(n * 20 * MS, 10 * MS, Say { fields: received(n), ..say("GET /cart") });
        script.call(n * 20 * MS + 2 * MS, Say { fields: sent(n), ..say("POST /charge") });
    }
    script.run()
}

/// Codes of findings about calls.
fn about_calls(ran: &Ran) -> Vec<&'static str> {
    let inbound = |code: &str| ran.findings(code).iter().all(|finding| finding.finding.direction == "inbound");
    ran.codes().into_iter().filter(|code| !inbound(code)).collect()
}

#[test]
fn of_two_traces_that_come_together_one_goes_on() {
    const OTHER: u64 = 7_000_000;
    for other in ["datadog", "b3", "jaeger"] {
        // As Datadog's tracers choose, and composite propagators.
        let ran = served_with(
            |n| fields(&[("w3c", n, 1), (other, OTHER + n, 1)]),
            |n| fields(&[("w3c", OTHER + n, 100 + n), (other, OTHER + n, 100 + n)]),
        );
        assert_eq!((about_calls(&ran), ran.hops("continued")), (vec![], 50), "{other}");
        // As those that write one format only; nor is what belongs to the other trace missed.
        for kept in ["w3c", other] {
            let ran = served_with(
                |n| {
                    let mut both = fields(&[("w3c", n, 1), (other, OTHER + n, 1)]);
                    both.push(("baggage", "a=1".to_owned()));
                    both
                },
                |n| match kept {
                    "w3c" => [fields(&[("w3c", n, 100 + n)]), vec![("baggage", "a=1".to_owned())]].concat(),
                    _ => fields(&[(other, OTHER + n, 100 + n)]),
                },
            );
            assert_eq!((about_calls(&ran), ran.hops("continued")), (vec![], 50), "{other}: {kept}");
        }
        // A trace of its own beside is another matter.
        let ran = served_with(
            |n| fields(&[("w3c", n, 1), (other, OTHER + n, 1)]),
            |n| fields(&[("w3c", 2 * OTHER + n, 100 + n), (other, OTHER + n, 100 + n)]),
        );
        assert!(about_calls(&ran).contains(&"trace_id_mismatch_across_formats"), "{other}: {:?}", ran.codes());
    }
}

/// As a proxy writes that sets the header to what came, also when nothing did.
#[test]
fn an_empty_traceparent_is_none() {
    let empty = |_| vec![("traceparent", String::new())];
    for received in [empty as fn(u64) -> Vec<_>, |_| vec![]] {
        assert_eq!(served_with(received, empty).codes(), ["trace_not_started"]);
        assert_eq!(served_with(received, |n| fields(&[("w3c", n, 1)])).hops("started"), 50);
    }
    assert_eq!(served_with(|n| fields(&[("w3c", n, 1)]), empty).codes(), ["traceparent_dropped"]);
}

/// A load balancer, or a front end of AWS, gives every request an id, whatever else it carries.
#[test]
fn an_id_that_was_added_may_end() {
    const OTHER: u64 = 7_000_000;
    let root = |n: u64, more: &str| ("x-amzn-trace-id", format!("Root=1-5759e988-bd862e3fe1be46a9{n:08x}{more}"));
    for more in ["", ";Parent=53995c3f42cd8ad8;Sampled=0", ";Parent=53995c3f42cd8ad8;Sampled=1"] {
        let received = |n| vec![fields(&[("w3c", n, 1)]).remove(0), root(n, more)];
        let ran = served_with(received, |n| fields(&[("w3c", n, 100 + n)]));
        assert_eq!((about_calls(&ran), ran.hops("continued")), (vec![], 50), "{more}");
        // Which is no reason for the trace to end that it was added to.
        let ran = served_with(received, |n| vec![root(n, more)]);
        assert_eq!((about_calls(&ran), ran.hops("dropped")), (vec!["traceparent_dropped"], 50), "{more}");
    }
    // Alone it is a trace if somebody records it.
    let unsampled = |n| vec![root(n, ";Parent=53995c3f42cd8ad8;Sampled=0")];
    let ran = served_with(unsampled, |n| fields(&[("w3c", OTHER + n, 100 + n)]));
    // Front ends give one to every request; it is told of, and no more.
    assert_eq!((ran.codes(), ran.findings("trace_restarted")[0].level), (vec!["trace_restarted"], "info"));
    let ran = served_with(unsampled, |_| vec![]);
    assert_eq!((ran.codes(), ran.findings("xray_dropped")[0].level), (vec!["xray_dropped"], "info"));
    let sampled = |n| vec![root(n, ";Parent=53995c3f42cd8ad8;Sampled=1")];
    let ran = served_with(sampled, |n| fields(&[("w3c", OTHER + n, 100 + n)]));
    assert_eq!(ran.codes(), ["trace_restarted"]);
    let told = ran.findings("trace_restarted")[0];
    assert_eq!((told.finding.format, told.level), ("xray", "warning"));
    assert!(!told.message.contains("traceparent"), "{}", told.message);
}

#[test]
fn a_denial_alone_is_enough() {
    let unsampled = |n| {
        let mut fields = fields(&[("b3", n, 1)]);
        fields[0].1.truncate(50);
        fields[0].1.push('0');
        fields
    };
    for name in ["b3", "x-b3-sampled"] {
        let ran = served_with(unsampled, |_| vec![(name, "0".to_owned())]);
        assert_eq!(ran.codes(), [""; 0], "{name}");
    }
    assert_eq!(served_with(unsampled, |_| vec![]).codes(), ["b3_dropped"]);
}

#[test]
fn a_valid_id_beside_an_invalid_one_may_go_on() {
    let invalid = |n| {
        let mut fields = fields(&[("w3c", n, 1), ("b3", n, 1)]);
        fields[0].1.push_str("-more");
        fields
    };
    let ran = served_with(invalid, |n| fields(&[("w3c", n, 100 + n), ("b3", n, 100 + n)]));
    assert_eq!(about_calls(&ran), [""; 0]);
}

/// A request of the one trace, with this list, or the call that is made for it.
fn of_one_trace(target: &'static str, tid: u32, span: u64, state: &str) -> Say {
    let mut say = carrying(Say::new(1, tid, target), &["w3c"], 1, span);
    say.fields.extend((!state.is_empty()).then(|| ("tracestate", state.to_owned())));
    say
}

#[test]
fn a_call_is_held_against_its_own_of_many_requests_with_one_trace() {
    for (keeps, codes) in [(true, &[][..]), (false, &["tracestate_dropped"])] {
        let mut script = Script::default();
        for n in 0..60 {
            let (time, tid, state) = (n * 50 * MS, 10 + n as u32, format!("k{n}=1"));
            script.receive(time, 10 * MS, of_one_trace("GET /cart", tid, n, &state));
            let sent = if keeps { &*state } else { "" };
            script.call(time + MS, of_one_trace("POST /charge", tid, 1000 + n, sent));
        }
        let ran = script.run();
        assert_eq!((ran.codes(), ran.hops("continued")), (codes.to_vec(), 60));
    }
}

#[test]
fn of_more_requests_with_one_trace_than_are_told_apart_nothing_is_said() {
    for width in [8, 40] {
        let mut script = Script::default();
        for n in 0..10 * width {
            let (round, time) = (n / width, n / width * 1000 * MS + n % width * MS);
            let say = |target, span| {
                let mut say = carrying(Say::new(1, 10, target), &["w3c"], round, span);
                say.fields.push(("tracestate", format!("rojo=1,congo={n}")));
                say
            };
            script.receive(time, 200 * MS, say("GET /cart", n));
            script.call(time + 100 * MS, say("POST /charge", 5000 + n));
        }
        assert_eq!(script.run().codes(), [""; 0], "{width}");
    }
}

#[test]
fn what_was_received_a_while_ago_may_be_copied() {
    let mut script = Script::default();
    for n in 0..40 {
        let fields = vec![("baggage", "a=1 2".to_owned()), ("tracestate", "a=1".to_owned())];
        let say = |target| Say { fields: fields.clone(), ..Say::new(1, 10, target) };
        script.receive(n * 5000 * MS, MS, say("POST /jobs"));
        script.call(n * 5000 * MS + 3000 * MS, say("POST /render"));
    }
    assert_eq!(about_calls(&script.run()), [""; 0]);
}

#[test]
fn what_holds_for_one_of_several_parents_is_not_told() {
    // An event loop with two requests of the trace open; those of the one that began first come without a list, or with.
    for (first, codes) in [("", &[][..]), ("rojo=1", &["tracestate_dropped"])] {
        let mut script = Script::default();
        for n in 0..30 {
            let time = n * 200 * MS;
            script.receive(time, 30 * MS, of_one_trace("GET /cart", 10, n, first));
            script.receive(time + MS, 30 * MS, of_one_trace("GET /cart", 10, 100 + n, "rojo=1"));
            script.call(time + 2 * MS, of_one_trace("POST /charge", 10, 1000 + n, ""));
        }
        assert_eq!(script.run().codes(), codes, "{first:?}");
    }
}

/// X was accepted and answered, and is worked on; meanwhile Y of the same trace comes with more than X had.
#[test]
fn what_goes_on_after_its_response_is_not_held_against_another_of_its_trace() {
    for (after, threads) in [(20, 1), (20, 4), (300, 1), (300, 4), (3000, 4)] {
        let mut script = Script::default();
        for n in 0..60 {
            let time = n * 5000 * MS;
            let say = |target, span: u64, more: bool| {
                let mut say = carrying(Say::new(1, 10 + (span % threads) as u32, target), &["w3c"], n, span);
                let more = more.then(|| [("tracestate", "rojo=1".to_owned()), ("baggage", "a=1".to_owned())]);
                say.fields.extend(more.into_iter().flatten());
                say
            };
            script.receive(time, MS, say("POST /x", 100, false));
            script.receive(time + (after - 1) * MS, 10 * MS, say("GET /y", 201, true));
            script.call(time + after * MS, say("POST /work", 300, false));
        }
        let ran = script.run();
        assert_eq!((ran.codes(), ran.hops("continued")), (vec![], 60), "{after} {threads}");
    }
}

#[test]
fn a_health_check_that_is_traced_is_the_subject_of_nothing() {
    let ran = |target| {
        let mut script = Script::default();
        for n in 0..50 {
            let mut request = carrying(Say::new(1, 10, target), &["w3c"], n, 1);
            request.fields.push(("baggage", "probe=1".to_owned()));
            script.receive(n * 20 * MS, 10 * MS, request);
            script.call(n * 20 * MS + 2 * MS, carrying(Say::new(1, 10, "GET /status"), &["w3c"], n, 2 + n));
        }
        script.run().codes()
    };
    assert_eq!((ran("GET /cart"), ran("GET /health")), (vec!["baggage_dropped"], vec![]));
}

#[test]
fn a_load_balancers_id_is_nobodys_trace() {
    let root = |n: u64| ("x-amzn-trace-id", format!("Root=1-5759e988-bd862e3fe1be46a9{n:08x}"));
    let mut script = Script::default();
    for n in 0..50 {
        let time = n * 20 * MS;
        let mut request = Say::new(1, 10, "GET /cart");
        request.fields.push(root(n));
        script.receive(time, 10 * MS, request);
        script.call(time + 2 * MS, Say::new(1, 10, "POST /charge"));
    }
    assert_eq!(script.run().codes(), ["trace_not_started"]);
}

fn config(formats: &[&str]) -> Config {
    Config { selection: Selection::new(formats, &[""; 0], Level::default()).unwrap(), ..Config::default() }
}

#[test]
fn formats_that_are_not_told_of_are_evidence() {
    let all = ["w3c", "b3", "datadog", "baggage"];
    let told = |formats: &[&str], sent: &[&str]| script(&all, sent).run_with(config(formats)).codes();
    // The trace goes on, whoever asks.
    assert_eq!(told(&["datadog"], &["w3c", "b3", "baggage"]), ["format_translated"]);
    assert_eq!(told(&["w3c"], &["b3", "baggage"]), ["format_translated"]);
    assert_eq!(told(&["b3"], &["b3"]), [""; 0]);
    assert_eq!(told(&["baggage"], &["w3c"]), ["baggage_dropped"]);
    assert_eq!(told(&["baggage"], &all), [""; 0]);
    // Its end is told in a format that is asked for.
    assert_eq!(told(&["b3"], &[]), ["b3_dropped"]);
    assert_eq!(told(&["w3c", "b3"], &[]), ["traceparent_dropped"]);
    // A trace that never was is W3C's to tell.
    assert_eq!(script(&[], &[]).run_with(config(&["b3"])).codes(), [""; 0]);
}

#[test]
fn a_translated_trace_is_covered() {
    let ran = served(&["w3c", "b3"], &["b3"]);
    assert!(summaries(&ran).count() > 0 && summaries(&ran).all(|summary| summary.coverage == Some(1.0)));
}

#[test]
fn tracestate_alone_carries_no_trace() {
    let ran = served(&["w3c", "tracestate", "b3"], &["tracestate"]);
    assert_eq!(ran.codes(), ["traceparent_dropped", "tracestate_without_traceparent"]);
    assert_eq!((ran.count("traceparent_dropped"), ran.hops("dropped")), (50, 50));
    // And it is what came that a call is held against: not here.
    assert_eq!(served(&["tracestate"], &[]).codes(), ["trace_not_started", "tracestate_without_traceparent"]);
}

#[test]
fn members_of_others_do_not_belong_into_a_new_trace() {
    let ran = served(&["w3c", "tracestate"], &["another w3c", "tracestate"]);
    assert_eq!(ran.codes(), ["trace_restarted", "tracestate_kept_on_restart"]);
    assert!(ran.count("tracestate_kept_on_restart") > 20);
    // Of many requests that are open on a thread nobody knows whose members they are.
    let mut script = Script::default();
    for n in 0..300 {
        let (time, carries) = (n * 20 * MS + n * 7919 % 13 * MS, ["w3c", "tracestate"]);
        script.receive(time, 90 * MS, carrying(Say::new(1, 10, "GET /cart"), &carries, n, 1));
        let call = carrying(Say::new(1, 10, "POST /charge"), &["another w3c", "tracestate"], n, 2 + n);
        script.call(time + 2 * MS, call);
    }
    assert_eq!(script.run().codes(), ["trace_restarted"]);
}

#[test]
fn every_call_of_an_edge_counts_for_its_formats() {
    let ran = served(&["w3c", "b3"], &[]);
    let dropped = |summary: &SummaryLine| summary.formats.as_ref().map_or(0, |formats| formats["b3"]["dropped"]);
    assert_eq!((ran.hops("dropped"), summaries(&ran).map(dropped).sum::<u64>()), (50, 50));
}
