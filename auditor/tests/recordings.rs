//! What `auditor replay` says of fleets that ran: byte for byte what it said before.
//!
//! `UPDATE_GOLDEN=1 cargo test -p auditor --test recordings` writes down what it says now. What must be true of it
//! stands here, so that no update makes a false accusation the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use auditor::pipeline::{Pipeline, Settings};
use auditor::record::Record;
use auditor::report::Line;
use auditor::source::recording::Reader;

/// Stood in every request's query, `Authorization`, `Cookie` and `X-Api-Key`, and in the body where it had one.
const SECRET: &[u8] = b"hunter2";
/// What identifies a machine that recorded.
const PLACES: [&str; 4] = [env!("CARGO_MANIFEST_DIR"), "/root", "/home", "/tmp"];
/// All of them; they are part of the repository for ever.
const SIZE: u64 = 300_000;

/// What is true of a fleet.
struct Truth {
    name: &'static str,
    /// Findings at level error or warning, with their counts.
    faults: &'static [(&'static str, u64)],
    /// Calls.
    outcomes: &'static [(&'static str, u64)],
    /// Besides, there are calls of a timer: which of them met an open request was a matter of chance.
    timer: bool,
}

const TRUTHS: [Truth; 7] = [
    truth("python-drops", &[("traceparent_dropped", 20)], &[("dropped", 20)]),
    truth("node-drops-among-sixteen", &[("traceparent_dropped", 64)], &[("dropped", 64)]),
    truth("cgi-drops", &[("traceparent_dropped", 18)], &[("dropped", 18)]),
    Truth { timer: true, ..truth("healthy-beside-a-timer", &[], &[("continued", 15)]) },
    truth("headers", &[], &[("continued", 8)]),
    truth("nginx-to-tcp", &[], &[("passed_through", 10)]),
    truth("nginx-to-unix", &[], &[("passed_through", 10)]),
];

const fn truth(
    name: &'static str,
    faults: &'static [(&'static str, u64)],
    outcomes: &'static [(&'static str, u64)],
) -> Truth {
    Truth { name, faults, outcomes, timer: false }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn read(truth: &Truth) -> Vec<Record> {
    let path = directory().join(truth.name).with_extension("rec");
    let stale = |error| -> ! {
        panic!(
            "{}: {error}; if the record format changed, make the recordings anew (tests/recordings/README.md) and run \
             this test with UPDATE_GOLDEN=1",
            path.display()
        )
    };
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = Reader::new(file.as_slice()).unwrap_or_else(|error| stale(error));
    std::iter::from_fn(|| reader.next_record().unwrap_or_else(|error| stale(error))).collect()
}

fn replay(records: Vec<Record>) -> Vec<Line> {
    let mut pipeline = Pipeline::new(Settings::default().for_recording());
    let mut lines = Vec::new();
    for record in records {
        pipeline.push(record, &mut lines);
    }
    pipeline.finish(&mut lines);
    lines
}

fn check(truth: &Truth) {
    let lines = replay(read(truth));
    let (mut faults, mut outcomes) = (BTreeMap::new(), BTreeMap::new());
    for line in &lines {
        match line {
            Line::Finding(line) if line.level != "info" => {
                *faults.entry(line.finding.code).or_default() += line.finding.count;
            }
            Line::Summary(line) => {
                let edge = serde_json::to_value(&line.edge).expect("counts");
                for outcome in auditor::audit::Outcome::ALL {
                    let count = edge[outcome.as_str()].as_u64().expect("every outcome is there");
                    *outcomes.entry(outcome.as_str()).or_default() += count;
                }
            }
            _ => {}
        }
    }
    outcomes.retain(|outcome, count| *count > 0 && !(truth.timer && matches!(*outcome, "absent" | "unknown")));
    assert_eq!(faults, truth.faults.iter().copied().collect(), "{}", truth.name);
    assert_eq!(outcomes, truth.outcomes.iter().copied().collect(), "{}", truth.name);

    let said: String = lines.iter().map(|line| line.to_json() + "\n").collect();
    let golden = directory().join(truth.name).with_extension("jsonl");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, said).expect("the golden output can be written");
        return;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    for (number, (expected, said)) in expected.lines().zip(said.lines()).enumerate() {
        assert_eq!(expected, said, "line {} of {}; UPDATE_GOLDEN=1 accepts it", number + 1, golden.display());
    }
    assert!(expected == said, "{}: another number of lines; UPDATE_GOLDEN=1 accepts it", golden.display());
}

#[test]
fn fleets_replay_to_what_was_said_of_them() {
    TRUTHS.iter().for_each(check);
}

/// Whom the lines accuse: process, code, destination.
fn accused(lines: &[Line]) -> BTreeSet<(u32, &'static str, Option<String>)> {
    let findings = lines.iter().filter_map(|line| match line {
        Line::Finding(line) if line.level != "info" => Some(line),
        _ => None,
    });
    findings
        .map(|line| {
            (line.resource.pid, line.finding.code, line.attributes.server_address.as_deref().map(str::to_owned))
        })
        .collect()
}

#[test]
fn no_record_that_is_missing_accuses_anybody() {
    for truth in &TRUTHS {
        let records = read(truth);
        let full = accused(&replay(records.clone()));
        for gone in 0..records.len() {
            let mut left = records.clone();
            left.remove(gone);
            let lossy = accused(&replay(left));
            assert!(lossy.is_subset(&full), "{} without record {gone}: {lossy:?}, not just {full:?}", truth.name);
        }
    }
}

#[test]
fn every_recording_is_known_small_and_holds_no_secret() {
    let mut size = 0;
    for entry in std::fs::read_dir(directory()).expect("the recordings are there") {
        let path = entry.expect("an entry").path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("rec" | "jsonl")) {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(TRUTHS.iter().any(|truth| truth.name == name), "nothing is known of {}", path.display());
        let bytes = std::fs::read(&path).expect("it can be read");
        if extension == Some("rec") {
            size += bytes.len() as u64;
        }
        for unwanted in PLACES.map(str::as_bytes).into_iter().chain([SECRET]) {
            let found = bytes.windows(unwanted.len()).any(|window| window.eq_ignore_ascii_case(unwanted));
            assert!(!found, "{} contains {}", path.display(), unwanted.escape_ascii());
        }
    }
    assert!(size < SIZE, "{size} bytes of recordings");
}
