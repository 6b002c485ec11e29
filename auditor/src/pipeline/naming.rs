//! Which request a finding names where many are open that are alike.

use std::collections::HashMap;
use std::time::Duration;

use super::Config;
use super::script::{MS, Ran, SECOND, START, Say, Script, context};
use super::worlds::Dice;
use crate::report::FindingLine;

/// A pool of workers: one thread receives, another makes three calls without context one after the other, and answers.
/// With the number of the request of each call, by when it was made.
fn pool(requests: u64, apart: u64) -> (Script, HashMap<u64, u64>) {
    let (mut script, mut dice, mut truth) = (Script::default(), Dice::new(3), HashMap::new());
    for n in 0..requests {
        let (received, worker) = (n * apart + dice.below(apart), 100 + u32::try_from(n % 40).unwrap());
        let takes = (40 + dice.below(200)) * MS;
        let mut time = received + MS;
        for target in ["GET /a", "GET /b", "GET /c"] {
            time += MS / 4 + dice.below(1000);
            truth.insert(START + time, n);
            let status = 200 + u16::try_from(n % 300).unwrap();
            script.slow_call(time, takes, Say { status, ..Say::new(1, worker, target) });
            time += takes;
        }
        let say = Say::new(1, 1, "GET /orders").with(context(n, 0)).answered_by(worker);
        script.receive(received, time + MS / 4 - received, say);
    }
    (script, truth)
}

/// Whether a finding on one call names the request that made it.
fn is_right(ran: &Ran, truth: &HashMap<u64, u64>, line: &FindingLine) -> bool {
    let made = truth.iter().find(|(time, _)| ran.back.timeline.format(**time) == line.finding.first_seen);
    line.finding.received == made.map(|(_, n)| context(*n, 0))
}

/// Nanoseconds from a call to the line on it.
fn delay(line: &FindingLine) -> u64 {
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_nanosecond();
    u64::try_from(time(&line.timestamp) - time(&line.finding.last_seen)).unwrap()
}

#[test]
fn what_is_known_in_the_end_is_told() {
    let (script, truth) = pool(400, 20 * MS);
    let ran = script.run_with(Config { aggregation_window: Duration::ZERO, ..Config::default() });
    let findings = ran.findings("traceparent_dropped");
    let single: Vec<_> = findings.iter().filter(|line| line.finding.count == 1).collect();
    let right = single.iter().filter(|line| is_right(&ran, &truth, line)).count();
    assert!(single.len() > 300 && right as f64 >= 0.98 * single.len() as f64, "{right} of {}", single.len());
    // A call of 240 ms is over before its line waits.
    let latest = findings.iter().map(|line| delay(line)).max().unwrap();
    assert!(latest <= 2 * SECOND + 300 * MS, "{latest}");
    assert!(ran.back.awaited.is_empty());
}

#[test]
fn a_line_tells_of_a_call_of_which_that_is_known() {
    let (script, _) = pool(600, 20 * MS);
    let ran = script.run_with(Config { aggregation_window: Duration::from_secs(1), ..Config::default() });
    let findings = ran.findings("traceparent_dropped");
    let right = findings.iter().filter(|line| {
        let made = line.attributes.status_code.map(|status| u64::from(status) - 200);
        (0..600).any(|n| Some(n % 300) == made && line.finding.received == Some(context(n, 0)))
    });
    let (right, all) = (right.count(), findings.len());
    assert!(all >= 9 && right as f64 >= 0.95 * all as f64, "{right} of {all}");
}

#[test]
fn nobody_waits_for_what_does_not_come() {
    // Of a few calls nothing is learnt in time.
    let (script, _) = pool(50, 100 * MS);
    let ran = script.run();
    let findings = ran.findings("traceparent_dropped");
    let first: Vec<_> = findings.iter().map(|line| delay(line)).collect();
    assert!(!first.is_empty() && first.iter().all(|delay| *delay <= 4 * SECOND), "{first:?}");
}
