//! `auditor check`: a one-shot gate. Lines on stdout, a summary for people on stderr, the verdict in the exit code.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use auditor::audit::Severity;
use auditor::report::{Line, SummaryLine, Totals};
use auditor::source::live::Stopped;

use super::lines::{Outputs, Written};
use super::session::{self, Take};
use crate::cli::{Check, LogLevel};
use crate::exit::{self, Failure};

/// Hops the summary names; the rest is in the lines.
const ROWS: usize = 1000;
/// Losing more than this share of the records leaves nothing to conclude from.
const TOLERATED_LOSS: f64 = 0.01;

pub(crate) fn run(args: &Check, log_level: LogLevel) -> Result<ExitCode, Failure> {
    let settings = session::settings(&args.services, &args.judge)?;
    let kernel = session::attach(&args.capture, log_level)?;
    let mut gate = Gate { outputs: Outputs::stdout(), closed: false, hops: BTreeMap::new(), records: 0 };
    let (pipeline, stopped) = session::audit(kernel, Some(args.duration), settings, &mut gate)?;
    let totals = pipeline.totals();
    let verdict = judge(totals, gate.records, args.fail_on.severity(), stopped);
    let mut text = gate.table();
    let _ = writeln!(text, "{}", verdict.0);
    // Stderr may be closed too; the exit code still tells.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    Ok(ExitCode::from(verdict.1))
}

/// The sentence and the exit code.
fn judge(totals: &Totals, records: u64, fail_on: Severity, stopped: Stopped) -> (String, u8) {
    let found: u64 =
        totals.findings.iter().filter(|(code, _)| code.severity() >= fail_on).map(|(_, count)| count).sum();
    let calls: u64 = totals.hops.values().sum();
    let seen = format!("{} requests with context, {calls} calls audited", totals.requests_with_context);
    if found > 0 {
        return (format!("FAILED: {found} findings of severity {} or above ({seen})", fail_on.as_str()), exit::FOUND);
    }
    if totals.requests_with_context == 0 {
        return ("INCONCLUSIVE: no request with trace context was seen".into(), exit::INCONCLUSIVE);
    }
    if totals.lost as f64 > records.max(1) as f64 * TOLERATED_LOSS {
        let text = format!("INCONCLUSIVE: {} of {} records were lost; try a larger --buffer", totals.lost, records);
        return (text, exit::INCONCLUSIVE);
    }
    let early = if stopped == Stopped::Signal { ", interrupted" } else { "" };
    (format!("OK: nothing of severity {} or above ({seen}{early})", fail_on.as_str()), 0)
}

struct Gate {
    outputs: Outputs,
    closed: bool,
    hops: BTreeMap<String, Hop>,
    records: u64,
}

#[derive(Default)]
struct Hop {
    calls: u64,
    kept: u64,
    broken: u64,
}

impl Take for Gate {
    /// A closed stdout does not end the check: its exit code is what it is for.
    fn take(&mut self, lines: &[Line]) -> Result<Written, Failure> {
        for line in lines {
            match line {
                Line::Summary(summary) => self.count(summary),
                Line::Stats(stats) => {
                    self.records = stats.stats.get("stream").and_then(|s| s.get("records")).copied().unwrap_or(0);
                }
                _ => {}
            }
        }
        if !self.closed {
            let wanted: Vec<String> =
                lines.iter().filter(|line| matches!(line, Line::Finding(_))).map(Line::to_json).collect();
            if !wanted.is_empty() {
                self.closed = matches!(self.outputs.write(wanted.iter().map(String::as_str))?, Written::Closed);
            }
        }
        Ok(Written::Yes)
    }
}

impl Gate {
    fn count(&mut self, summary: &SummaryLine) {
        let name = summary.hop();
        if self.hops.len() >= ROWS && !self.hops.contains_key(&name) {
            return;
        }
        let of = |outcome| summary.edge.get(outcome).copied().unwrap_or(0);
        let hop = self.hops.entry(name).or_default();
        hop.calls += of("calls");
        hop.kept += of("continued") + of("passed_through");
        hop.broken += of("dropped") + of("restarted");
    }

    fn table(&self) -> String {
        let mut hops: Vec<_> = self.hops.iter().collect();
        hops.sort_by(|(a, x), (b, y)| y.broken.cmp(&x.broken).then_with(|| a.cmp(b)));
        let mut text = String::new();
        for (name, hop) in hops {
            let judged = hop.kept + hop.broken;
            let coverage = match judged {
                0 => "     -".to_owned(),
                _ => format!("{:5.1}%", 100.0 * hop.kept as f64 / judged as f64),
            };
            let _ = writeln!(text, "{coverage} forwarded  {:>7} calls  {name}", hop.calls);
        }
        text
    }
}
