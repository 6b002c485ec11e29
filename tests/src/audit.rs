//! What the auditor said in one run, and the assertions that every test of a service makes on it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitStatus;

use serde_json::Value;

/// Everything one run printed.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Lines of stdout.
    pub lines: Vec<String>,
    /// The same, parsed.
    pub records: Vec<Value>,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote on stderr.
    pub stderr: String,
}

/// What became of the calls on one or more edges.
pub type Outcomes = BTreeMap<String, u64>;

/// The outcomes of CONTRACT.
const OUTCOMES: [&str; 9] =
    ["calls", "continued", "passed_through", "translated", "restarted", "dropped", "started", "absent", "unknown"];

impl Audit {
    /// Parses the lines.
    ///
    /// # Panics
    /// When one is not a JSON object of a known record type, or longer than promised.
    pub fn new(lines: Vec<String>, status: ExitStatus, stderr: String) -> Self {
        let records: Vec<Value> = lines
            .iter()
            .map(|line| {
                assert!(line.len() <= 8 * 1024, "a line of {} bytes: {line}", line.len());
                let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                let kind = record["record_type"].as_str().unwrap_or_default();
                let known = ["finding", "summary", "blind_spot", "stats", "lifecycle"];
                assert!(known.contains(&kind), "unknown record type: {line}");
                record
            })
            .collect();
        Self { lines, records, status, stderr }
    }

    /// Records of a type.
    pub fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.records.iter().filter(move |record| record["record_type"] == kind)
    }

    /// Findings of a code.
    pub fn findings(&self, code: &str) -> Vec<&Value> {
        self.of_type("finding").filter(|record| record["finding"]["code"] == code).collect()
    }

    /// Findings at error level.
    pub fn errors(&self) -> Vec<&Value> {
        self.of_type("finding").filter(|record| record["level"] == "error").collect()
    }

    /// All summaries.
    pub fn summaries(&self) -> Vec<&Value> {
        self.of_type("summary").collect()
    }

    /// A counter of the last `stats` record.
    ///
    /// # Panics
    /// When there is none of that stage and name.
    pub fn stat(&self, stage: &str, name: &str) -> u64 {
        let stats = self.of_type("stats").last().unwrap_or_else(|| panic!("no stats record; {}", self.stderr));
        stats["stats"][stage][name].as_u64().unwrap_or_else(|| panic!("stats have no {stage}.{name}: {stats}"))
    }

    /// Outcomes of the calls that a process made to a port, over all routes and intervals.
    pub fn calls_to_port(&self, pid: u32, port: u16) -> Outcomes {
        self.outcomes(|summary| pid_of(summary) == Some(pid.into()) && summary["attributes"]["server.port"] == port)
    }

    /// Outcomes of all calls that a process made.
    pub fn calls_of(&self, pid: u32) -> Outcomes {
        self.outcomes(|summary| pid_of(summary) == Some(pid.into()))
    }

    /// Outcomes summed over the summaries that `which` selects.
    pub fn outcomes(&self, which: impl Fn(&Value) -> bool) -> Outcomes {
        let mut sums: Outcomes = OUTCOMES.iter().map(|name| ((*name).to_owned(), 0)).collect();
        for summary in self.summaries().into_iter().filter(|summary| which(summary)) {
            for (name, sum) in &mut sums {
                *sum += outcome(summary, name);
            }
        }
        sums
    }

    /// The run ended well.
    ///
    /// # Panics
    /// When it did not.
    pub fn assert_clean(&self) {
        assert!(self.status.success(), "{}; stderr:\n{}\n{}", self.status, self.stderr, self.lines.join("\n"));
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// Nobody is accused.
    ///
    /// # Panics
    /// When somebody is.
    pub fn assert_no_errors(&self) {
        self.assert_clean();
        let errors: Vec<String> = self.errors().iter().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "findings at error level about healthy services:\n{}", errors.join("\n"));
    }

    /// Every call was seen, and its context went on.
    ///
    /// # Panics
    /// When not.
    pub fn assert_forwarded(&self, pid: u32, port: u16, calls: u64) {
        self.assert_no_errors();
        let seen = self.calls_to_port(pid, port);
        let forwarded = seen["continued"] + seen["passed_through"];
        assert_eq!((seen["calls"], forwarded), (calls, calls), "of process {pid}: {}", self.explain());
    }

    /// One kind of drop is reported, about the right process, and counted right.
    ///
    /// # Panics
    /// When not.
    pub fn assert_dropped(&self, expected: &Dropped<'_>) {
        self.assert_clean();
        let found = self.findings("traceparent_dropped");
        assert!(!found.is_empty(), "no traceparent_dropped: {}", self.explain());
        let fingerprints: BTreeSet<&str> =
            found.iter().filter_map(|finding| finding["finding"]["fingerprint"].as_str()).collect();
        assert_eq!(fingerprints.len(), 1, "one drop, one fingerprint: {}", self.explain());
        for finding in &found {
            assert_eq!(finding["level"], "error", "{finding}");
            assert_eq!(finding["finding"]["outcome"], "dropped", "{finding}");
            assert_eq!(finding["finding"]["direction"], "outbound", "{finding}");
            assert!(finding["finding"]["received"].is_string() && finding["finding"]["sent"].is_null(), "{finding}");
            if let Some(pid) = expected.pid {
                assert_eq!(pid_of(finding), Some(pid.into()), "{finding}");
            }
            assert_eq!(finding["finding"]["inbound"]["http.route"], expected.inbound, "{finding}");
            assert_eq!(finding["attributes"]["http.route"], expected.outbound, "{finding}");
            match expected.to {
                To::Port(port) => assert_eq!(finding["attributes"]["server.port"], port, "{finding}"),
                To::Path(path) => {
                    assert_eq!(finding["attributes"]["network.transport"], "unix", "{finding}");
                    assert_eq!(finding["attributes"]["network.peer.address"], path, "{finding}");
                }
            }
        }
        let counted: u64 = found.iter().filter_map(|finding| finding["finding"]["count"].as_u64()).sum();
        assert_eq!(counted, expected.calls, "sum of count: {}", self.explain());
        let edge = self.outcomes(|summary| {
            let attributes = &summary["attributes"];
            let there = match expected.to {
                To::Port(port) => attributes["server.port"] == port,
                To::Path(_) => attributes["network.transport"] == "unix",
            };
            there && attributes["http.route"] == expected.outbound
        });
        assert_eq!((edge["calls"], edge["dropped"]), (expected.calls, expected.calls), "{}", self.explain());
    }

    /// Everything, for a failed assertion.
    pub fn explain(&self) -> String {
        format!("\n{}\nstderr:\n{}", self.lines.join("\n"), self.stderr)
    }

    /// What must be the same in two runs over the same traffic: findings and summaries without the clock and without
    /// how the counts fell into lines.
    pub fn essence(&self) -> BTreeMap<String, u64> {
        let mut essence = BTreeMap::new();
        for record in self.of_type("finding") {
            let finding = &record["finding"];
            let key = format!("finding {} {}", finding["code"], finding["fingerprint"]);
            *essence.entry(key).or_default() += finding["count"].as_u64().unwrap_or(0);
        }
        for summary in self.summaries() {
            let (inbound, attributes) = (&summary["inbound"]["http.route"], &summary["attributes"]);
            let edge = format!("{inbound} {} {}", attributes["http.route"], attributes["server.port"]);
            for name in OUTCOMES {
                let pid = pid_of(summary).unwrap_or(0);
                let key = format!("summary {pid} {edge} {name}");
                *essence.entry(key).or_default() += outcome(summary, name);
            }
        }
        essence
    }
}

/// A drop that has to be reported.
#[derive(Clone, Copy, Debug)]
pub struct Dropped<'a> {
    /// Who dropped; `None` when it is another process for every call.
    pub pid: Option<u32>,
    /// Route of the request that carried the context.
    pub inbound: &'a str,
    /// Route of the call that did not.
    pub outbound: &'a str,
    /// Whom it went to.
    pub to: To<'a>,
    /// How many.
    pub calls: u64,
}

/// Where a call went.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// A TCP port.
    Port(u16),
    /// A Unix socket.
    Path(&'a str),
}

fn pid_of(record: &Value) -> Option<u64> {
    record["resource"]["process.pid"].as_u64()
}

/// One count of a summary.
fn outcome(summary: &Value, name: &str) -> u64 {
    summary["edge"][name].as_u64().unwrap_or(0)
}
