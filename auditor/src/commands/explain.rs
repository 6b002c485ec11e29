//! `auditor explain`.

use std::fmt::Write;
use std::process::ExitCode;

use auditor::audit::Code;
use auditor::audit::rules::{self, Group};
use serde::Serialize;

use crate::cli::{Explain, Format};
use crate::exit::Failure;

/// What there is to know of a code.
#[derive(Debug, Serialize)]
struct Entry {
    code: &'static str,
    group: &'static str,
    severity: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    spec: &'static str,
    meaning: &'static str,
    looks_like: &'static str,
    causes: &'static [&'static str],
    fix: &'static [&'static str],
}

impl Entry {
    fn new(group: &'static str, code: Code) -> Self {
        let rule = code.rule();
        Self {
            code: rule.name,
            group,
            severity: rule.severity.as_str(),
            spec: rule.spec,
            meaning: rule.meaning,
            looks_like: rule.looks_like,
            causes: rule.causes,
            fix: rule.fix,
        }
    }
}

pub(crate) fn run(args: &Explain) -> Result<ExitCode, Failure> {
    let one = args.code.as_deref().map(str::parse::<Code>).transpose().map_err(Failure::Usage)?;
    let text = match (one, args.format) {
        (None, Format::Text) => list(&rules::groups()),
        (Some(code), Format::Text) => code.rule().explain(),
        (one, Format::Json) => {
            let entries = rules::groups().into_iter().flat_map(|group| {
                let name = group.name;
                group.codes.into_iter().map(move |code| Entry::new(name, code))
            });
            let entries: Vec<_> = entries.filter(|entry| one.is_none_or(|one| one.as_str() == entry.code)).collect();
            let text = serde_json::to_string_pretty(&entries).map_err(|error| Failure::io("stdout")(error.into()))?;
            text + "\n"
        }
    };
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn list(groups: &[Group]) -> String {
    let longest = groups.iter().flat_map(|group| &group.codes).map(|code| code.as_str().len()).max().unwrap_or(0);
    let mut text = String::new();
    for group in groups {
        let space = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{space}{}", group.name);
        for code in &group.codes {
            let _ = writeln!(text, "  {code:<longest$}  {:<7}  {}", code.severity().as_str(), code.rule().gist());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_line() {
        let list = list(&rules::groups());
        let listed: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
        assert_eq!(listed, rules::all().map(Code::as_str).collect::<Vec<_>>());
    }
}
