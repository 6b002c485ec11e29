//! `cargo xtask codes`: writes docs/codes.md, the catalogue of all codes with the tests that fire them.

mod evidence;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use auditor::audit::Code;
use auditor::audit::rules::groups;

use self::evidence::{EVIDENCE, Evidence, Test};
use crate::shell::root;

const INTRODUCTION: &str = "\
# Codes

Every code of a finding (`finding.code`) or a blind spot (`blind_spot.code`): what it means, a test in which it fires, and
what it keeps quiet about. `auditor explain CODE` also has how it looks in a trace UI, what it usually comes from and how
to fix it. Made by `cargo xtask codes` from the rules; a test compares.
";

/// Writes the catalogue.
pub(crate) fn run() -> Result<()> {
    let path = path();
    std::fs::write(&path, catalogue()).with_context(|| path.display().to_string())?;
    println!("{}", path.display());
    Ok(())
}

fn path() -> PathBuf {
    root().join("docs/codes.md")
}

fn catalogue() -> String {
    let evidence: BTreeMap<_, _> = EVIDENCE.iter().map(|evidence| (evidence.code, evidence)).collect();
    let mut text = INTRODUCTION.to_owned();
    for group in groups() {
        let _ = write!(text, "\n## {}\n", group.name);
        for code in group.codes {
            text += &entry(code, evidence.get(code.as_str()).copied());
        }
    }
    text
}

fn entry(code: Code, evidence: Option<&Evidence>) -> String {
    let rule = code.rule();
    let mut text = format!("\n### {}\n\n{}", rule.name, rule.severity.as_str());
    if !rule.spec.is_empty() {
        let _ = write!(text, " · {}", rule.spec);
    }
    let _ = write!(text, "\n\n{}\n", rule.meaning);
    if let Some(evidence) = evidence {
        let _ = write!(text, "\n- Fires in {}\n", link(evidence.fires));
        for (what, test) in evidence.quiet {
            let _ = writeln!(text, "- Quiet about: {what} ({})", link(*test));
        }
    }
    text
}

fn link((file, name): Test) -> String {
    format!("[`{name}`](../{file})")
}

#[cfg(test)]
mod tests {
    use auditor::audit::rules::all;

    use super::*;

    /// The text of a function that is a test: under `#[test]`, or made into several by `with_both_hooks!`.
    fn text((file, name): &Test) -> Option<String> {
        let source = std::fs::read_to_string(root().join(file)).ok()?;
        let (before, rest) = source.split_once(&format!("fn {name}("))?;
        let indent = before.rsplit('\n').next()?;
        let (body, _) = rest.split_once(&format!("\n{indent}}}\n"))?;
        let hooks = source.split_once("with_both_hooks!(").and_then(|(_, rest)| rest.split_once(')'));
        let is_hook = hooks.is_some_and(|(names, _)| names.split(',').any(|hook| hook.trim() == *name));
        (is_hook || before.trim_end().ends_with("#[test]")).then(|| body.to_owned())
    }

    #[test]
    fn the_catalogue_is_up_to_date() {
        let written = std::fs::read_to_string(path()).unwrap_or_default();
        assert!(written == catalogue(), "docs/codes.md is not what `cargo xtask codes` writes");
    }

    #[test]
    fn every_code_fires_in_a_test() {
        let known: Vec<_> = EVIDENCE.iter().map(|evidence| evidence.code).collect();
        assert_eq!(known, all().map(Code::as_str).collect::<Vec<_>>());
        for Evidence { code, fires, quiet } in EVIDENCE {
            let body = text(fires).unwrap_or_else(|| panic!("{code}: no test {fires:?}"));
            assert!(body.contains(&format!("\"{code}\"")), "{code}: {fires:?} does not name it");
            for (_, test) in *quiet {
                assert!(text(test).is_some(), "{code}: no test {test:?}");
            }
        }
    }
}
