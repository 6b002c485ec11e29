//! The sections of the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::escape;
use crate::audit::Code;
use crate::rule::Severity;
use crate::view::graph::Graph;
use crate::view::text::{percent, plural, seconds, verdict};
use crate::view::{Found, HopKey, Report, Row, Standing, Tally};

/// Width of a coverage bar in pixels.
const BAR: f64 = 72.0;

/// The figures above everything.
pub(super) fn tiles(rows: &[Row<'_>], findings: &[&Found]) -> String {
    let mut sum = Tally::default();
    rows.iter().for_each(|row| sum.add(&row.tally));
    let of = |standing| rows.iter().filter(|row| row.standing == standing).count();
    let services: BTreeSet<&str> = rows.iter().map(|row| row.key.service.as_str()).collect();
    let errors = findings.iter().filter(|found| found.level == Severity::Error).count();
    let warnings = findings.iter().filter(|found| found.level == Severity::Warning).count();
    let broken = of(Standing::Broken);
    let mut text = String::from("<dl class=\"tiles\">\n");
    for (class, figure, what) in [
        (if broken > 0 { "broken" } else { "kept" }, format!("{broken} of {}", rows.len()), "hops end traces"),
        ("", percent(sum.coverage()), "of the calls with a trace carry it on"),
        (if sum.lost() > 0 { "broken" } else { "kept" }, grouped(sum.lost()), "calls lost their trace"),
        ("", grouped(sum.calls), "calls"),
        ("", services.len().to_string(), "calling services"),
        ("", format!("{errors} / {warnings}"), "errors / warnings"),
    ] {
        let _ = writeln!(text, "<div class=\"{class}\"><dt>{what}</dt><dd>{figure}</dd></div>");
    }
    text + "</dl>\n"
}

/// `1,234,567`
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The controls: shown once the script is there to obey them.
pub(super) fn filter(rows: &[Row<'_>], findings: &[&Found]) -> String {
    let mut services: BTreeSet<&str> = rows.iter().map(|row| row.key.service.as_str()).collect();
    services.extend(rows.iter().filter_map(|row| row.peer));
    services.extend(findings.iter().map(|found| found.service.as_str()));
    let codes: BTreeSet<&str> = findings.iter().map(|found| found.code.as_str()).collect();
    let standings: BTreeSet<Standing> = rows.iter().map(|row| row.standing).collect();
    let options = |values: &mut dyn Iterator<Item = &str>| {
        values.map(|value| format!("<option>{}</option>", escape(value))).collect::<String>()
    };
    format!(
        "<form id=\"filter\" hidden role=\"search\">\n\
         <label>Text <input type=\"search\" id=\"text\" placeholder=\"service, route, trace id …\"></label>\n\
         <label>Service <select id=\"service\"><option value=\"\">all</option>{}</select></label>\n\
         <label>Code <select id=\"code\"><option value=\"\">all</option>{}</select></label>\n\
         <label>State <select id=\"state\"><option value=\"\">all</option>{}</select></label>\n\
         <button type=\"reset\">Show all</button> <output id=\"shown\" aria-live=\"polite\"></output>\n</form>\n",
        options(&mut services.into_iter()),
        options(&mut codes.into_iter()),
        options(&mut standings.into_iter().map(Standing::as_str)),
    )
}

/// The hop table.
pub(super) fn table(rows: &[Row<'_>], graph: &Graph) -> String {
    if rows.is_empty() {
        return "<p>No hop was seen.</p>\n".into();
    }
    let mut text = String::from(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">Trace</th><th scope=\"col\">Service</th>\
         <th scope=\"col\">On requests</th><th scope=\"col\">Calls</th><th scope=\"col\">To</th><th scope=\"col\" \
         class=\"number\">Count</th><th scope=\"col\">Kept</th><th scope=\"col\">Findings</th><th scope=\"col\">A trace</th>\
         </tr></thead>\n<tbody>\n",
    );
    for (index, row) in rows.iter().enumerate() {
        let edge = graph.edge_of.get(index).copied().flatten();
        let codes = row.codes.iter().map(|(code, count)| format!("{} ({})", code_link(code), grouped(*count)));
        let _ = writeln!(
            text,
            "<tr id=\"hop{index}\" class=\"{standing}\" data-state=\"{standing}\"{edge}{ends}{codes_of}><td><span \
             class=\"badge\">{what}</span></td><th scope=\"row\" class=\"name\">{service}</th><td class=\"name\">{request}</td><td class=\"name\">{call}</td><td class=\"name\">{to}</td>\
             <td class=\"number\">{least}{calls}</td><td>{bar} {share}</td><td>{codes}</td><td class=\"id\">{id}</td></tr>",
            standing = row.standing.as_str(),
            edge = edge_of(edge),
            ends = services([row.key.service.as_str()].into_iter().chain(row.peer)),
            codes_of = attribute("codes", row.codes.keys().map(String::as_str)),
            what = escape(&verdict(row)),
            service = escape(&row.key.service),
            request = escape(&row.key.request()),
            call = escape(&row.key.outbound.text()),
            to = escape(&row.destination()),
            least = if row.at_least { "≥" } else { "" },
            calls = grouped(row.tally.calls),
            bar = bar(&row.tally),
            share = percent(row.tally.coverage()),
            codes = codes.collect::<Vec<_>>().join(", "),
            id = escape(row.examples.trace_ids().next().unwrap_or("")),
        );
    }
    text + "</tbody>\n</table></div>\n"
}

fn bar(tally: &Tally) -> String {
    let Some(share) = tally.coverage() else { return String::new() };
    format!(
        "<svg class=\"bar\" width=\"{BAR}\" height=\"9\" aria-hidden=\"true\"><rect class=\"track\" width=\"{BAR}\" \
         height=\"9\" rx=\"2\"/><rect class=\"fill\" width=\"{:.1}\" height=\"9\" rx=\"2\"/></svg>",
        share * BAR
    )
}

fn edge_of(edge: Option<usize>) -> String {
    edge.map(|edge| format!(" data-edge=\"{edge}\"")).unwrap_or_default()
}

fn services<'a>(names: impl Iterator<Item = &'a str>) -> String {
    attribute("services", names)
}

/// Values, each in tabs: clean text holds none.
fn attribute<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.map(escape).collect();
    if values.is_empty() { String::new() } else { format!(" data-{name}=\"\t{}\t\"", values.join("\t")) }
}

fn code_link(code: &str) -> String {
    match code.parse::<Code>() {
        Ok(code) => format!("<a href=\"#{0}\">{0}</a>", code.as_str()),
        Err(_) => escape(code),
    }
}

/// The findings by code, each code with what it means.
pub(super) fn findings(findings: &[&Found], rows: &[Row<'_>], graph: &Graph) -> String {
    let edges: BTreeMap<&HopKey, usize> =
        rows.iter().zip(&graph.edge_of).filter_map(|(row, edge)| Some((row.key, (*edge)?))).collect();
    let mut codes: Vec<(&str, Vec<&Found>)> = Vec::new();
    for found in findings {
        match codes.iter_mut().find(|(code, _)| *code == found.code) {
            Some((_, list)) => list.push(found),
            None => codes.push((&found.code, vec![found])),
        }
    }
    let mut text = String::from(
        "<section id=\"findings\" aria-labelledby=\"findings-title\"><h2 id=\"findings-title\">Findings</h2>\n",
    );
    if codes.is_empty() {
        text += "<p>None.</p>\n";
    }
    for (code, found) in codes {
        text += &explanation(code);
        for found in found {
            let edge = found.hop.as_ref().and_then(|key| edges.get(key)).copied();
            text += &finding(found, edge);
        }
        text += "</section>\n";
    }
    text + "</section>\n"
}

/// The texts of `auditor explain`; the section is left open.
fn explanation(code: &str) -> String {
    let Ok(code) = code.parse::<Code>() else {
        return format!(
            "<section class=\"code\"><h3>{}</h3><p>This version of auditor does not know the code.</p>\n",
            escape(code)
        );
    };
    let rule = code.rule();
    let list = |title: &str, items: &[&str]| {
        let items: String = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
        format!("<h4>{title}</h4><ul>{items}</ul>")
    };
    let spec =
        if rule.spec.is_empty() { String::new() } else { format!("<p>Specification: {}</p>", escape(rule.spec)) };
    format!(
        "<section class=\"code\" id=\"{name}\"><h3>{name}</h3><p>{gist}.</p><details class=\"explain\"><summary>What it means, \
         and what to do</summary><p>{meaning}</p>{spec}<p>In a trace UI: {looks}</p>{causes}{fix}</details>\n",
        name = rule.name,
        gist = escape(rule.gist()),
        meaning = escape(rule.meaning),
        looks = escape(rule.looks_like),
        causes = list("Likely causes", rule.causes),
        fix = list("What to do", rule.fix),
    )
}

fn finding(found: &Found, edge: Option<usize>) -> String {
    let mut text = format!(
        "<details class=\"finding {level}\"{edge}{service}{code}><summary><span class=\"badge\">{level}</span> \
         <span class=\"number\">{count}</span> {message}</summary><dl>",
        level = found.level.as_str(),
        edge = edge_of(edge),
        service = services([found.service.as_str()].into_iter()),
        code = attribute("codes", [found.code.as_str()].into_iter()),
        count = plural(found.count, "time"),
        message = escape(&found.message),
    );
    let paired = found.correlation.as_ref().map(|(method, sure)| format!("{method}, confidence {sure:.4}"));
    let nodes: Vec<&str> = found.nodes.iter().map(String::as_str).collect();
    let ids: Vec<&str> = found.examples.trace_ids().collect();
    let nothing = || Some("nothing".to_owned());
    for (term, value) in [
        ("Received", found.received.clone().or_else(nothing)),
        ("Sent", found.sent.clone().or_else(nothing).filter(|_| found.hop.is_some())),
        ("What", found.reason.clone()),
        ("Paired by", paired),
        ("Answered", found.answer.clone()),
        ("Seen", Some(format!("{} to {}", seconds(&found.first_seen), seconds(&found.last_seen)))),
        ("On", Some(nodes.join(", "))),
        ("Traces", Some(ids.join(" "))),
        ("Fingerprint", Some(found.fingerprint.clone())),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(text, "<div><dt>{term}</dt><dd>{}</dd></div>", escape(&value));
        }
    }
    text + "</dl></details>\n"
}

/// What could not be audited.
pub(super) fn blind_spots(report: &Report) -> String {
    let mut text = String::new();
    for blind in report.blind() {
        let who = if blind.service.is_empty() { "this node" } else { &blind.service };
        let _ = writeln!(
            text,
            "<li{}><code>{}</code>: {}, {}. {}</li>",
            services([who].into_iter()),
            escape(&blind.code),
            escape(who),
            plural(blind.count, "time"),
            escape(&blind.message)
        );
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "<section id=\"blind\" aria-labelledby=\"blind-title\"><h2 id=\"blind-title\">Not audited</h2><ul>\n{text}</ul></section>\n"
    )
}
