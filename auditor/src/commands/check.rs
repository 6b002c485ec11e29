//! `auditor check`: a one-shot gate. Lines on stdout, a summary for people on stderr, the verdict in the exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use auditor::audit::Severity;
use auditor::context::Selection;
use auditor::record::DutyCycle;
use auditor::report::{Line, SummaryLine, Totals};
use auditor::sink::{Full, Outputs, Spec, Written};
use auditor::source::live::Stopped;
use auditor::units::duration_text;

use super::session::{self, Audit, Take};
use crate::cli::{Check, LogLevel};
use crate::exit::{self, Failure};

/// Hops the summary names; the rest is in the lines.
const ROWS: usize = 1000;
/// Losing more than this share of the records leaves nothing to conclude from.
const TOLERATED_LOSS: f64 = 0.01;
/// With a duty cycle: periods in which something can be concluded.
const CONCLUSIVE: u32 = 3;
pub(crate) fn run(args: &Check, log_level: LogLevel) -> Result<ExitCode, Failure> {
    let mut settings = session::settings(&args.services, &args.judge, &args.headers)?;
    // What makes it fail is shown.
    settings.back.min_severity = settings.back.min_severity.min(args.fail_on.severity());
    let selection = settings.back.selection.clone();
    let kernel = session::attach(&args.capture, log_level)?;
    let mut gate = Gate {
        outputs: session::outputs(&[Spec::stdout()], Full::Drop)?,
        hops: BTreeMap::new(),
        records: 0,
        blind: BTreeSet::new(),
    };
    let runtime = session::runtime()?;
    let audit = Audit::new(kernel, &args.capture, Duration::ZERO, Some(args.duration), settings, &runtime);
    let (pipeline, stopped) = session::audit(audit, &mut gate)?;
    let totals = pipeline.totals();
    let duty_cycle = args.capture.duty_cycle.map(|cycle| (cycle, args.duration));
    let verdict = judge(totals, gate.records, &gate.blind, args.fail_on.severity(), stopped, duty_cycle, &selection);
    let mut text = gate.table();
    text.push_str(&verdict.0);
    exit::stderr(text);
    gate.outputs.finish()?;
    Ok(ExitCode::from(verdict.1))
}

/// The sentence and the exit code.
fn judge(
    totals: &Totals,
    records: u64,
    blind: &BTreeSet<&'static str>,
    fail_on: Severity,
    stopped: Stopped,
    duty_cycle: Option<(DutyCycle, Duration)>,
    selection: &Selection,
) -> (String, u8) {
    let found = totals.findings.iter().filter(|((_, severity), _)| *severity >= fail_on);
    let found: u64 = found.map(|(_, count)| count).sum();
    let calls: u64 = totals.hops.values().sum();
    let suspected = match totals.suspected {
        0 => String::new(),
        suspected => format!(", {suspected} of them suspected"),
    };
    let seen = format!("{} requests with context, {calls} calls audited{suspected}", totals.requests_with_context);
    if found > 0 {
        return (format!("FAILED: {found} findings of severity {} or above ({seen})", fail_on.as_str()), exit::FOUND);
    }
    let inconclusive = |why: String| {
        let blind: Vec<_> = blind.iter().copied().collect();
        let spots = if blind.is_empty() { String::new() } else { format!("; blind spots: {}", blind.join(", ")) };
        (format!("INCONCLUSIVE: {why}{spots}"), exit::INCONCLUSIVE)
    };
    if let Some((cycle, duration)) = duty_cycle
        && let least = Duration::from_nanos(cycle.period()) * CONCLUSIVE
        && duration < least
    {
        let (duration, least) = (duration_text(duration), duration_text(least));
        return inconclusive(format!("--duty-cycle {cycle} tells too little in {duration}; make it {least} or more"));
    }
    if totals.requests_with_context == 0 {
        return inconclusive("no request with trace context was seen".into());
    }
    if totals.lost as f64 > records.max(1) as f64 * TOLERATED_LOSS {
        return inconclusive(format!("{} of {records} records were lost; try a larger --buffer", totals.lost));
    }
    if !totals.judged.iter().any(|format| selection.tells(format)) {
        let why = match Vec::from_iter(totals.judged.iter().copied()).join(", ") {
            others if others.is_empty() => "no call that could be judged".to_owned(),
            others => format!("no call that could be judged by the formats that are asked for; there was {others}"),
        };
        let requests = totals.requests_with_context;
        return inconclusive(format!("{requests} requests with context were seen, but {why} ({calls} calls)"));
    }
    let early = if stopped == Stopped::Signal { ", interrupted" } else { "" };
    let part = duty_cycle.map_or_else(String::new, |(cycle, _)| format!(", looked at for {cycle}"));
    (format!("OK: nothing of severity {} or above ({seen}{part}{early})", fail_on.as_str()), 0)
}

struct Gate {
    outputs: Outputs,
    hops: BTreeMap<String, Hop>,
    records: u64,
    blind: BTreeSet<&'static str>,
}

#[derive(Default)]
struct Hop {
    calls: u64,
    kept: u64,
    broken: u64,
}

impl Take for Gate {
    /// A closed stdout does not end the check: its exit code is what it is for.
    fn take(&mut self, lines: &[Line]) -> Written {
        for line in lines {
            match line {
                Line::Summary(summary) => self.count(summary),
                Line::BlindSpot(spot) => _ = self.blind.insert(spot.blind_spot.code),
                Line::Stats(stats) => {
                    self.records = stats.stats.get("stream").and_then(|s| s.get("records")).copied().unwrap_or(0);
                }
                _ => {}
            }
        }
        let findings: Vec<Line> = lines.iter().filter(|line| matches!(line, Line::Finding(_))).cloned().collect();
        self.outputs.write(&findings);
        Written::Yes
    }

    fn outputs(&mut self) -> &mut Outputs {
        &mut self.outputs
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
        hop.kept += of("continued") + of("passed_through") + of("translated");
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

#[cfg(test)]
mod tests {
    use auditor::audit::{Code, Outcome};
    use auditor::context::format::Level;

    use super::*;

    fn totals(requests_with_context: u64, hops: &[(Outcome, u64)]) -> Totals {
        let is_judged = hops.iter().any(|(outcome, _)| outcome.is_of_trace());
        let judged = is_judged.then_some("w3c").into_iter().collect();
        Totals { requests_with_context, hops: hops.iter().copied().collect(), judged, ..Totals::default() }
    }

    fn verdict(with_context: u64, hops: &[(Outcome, u64)], blind: &[&'static str]) -> (String, u8) {
        let (totals, blind) = (totals(with_context, hops), blind.iter().copied().collect());
        judge(&totals, 1000, &blind, Severity::Error, Stopped::Duration, None, &Selection::default())
    }

    #[test]
    fn what_is_intended_does_not_fail_the_check() {
        for (severity, code) in [(Severity::Error, exit::FOUND), (Severity::Info, 0)] {
            let dropped = "traceparent_dropped".parse::<Code>().expect("a code");
            let findings = [((dropped, severity), 9)].into();
            let totals = Totals { findings, ..totals(9, &[(Outcome::Dropped, 9)]) };
            let (blind, selection) = (BTreeSet::new(), Selection::default());
            let verdict = judge(&totals, 1000, &blind, Severity::Warning, Stopped::Duration, None, &selection);
            assert_eq!(verdict.1, code);
        }
    }

    #[test]
    fn green_takes_a_call_that_was_judged() {
        assert_eq!(verdict(9, &[(Outcome::Continued, 1), (Outcome::Unknown, 8)], &["tls_not_visible"]).1, 0);
        assert_eq!(verdict(9, &[(Outcome::Dropped, 1)], &[]).1, 0, "its finding decides, not its outcome");
        let nothing: [&[_]; 3] = [&[], &[(Outcome::Unknown, 8)], &[(Outcome::Absent, 3), (Outcome::Started, 1)]];
        for hops in nothing {
            let (text, code) = verdict(9, hops, &["tls_not_visible", "http2_not_visible"]);
            assert_eq!(code, exit::INCONCLUSIVE, "{text}");
            assert!(text.contains("no call that could be judged"), "{text}");
            assert!(text.ends_with("; blind spots: http2_not_visible, tls_not_visible"), "{text}");
        }
        let totals = totals(9, &[(Outcome::Continued, 9)]);
        let (blind, all) = (BTreeSet::new(), Selection::default());
        for (duration, expected) in [(90, exit::INCONCLUSIVE), (200, 0)] {
            let turns = Some(("10s/1m".parse().unwrap(), Duration::from_secs(duration)));
            let (text, code) = judge(&totals, 9, &blind, Severity::Error, Stopped::Duration, turns, &all);
            assert_eq!(code, expected, "{text}");
            assert!(text.contains("10s/1m"), "{text}");
        }
        let (text, code) = verdict(0, &[(Outcome::Started, 3)], &[]);
        assert_eq!((text.as_str(), code), ("INCONCLUSIVE: no request with trace context was seen", 3));
    }

    #[test]
    fn green_takes_a_call_in_a_format_that_is_asked_for() {
        let totals = Totals { judged: ["w3c", "x-tenant"].into(), ..totals(9, &[(Outcome::Continued, 9)]) };
        let cases: [(&[&str], &[&str], u8); 6] = [
            (&["w3c"], &[], 0),
            (&["b3", "w3c"], &[], 0),
            (&["b3"], &[], exit::INCONCLUSIVE),
            (&["baggage"], &[], exit::INCONCLUSIVE),
            (&["b3"], &["x-tenant"], 0),
            (&["b3"], &["x-user"], exit::INCONCLUSIVE),
        ];
        for (formats, headers, expected) in cases {
            let selection = Selection::new(formats, headers, Level::Two).expect("formats");
            let verdict = judge(&totals, 9, &BTreeSet::new(), Severity::Error, Stopped::Duration, None, &selection);
            assert_eq!(verdict.1, expected, "{formats:?}, {headers:?}: {}", verdict.0);
            assert_eq!(verdict.0.contains("there was w3c, x-tenant (9 calls)"), expected != 0, "{}", verdict.0);
        }
    }

    #[test]
    fn translated_calls_are_forwarded() {
        use auditor::report::{Attributes, Resource, SCHEMA_VERSION};
        let outputs = Outputs::open(&[], Full::Drop, |_| {}).expect("none");
        let mut gate = Gate { outputs, hops: BTreeMap::new(), records: 0, blind: BTreeSet::new() };
        gate.count(&SummaryLine {
            schema_version: SCHEMA_VERSION,
            timestamp: String::new(),
            event_name: "auditor.summary",
            interval_start: String::new(),
            edge: [("calls", 4), ("translated", 3), ("dropped", 1)].into(),
            duration_seconds: None,
            formats: None,
            coverage: None,
            audited_share: None,
            inbound: None,
            attributes: Attributes::default(),
            resource: Resource::default(),
        });
        assert!(gate.table().starts_with(" 75.0% forwarded"), "{}", gate.table());
    }
}
