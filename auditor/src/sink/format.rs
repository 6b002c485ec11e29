//! How a line is written. Every format is made of the contract's line, so that all say the same, and all are cut alike.

mod ecs;
mod nested;
mod otlp;
mod text;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::spec::Format;
use crate::report::{LINE_CAP, fit};

pub(super) use otlp::request as otlp_request;

/// A line of the contract in this format, without a line feed and at most [`LINE_CAP`] bytes.
pub(super) fn render(format: Format, line: &str) -> Cow<'_, str> {
    render_within(format, line, LINE_CAP)
}

/// The same in at most so many bytes.
pub(super) fn render_within(format: Format, line: &str, cap: usize) -> Cow<'_, str> {
    if format == Format::Json && line.len() <= cap {
        return Cow::Borrowed(line);
    }
    // Our own lines are JSON; what is not stays as it is.
    let Ok(value) = serde_json::from_str::<Value>(line) else { return Cow::Borrowed(line) };
    Cow::Owned(match format {
        Format::Json => fit(value, cap),
        Format::JsonNested => fit(nested::expand(value), cap),
        Format::Ecs => fit(ecs::record(value), cap),
        Format::OtlpJson => otlp::line(&value, cap),
        Format::Text => {
            let mut text = text::line(&value);
            text.truncate(text.floor_char_boundary(cap));
            text
        }
    })
}

/// The text at a place, keys of objects with `/` between them.
fn text_at<'a>(value: &'a Value, place: &str) -> Option<&'a str> {
    at(value, place)?.as_str()
}

/// What is at a place, keys of objects with `/` between them: the keys themselves have dots.
fn at<'a>(value: &'a Value, place: &str) -> Option<&'a Value> {
    place.split('/').try_fold(value, |value, key| value.get(key))
}

/// All that is not an object, by the keys that lead there with dots between them. No value, no line.
fn leaves<'a>(prefix: &str, fields: &'a Map<String, Value>, take: &mut impl FnMut(&str, &'a Value)) {
    for (key, value) in fields {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(fields) => leaves(&name, fields, take),
            Value::Null => {}
            value => take(&name, value),
        }
    }
}

/// Calls `take` with all that is not an object.
pub(super) fn each_leaf(line: &Value, mut take: impl FnMut(&str, &Value)) {
    if let Value::Object(fields) = line {
        leaves("", fields, &mut take);
    }
}

/// The line as people read it.
pub(super) fn sentence(line: &Value) -> String {
    text::sentence(line)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every line of the recordings.
    pub(super) fn golden() -> Vec<String> {
        let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
        let files = std::fs::read_dir(recordings).expect("the recordings are there");
        let files = files.map(|entry| entry.expect("a directory entry").path());
        let lines = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        lines
            .flat_map(|path| std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The first finding of the recordings.
    pub(super) fn finding() -> Value {
        let lines = golden();
        let line = lines.iter().find(|line| line.contains("\"traceparent_dropped\"") && line.contains("\"finding\":{"));
        serde_json::from_str(line.expect("a finding")).unwrap()
    }

    #[test]
    fn every_line_in_every_format_is_one_line() {
        for line in golden() {
            for format in [Format::Json, Format::JsonNested, Format::Ecs, Format::OtlpJson, Format::Text] {
                let written = render(format, &line);
                assert!(!written.contains('\n') && written.len() <= LINE_CAP, "{written}");
                assert!(render_within(format, &line, 4000).len() <= 4000, "{line}");
                if format != Format::Text {
                    serde_json::from_str::<Value>(&written).unwrap();
                }
            }
        }
    }
}
