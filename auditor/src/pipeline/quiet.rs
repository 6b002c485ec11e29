//! However much is broken, few lines say so, and none of the counts is lost.

use super::Config;
use super::script::{MS, SECOND, Say, Script, context};

/// Not a valid value: a finding on every request.
const BROKEN: &str = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
const MINUTE: u64 = 60 * SECOND;

#[test]
fn a_service_that_drops_20_000_times_a_second_makes_a_line_a_minute() {
    let mut script = Script::default();
    let mut calls = 0;
    for minute in 0..2 {
        for n in 0..20_000 {
            let (time, tid) = (minute * MINUTE + n * SECOND / 20_000, 100 + u32::try_from(n % 500).unwrap());
            script.receive(time, 10 * MS, Say::new(1, tid, "GET /cart").with(context(minute * 20_000 + n, 0)));
            script.call(time + 2 * MS, Say::new(1, tid, "POST /charge"));
            calls += 1;
        }
    }
    let ran = script.run();
    assert_eq!(ran.codes(), ["traceparent_dropped"]);
    assert_eq!(ran.hops("dropped"), calls);
    assert_eq!(ran.count("traceparent_dropped"), calls, "every one is in a count");
    let findings = ran.findings("traceparent_dropped");
    assert!(findings.len() <= 3, "{} lines in two minutes", findings.len());
}

/// So many services break at once, each on every one of so many requests.
fn outbreak(services: u32, requests: u64) -> Script {
    let mut script = Script::default();
    for service in 0..services {
        let comm: &'static str = Box::leak(format!("s{service}").into_boxed_str());
        for n in 0..requests {
            let mut say = Say::new(1000 + service, 1000 + service, "GET /cart").with(BROKEN);
            say.comm = comm;
            script.receive(n * SECOND + u64::from(service) * 1000, MS, say);
        }
    }
    script
}

#[test]
fn many_findings_at_once_take_their_time_and_none_is_lost() {
    let mut script = outbreak(600, 30);
    // Something that happens until the last of them is written.
    script.receive(50 * SECOND, MS, Say::new(1, 1, "GET /"));
    let ran = script.run();
    let findings = ran.findings("traceparent_malformed");
    assert_eq!(ran.count("traceparent_malformed"), 600 * 30, "every one is in a count");
    let mut services: Vec<&str> = findings.iter().map(|finding| &*finding.resource.service_name).collect();
    services.sort_unstable();
    services.dedup();
    assert_eq!(services.len(), 600, "every service is told of");
    let mut by_second = std::collections::BTreeMap::<&str, u64>::new();
    // The end of the run writes what is left.
    for finding in findings.iter().filter(|finding| !finding.timestamp.starts_with("2025-08-24T10:16:20")) {
        *by_second.entry(&finding.timestamp[..19]).or_default() += 1;
    }
    let counts: Vec<u64> = by_second.into_values().collect();
    assert!(counts[0] <= 220 && counts[1..].iter().all(|count| *count <= 40), "{counts:?}");
    assert!(ran.json().contains("\"findings_held_back\":400"), "{}", ran.json().lines().last().unwrap_or_default());
}

#[test]
fn without_a_limit_all_are_written_at_once() {
    let config = Config { max_findings_per_second: 0, ..Config::default() };
    let ran = outbreak(600, 1).run_with(config);
    assert_eq!(ran.findings("traceparent_malformed").len(), 600);
    assert!(!ran.json().contains("held_back"));
}

#[test]
fn a_process_that_is_started_again_is_not_announced_again() {
    let mut script = Script::default();
    for restart in 0..20 {
        let say = Say::new(2000 + restart, 2000 + restart, "GET /cart").with(BROKEN);
        script.receive(u64::from(restart) * SECOND, MS, say);
    }
    let ran = script.run();
    let counts: Vec<u64> = ran.findings("traceparent_malformed").iter().map(|found| found.finding.count).collect();
    assert_eq!(counts, [1, 19], "at once, and at the end of the run");
}
