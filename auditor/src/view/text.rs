//! The hop table and what belongs to it, for a terminal or a file.

use std::fmt::Write;

use super::clean::{cut, fit, width};
use super::hop::{Row, Standing};
use super::{Found, Report, Tally, Verdict};
use crate::audit::Outcome;
use crate::rule::Severity;

/// Cells of a coverage bar.
const BAR: usize = 10;
/// A bar and the share in figures.
const COVERAGE: usize = BAR + 5;
/// Between two columns.
const GAP: usize = 2;
/// Below this width of a terminal the bar gives way.
const NARROW: usize = 72;
/// Least room for the hop.
const LEAST: usize = 12;

/// How text is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Cells of a line; `None`: as many as it takes.
    pub width: Option<usize>,
    /// With colours.
    pub colour: bool,
}

impl Style {
    /// Text in a colour of SGR.
    pub fn paint(self, text: &str, colour: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Everything there is to say.
pub fn report(report: &Report, style: Style) -> String {
    let rows = report.rows();
    let mut text = headline(report, &rows) + "\n";
    if !rows.is_empty() {
        text += "\n";
        text += &table(&rows, style);
    }
    text += &findings(&report.findings(), style);
    text += &blind_spots(report, style);
    text
}

/// How much is lost, where and when it was looked for, in a line.
pub fn headline(report: &Report, rows: &[Row<'_>]) -> String {
    let mut sum = Tally::default();
    rows.iter().for_each(|row| sum.add(&row.tally));
    let broken = rows.iter().filter(|row| row.standing == Standing::Broken).count();
    let mut text = match (rows.len(), broken) {
        (0, _) => "No hop was seen".to_owned(),
        (hops, 0) => format!("No trace is lost on {}", plural(hops as u64, "hop")),
        (hops, broken) => format!("Traces end on {broken} of {}", plural(hops as u64, "hop")),
    };
    if !rows.is_empty() {
        let _ = write!(text, ", {}", plural(sum.calls, "call"));
    }
    let nodes = report.nodes();
    match nodes.first() {
        Some(node) if nodes.len() == 1 => text += &format!(", on {node}"),
        Some(_) => text += &format!(", on {} nodes", nodes.len()),
        None => {}
    }
    if let Some((from, to)) = report.period() {
        let _ = write!(text, ", {} to {}", seconds(from), seconds(to));
    }
    text
}

pub(super) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A timestamp without its fraction.
pub(super) fn seconds(timestamp: &str) -> String {
    match timestamp.split_once('.') {
        Some((time, fraction)) if fraction.ends_with('Z') => format!("{time}Z"),
        _ => timestamp.to_owned(),
    }
}

/// The hop table, with a line of titles.
pub fn table(rows: &[Row<'_>], style: Style) -> String {
    let columns = Columns::new(rows, style.width);
    let mut text = columns.line(["service", "hop", "calls", "coverage", "verdict"].map(str::to_owned));
    for row in rows {
        let calls = calls(row);
        let coverage = coverage(&row.tally, columns.bar);
        let mut line = columns.line([row.key.service.clone(), row.hop(), calls, coverage, String::new()]);
        line.truncate(line.trim_end_matches('\n').len());
        let verdict = cut(&verdict(row), columns.verdict);
        text += &format!("{line}{}\n", style.paint(&verdict, colour(row)));
    }
    text
}

fn calls(row: &Row<'_>) -> String {
    format!("{}{}", if row.at_least { "≥" } else { "" }, row.tally.calls)
}

/// What became of the trace; and what else was found.
pub(super) fn verdict(row: &Row<'_>) -> String {
    let text = row.verdict.text();
    match row.standing {
        Standing::Allowed => text + ", allowed",
        Standing::Faulty => text + ", faulty",
        _ => text,
    }
}

fn coverage(tally: &Tally, with_bar: bool) -> String {
    let share = tally.coverage();
    let figures = format!("{:>4}", percent(share));
    if with_bar { format!("{} {figures}", share.map_or_else(|| " ".repeat(BAR), bar)) } else { figures }
}

/// Full and empty only where it is whole.
pub(super) fn bar(share: f64) -> String {
    let full = (share * BAR as f64).round() as usize;
    let full = if share >= 1.0 {
        BAR
    } else if share <= 0.0 {
        0
    } else {
        full.clamp(1, BAR - 1)
    };
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// In at most four characters; `100%` is said of all only.
pub(super) fn percent(share: Option<f64>) -> String {
    match share {
        None => "-".to_owned(),
        Some(share) if share > 0.0 && share < 0.01 => "<1%".to_owned(),
        Some(share) if share > 0.99 && share < 1.0 => "99%".to_owned(),
        Some(share) => format!("{:.0}%", share * 100.0),
    }
}

fn colour(row: &Row<'_>) -> &'static str {
    match (row.standing, row.verdict) {
        (Standing::Broken, Verdict::All(Outcome::Dropped) | Verdict::Partly(Outcome::Dropped)) => "31",
        (Standing::Broken | Standing::Faulty | Standing::Suspected, _) => "33",
        (Standing::Allowed, _) => "36",
        (Standing::Kept, _) => "32",
        (Standing::Unjudged, _) => "2",
    }
}

/// Widths of the columns.
struct Columns {
    service: usize,
    hop: usize,
    calls: usize,
    verdict: usize,
    bar: bool,
}

impl Columns {
    fn new(rows: &[Row<'_>], limit: Option<usize>) -> Self {
        let widest =
            |title: &str, of: &dyn Fn(&Row<'_>) -> usize| rows.iter().map(of).max().unwrap_or(0).max(title.len());
        let mut columns = Self {
            service: widest("service", &|row| width(&row.key.service)),
            hop: widest("hop", &|row| width(&row.hop())),
            calls: widest("calls", &|row| width(&calls(row))).max(6),
            verdict: widest("verdict", &|row| width(&verdict(row))),
            bar: limit.is_none_or(|limit| limit >= NARROW),
        };
        if let Some(limit) = limit {
            let fixed = columns.calls + columns.coverage() + columns.verdict + 4 * GAP;
            let room = limit.saturating_sub(fixed).max(LEAST + "service".len());
            if columns.service + columns.hop > room {
                // Names of services are short, as a rule; the hop takes what they leave.
                columns.service = columns.service.min((room / 3).max(room.saturating_sub(columns.hop)));
                columns.hop = columns.hop.min(room - columns.service);
            }
        }
        columns
    }

    fn coverage(&self) -> usize {
        if self.bar { COVERAGE } else { "coverage".len() }
    }

    fn line(&self, [service, hop, calls, coverage, verdict]: [String; 5]) -> String {
        let service = fit(&service, self.service);
        let hop = fit(&hop, self.hop);
        let calls = format!("{}{calls}", " ".repeat(self.calls.saturating_sub(width(&calls))));
        let coverage = fit(&coverage, self.coverage());
        let gap = " ".repeat(GAP);
        format!("{}\n", [service, hop, calls, coverage, verdict].join(&gap))
    }
}

fn findings(findings: &[&Found], style: Style) -> String {
    let mut text = String::new();
    if !findings.is_empty() {
        text += "\nFindings (`auditor explain CODE` tells more)\n";
    }
    for found in findings {
        let colour = match found.level {
            Severity::Error => "31",
            Severity::Warning => "33",
            Severity::Info => "36",
        };
        let count = plural(found.count, "time");
        let level = style.paint(&fit(found.level.as_str(), 7), colour);
        let _ = writeln!(text, "{level}  {}, {count}", found.code);
        let message = wide(&found.message, style, 9);
        let _ = writeln!(text, "         {message}");
        let ids: Vec<_> = found.examples.trace_ids().collect();
        if let Some(id) = ids.first() {
            let _ = writeln!(text, "         {}", style.paint(&wide(&format!("trace {id}"), style, 9), "2"));
        }
    }
    text
}

fn blind_spots(report: &Report, style: Style) -> String {
    let mut text = String::new();
    for blind in report.blind() {
        if text.is_empty() {
            text += "\nNot audited\n";
        }
        let who = if blind.service.is_empty() { "this node" } else { &blind.service };
        let line = format!("{}  {who}, {}", blind.code, plural(blind.count, "time"));
        let _ = writeln!(text, "{}", wide(&line, style, 0));
    }
    text
}

fn wide(text: &str, style: Style, indent: usize) -> String {
    match style.width {
        Some(width) => cut(text, width.saturating_sub(indent).max(LEAST)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
