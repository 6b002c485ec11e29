//! Reads a file: every key that it sets, with its values as the command line would take them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use clap::Arg;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::{Problem, alike};
use super::value;
use super::{is_list, key, options};

/// A longer file is no configuration.
const MAX_BYTES: u64 = 1 << 20;
/// Problems that are told; the rest is counted.
const MAX_TOLD: usize = 20;

/// What a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Anything that can be read: a pipe, too, and `-` for stdin.
    Any,
    /// A regular file: nobody waits for a pipe to be written while an audit is under way.
    Regular,
}

/// A key that a file sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

/// Reads and checks it; says everything that is wrong, each with its place.
pub(super) fn read(path: &Path, source: Source) -> Result<Vec<Setting>, String> {
    let name = path.display().to_string();
    let bytes = bytes(path, source).map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let text = String::from_utf8_lossy(valid);
        format!("{name}:{}", Problem::new(&text, Some(text.len()..text.len()), "this is not UTF-8"))
    })?;
    parse(&text).map_err(|mut problems| {
        problems.sort();
        let more = problems.len().saturating_sub(MAX_TOLD);
        let mut lines: Vec<_> = problems.iter().take(MAX_TOLD).map(|problem| format!("{name}:{problem}")).collect();
        if more > 0 {
            lines.push(format!("{name}: {more} more"));
        }
        lines.join("\nauditor: ")
    })
}

fn bytes(path: &Path, source: Source) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") && source == Source::Any {
        io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        // Looked at before it is opened: that alone may wait for ever.
        if source == Source::Regular && !path.metadata()?.is_file() {
            return Err(io::Error::other("is not a regular file"));
        }
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("is larger than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

/// The keys that a text sets.
pub(super) fn parse(text: &str) -> Result<Vec<Setting>, Vec<Problem>> {
    let table = DeTable::parse(text).map_err(|error| vec![Problem::of_toml(text, &error)])?;
    let options = options();
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in table.get_ref() {
        let Some(arg) = options.iter().find(|arg| key(arg) == **name.get_ref()) else {
            problems.push(unknown(text, name, &options));
            continue;
        };
        let items: Vec<_> = match value.get_ref() {
            DeValue::Array(items) if is_list(arg) => items.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() && !arg.get_default_values().is_empty() {
            let what = format!("{}: names none: leave the key out", key(arg));
            problems.push(Problem::new(text, Some(value.span()), what));
        }
        let mut values = Vec::new();
        for item in items {
            match value::written(arg, item) {
                Ok(value) => values.push(value),
                Err(wrong) => {
                    let span = wrong.span.or(Some(item.span()));
                    problems.push(Problem::new(text, span, format_args!("{}: {}", key(arg), wrong.what)));
                }
            }
        }
        settings.push(Setting { key: key(arg), values });
    }
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn unknown(text: &str, name: &Spanned<DeString<'_>>, options: &[Arg]) -> Problem {
    let keys: Vec<_> = options.iter().map(key).collect();
    let meant = match alike(name.get_ref(), keys.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`auditor config example` lists the keys".to_owned(),
    };
    Problem::new(text, Some(name.span()), format_args!("unknown key `{}`: {meant}", name.get_ref()))
}
