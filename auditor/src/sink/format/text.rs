//! A line for people.

use std::fmt::Write;

use serde_json::Value;

use super::{at, each_leaf, text_at};

/// Time, level, what; then how often and under which fingerprint.
pub(super) fn line(line: &Value) -> String {
    let time = text_at(line, "timestamp").unwrap_or_default();
    // Milliseconds are enough for people: `2026-08-24T10:15:30.123`.
    let time = time.get(..23).map_or_else(|| time.to_owned(), |time| format!("{time}Z"));
    let level = text_at(line, "level").unwrap_or("info").to_uppercase();
    let mut text = format!("{time} {level:<7} {}", sentence(line));
    if let Some(finding) = line.get("finding") {
        let count = finding.get("count").and_then(Value::as_u64).unwrap_or(1);
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let _ = write!(text, " ({times}");
        if let Some(confidence) = at(finding, "correlation/confidence") {
            let _ = write!(text, ", confidence {confidence}");
        }
        let _ = write!(text, ") [{}", text_at(finding, "code").unwrap_or_default());
        let _ = write!(text, " {}", text_at(finding, "fingerprint").unwrap_or_default());
        if let Some(trace) = text_at(line, "trace_id") {
            let _ = write!(text, ", trace {trace}");
        }
        text.push(']');
    }
    printable(&text)
}

/// What a line says, without time and level.
pub(super) fn sentence(line: &Value) -> String {
    if let Some(message) = text_at(line, "message") {
        return message.to_owned();
    }
    match text_at(line, "record_type") {
        Some("summary") => summary(line),
        Some("stats") => stats(line),
        _ => text_at(line, "event_name").unwrap_or_default().to_owned(),
    }
}

fn summary(line: &Value) -> String {
    let text = |place| text_at(line, place).unwrap_or("?");
    let inbound = match text_at(line, "inbound/http.route") {
        Some(route) => format!("{} {route}", text("inbound/http.request.method")),
        None => "(no request)".to_owned(),
    };
    let port = at(line, "attributes/server.port").map_or_else(String::new, |port| format!(":{port}"));
    let mut summary = format!(
        "{} {inbound} -> {} {}{port}{}:",
        text("resource/service.name"),
        text("attributes/http.request.method"),
        text("attributes/server.address"),
        text_at(line, "attributes/http.route").unwrap_or_default(),
    );
    if let Some(Value::Object(edge)) = line.get("edge") {
        let calls = edge.get("calls").cloned().unwrap_or_default();
        let _ = write!(summary, " {calls} calls");
        let others = edge.iter().filter(|(name, count)| *name != "calls" && count.as_u64() != Some(0));
        for (name, count) in others {
            let _ = write!(summary, ", {count} {}", name.replace('_', " "));
        }
    }
    summary
}

/// All counters that are not zero.
fn stats(line: &Value) -> String {
    let mut text = "counters:".to_owned();
    if let Some(stats) = line.get("stats") {
        each_leaf(stats, |name, value| {
            if value.as_u64() != Some(0) {
                let _ = write!(text, " {name}={value}");
            }
        });
    }
    text
}

/// Names and paths come from the network: nothing in them may move the cursor or turn the text around.
fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        let turns =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || turns {
            clean.extend(c.escape_unicode());
        } else {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_for_people() {
        let text = line(&super::super::tests::finding());
        assert!(text.contains("Z ERROR   ") && text.contains(" received traceparent on "), "{text}");
        assert!(text.contains(" times, confidence ") && text.contains("[traceparent_dropped "), "{text}");
    }

    #[test]
    fn every_line_says_something() {
        for golden in super::super::tests::golden() {
            let text = line(&serde_json::from_str(&golden).unwrap());
            assert!(text.len() > 40 && !text.contains('?'), "{text}");
        }
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(printable("a\x1b[2J\u{202e}b\nc"), "a\\u{1b}[2J\\u{202e}b\\u{a}c");
    }
}
