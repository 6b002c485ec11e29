//! Places with which traces are not shared, and that the same is reported as ever elsewhere.

use super::Config;
use super::script::{MS, Ran, Say, Script, context};
use crate::audit::boundary::{Place, Trust};
use crate::audit::{Boundaries, Ignore, Severity};

fn places(places: &[&str]) -> Vec<Place> {
    places.iter().map(|place| place.parse().unwrap()).collect()
}

fn trusted(place: &str) -> Config {
    Config {
        boundaries: Boundaries { trust: vec![place.parse().unwrap()], ..Boundaries::default() },
        ..Config::default()
    }
}

/// A server with a thread per request that makes one call for each, to this host.
fn calls(host: &'static str, call: impl Fn(u64, Say) -> Say) -> Script {
    let mut script = Script::default();
    for n in 0..50 {
        let time = n * 20 * MS + n * 7919 % 13 * MS / 4;
        script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
        script.call(time + 2 * MS, Say { host, ..call(n, Say::new(1, 10, "POST /charge")) });
    }
    script
}

fn levels(ran: &Ran, code: &str) -> Vec<&'static str> {
    let mut levels: Vec<_> = ran.findings(code).iter().map(|finding| finding.level).collect();
    levels.dedup();
    levels
}

#[test]
fn what_ends_at_a_trust_boundary_is_information() {
    for (code, script) in [
        ("traceparent_dropped", calls("api.partner.example", |_, say| say)),
        ("trace_restarted", calls("api.partner.example", |n, say| say.with(context(1000 + n, 1)))),
    ] {
        // By name, by the address that is reached, by the address of the client.
        for place in ["*.partner.example", "10.0.0.1:8080", "10.0.0.0/24"] {
            let ran = script.run_with(trusted(place));
            assert_eq!((ran.codes(), ran.count(code)), (vec![code], 50), "{place}");
            assert_eq!(levels(&ran, code), ["info"], "{place}");
            assert_eq!(ran.findings(code)[0].severity_number, 9);
            assert!(ran.findings(code)[0].message.contains(&format!(", across the trust boundary {place}")));
            assert_eq!(ran.back.totals().worst(), Some(Severity::Info));
            let config = Config { min_severity: Severity::Warning, ..trusted(place) };
            assert_eq!(script.run_with(config).findings(code).len(), 0);
        }
        for elsewhere in ["*.other.example", "10.0.0.1:9", "192.0.2.0/24"] {
            let ran = script.run_with(trusted(elsewhere));
            assert_eq!((ran.count(code), levels(&ran, code).contains(&"info")), (50, false), "{elsewhere}");
        }
    }
}

#[test]
fn a_boundary_may_be_that_of_some_calls() {
    let script = calls("api.partner.example", |_, say| say);
    let gateway = "service=service-1,destination=*.partner.example";
    let ran = script.run_with(trusted(gateway));
    assert_eq!(levels(&ran, "traceparent_dropped"), ["info"]);
    assert!(
        ran.findings("traceparent_dropped")[0].message.ends_with(&format!(", across the trust boundary {gateway}"))
    );
    for inside in ["service=service-2,destination=*.partner.example", "path=/other", "user-agent=*"] {
        assert_eq!(levels(&script.run_with(trusted(inside)), "traceparent_dropped"), ["error"], "{inside}");
    }
    for wrong in ["", "path=/a,code=traceparent_dropped", "reason=x"] {
        assert!(wrong.parse::<Trust>().is_err(), "{wrong}");
    }
}

#[test]
fn what_is_wrong_at_a_trust_boundary_stays_wrong() {
    let script = calls("api.partner.example", |_, say| say.with("00-BAD-00f067aa0ba902b7-01"));
    let ran = script.run_with(trusted("*.partner.example"));
    assert_eq!(levels(&ran, "traceparent_malformed"), ["error"]);
}

#[test]
fn a_drop_towards_another_place_is_not_hidden_by_one_at_the_boundary() {
    let mut script = calls("api.partner.example", |_, say| say);
    for n in 0..50 {
        let time = 2000 * MS + n * 20 * MS + n * 7919 % 13 * MS / 4;
        script.receive(time, 10 * MS, Say::new(1, 10, "GET /cart").with(context(100 + n, 0)));
        script.call(time + 2 * MS, Say::new(1, 10, "POST /charge"));
    }
    let ran = script.run_with(trusted("*.partner.example"));
    let count = |level| {
        let findings = ran.findings("traceparent_dropped");
        findings.iter().filter(|finding| finding.level == level).map(|finding| finding.finding.count).sum::<u64>()
    };
    assert_eq!((count("info"), count("error")), (50, 50));
    assert_eq!(ran.back.totals().worst(), Some(Severity::Error));
}

#[test]
fn where_no_trace_is_expected_calls_are_ignored() {
    let script = calls("legacy:9000", |_, say| say);
    let ignored = |place: &str| Config { ignores: vec![Ignore::to(place.parse().unwrap())], ..Config::default() };
    let ran = script.run_with(ignored("legacy"));
    assert_eq!((ran.codes().len(), ran.back.totals().ignored, ran.hops("dropped")), (0, 50, 0));
    let ran = script.run_with(ignored("legacy:9001"));
    assert_eq!((ran.codes(), ran.back.totals().ignored), (vec!["traceparent_dropped"], 0));
}

#[test]
fn context_that_leaves_what_is_internal_is_told() {
    const CODE: &str = "trace_context_sent_externally";
    let script = calls("api.partner.example", |n, say| {
        let say = say.with(context(n, 1));
        Say { fields: [say.fields.clone(), vec![("baggage", "user=17".to_owned())]].concat(), ..say }
    });
    let internal = |internal: &[&str]| Config {
        boundaries: Boundaries { internal: places(internal), ..Boundaries::default() },
        ..Config::default()
    };
    let ran = script.run_with(internal(&["*.shop.internal", "192.0.2.0/24"]));
    assert_eq!((ran.codes(), ran.count(CODE), levels(&ran, CODE)), (vec![CODE], 50, vec!["info"]));
    assert_eq!(ran.findings(CODE)[0].finding.detail.as_deref(), Some("w3c, baggage"));
    assert!(!ran.json().contains("user=17"));
    // Nobody asked; it is internal, by name or by address; it goes without context; it stays on the machine.
    assert!(script.run().codes().is_empty());
    assert!(script.run_with(internal(&["api.partner.example"])).codes().is_empty());
    assert!(script.run_with(internal(&["x", "10.0.0.0/8"])).codes().is_empty());
    // Which is what they are for: that a trace ends there is no fault.
    let ended = calls("api.partner.example", |_, say| say).run_with(internal(&["x"]));
    assert_eq!((ended.count(CODE), ended.count("traceparent_dropped")), (0, 50));
    assert_eq!(levels(&ended, "traceparent_dropped"), ["info"]);
    assert!(ended.findings("traceparent_dropped")[0].message.contains(", which is not internal"));
    let within = calls("a.shop.internal", |_, say| say).run_with(internal(&["*.shop.internal"]));
    assert!(!levels(&within, "traceparent_dropped").contains(&"info"));
    assert!(calls("localhost", |n, say| say.with(context(n, 1))).run_with(internal(&["x"])).codes().is_empty());
    let with_id = |say: Say| Say { fields: vec![("x-request-id", "4711-0815".to_owned())], ..say };
    assert_eq!(calls("api.partner.example", |_, say| with_id(say)).run_with(internal(&["x"])).count(CODE), 0);
}
