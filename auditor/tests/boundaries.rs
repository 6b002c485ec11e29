//! The options for trust boundaries, on a recording in which a service drops the context towards 127.0.0.1.

use std::process::{Command, Output};

use serde_json::Value;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/python-drops.rec");

fn replay(options: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditor"));
    command.arg("replay").args(options).arg(RECORDING).envs(environment.iter().copied());
    command.output().expect("the auditor runs")
}

/// Codes and levels of the findings, each once.
fn findings(options: &[&str], environment: &[(&str, &str)]) -> Vec<(String, String)> {
    let output = replay(options, environment);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("lines are UTF-8");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let text = |value: &Value| value.as_str().expect("it is a string").to_owned();
    let findings = lines.filter(|line| line["record_type"] == "finding");
    let mut found: Vec<_> = findings.map(|line| (text(&line["finding"]["code"]), text(&line["level"]))).collect();
    found.dedup();
    found
}

#[test]
fn places_decide_how_bad_a_drop_is() {
    let dropped = |level: &str| vec![("traceparent_dropped".to_owned(), level.to_owned())];
    assert_eq!(findings(&[], &[]), dropped("error"));
    assert_eq!(findings(&["--trust-boundary", "payments", "--trust-boundary", "127.0.0.0/8"], &[]), dropped("info"));
    assert_eq!(findings(&[], &[("AUDITOR_TRUST_BOUNDARY", "payments,127.0.0.1")]), dropped("info"));
    assert_eq!(findings(&["--trust-boundary", "10.0.0.0/8"], &[]), dropped("error"));
    assert_eq!(findings(&["--ignore-destination", "127.0.0.1"], &[]), vec![]);
}

#[test]
fn a_place_that_is_none_is_refused() {
    for option in ["--trust-boundary", "--ignore-destination", "--internal"] {
        let output = replay(&[option, "https://api.example.com"], &[]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert!(error.contains(option) && error.contains("of a URL, write the host alone"), "{error}");
    }
}
