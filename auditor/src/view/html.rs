//! The report as one page: no request leaves it, and only its own script and style run, for its policy names their
//! hashes. All of it can be read without the script, which filters.

mod parts;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::graph::{self, Graph};
use super::text::{headline, plural};
use super::{Read, Report, Standing, svg};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
/// SHA-256 of [`STYLE`] and [`SCRIPT`]; a test says what they are to be.
const STYLE_HASH: &str = "xsf0F6GFUWyq3uS0Y3gPgaJonw8rgBWiXxPAFdu1hTs=";
const SCRIPT_HASH: &str = "sSPOEUht15PgHQnsP4PaH8NjHvg+ypZ0tQMLuRiizpY=";

/// Text that means itself, between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The whole page.
pub fn page(report: &Report, read: Read) -> String {
    let rows = report.rows();
    let findings = report.findings();
    let graph = Graph::new(&rows);
    let mut row_of = BTreeMap::new();
    for (row, edge) in graph.edge_of.iter().enumerate() {
        if let Some(edge) = edge {
            row_of.entry(*edge).or_insert(row);
        }
    }
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; \
         script-src 'sha256-{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>auditor report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    );
    let _ = writeln!(text, "<header><h1>Where traces end</h1><p>{}</p></header>", escape(&headline(report, &rows)));
    text += &parts::tiles(&rows, &findings);
    text += &parts::filter(&rows, &findings);
    text += "<main>\n<section id=\"hops\" aria-labelledby=\"hops-title\"><h2 id=\"hops-title\">Hops, the worst first</h2>\n";
    text += &parts::table(&rows, &graph);
    text += "</section>\n";
    if !graph.nodes.is_empty() {
        text += &picture(&graph, &row_of);
    }
    text += &parts::findings(&findings, &rows, &graph);
    text += &parts::blind_spots(report);
    text += "</main>\n";
    let _ = writeln!(
        text,
        "<footer><p>Made by auditor {} of {}{}. {}</p></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION"),
        plural(read.records, "record"),
        match read.broken + u64::from(read.cut_off) {
            0 => String::new(),
            broken => format!("; {} could not be read", plural(broken, "line")),
        },
        match report.left_out {
            0 => String::new(),
            count => format!("{} found no room.", plural(count, "record")),
        },
    );
    text
}

fn picture(graph: &Graph, row_of: &BTreeMap<usize, usize>) -> String {
    let mut text = String::from(
        "<section id=\"graph\" aria-labelledby=\"graph-title\"><h2 id=\"graph-title\">Services</h2>\n\
         <input type=\"checkbox\" id=\"fit\" checked><label for=\"fit\"> fit the width</label>\n<ul class=\"legend\">",
    );
    for (standing, what) in [
        (Standing::Broken, "trace ends (share kept)"),
        (Standing::Faulty, "goes on, but faulty (!)"),
        (Standing::Suspected, "suspected (?)"),
        (Standing::Allowed, "ends, and may"),
        (Standing::Kept, "goes on"),
        (Standing::Unjudged, "nothing to judge"),
    ] {
        if graph.edges.iter().any(|edge| edge.standing == standing) {
            let _ = write!(
                text,
                "<li class=\"e {}\"><svg width=\"34\" height=\"10\" aria-hidden=\"true\"><path d=\"M2 5H32\"/></svg>{what}</li>",
                standing.as_str()
            );
        }
    }
    text += "</ul>\n";
    if graph.left_out > 0 {
        let _ = writeln!(
            text,
            "<p class=\"note\">The {} services and {} edges that are worst; the table has {} more edges.</p>",
            graph::NODES.min(graph.nodes.len()),
            graph.edges.len(),
            graph.left_out
        );
    }
    text + "<div class=\"scroll\" tabindex=\"0\">" + &svg::graph(graph, row_of) + "</div></section>\n"
}

#[cfg(test)]
mod tests;
