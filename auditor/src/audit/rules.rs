//! The catalogue: every code there is.

pub mod blind_spots;

use std::collections::BTreeSet;

use super::boundary::SENT_EXTERNALLY;
use crate::context::{ACROSS, FORMATS, history};
use crate::rule::Code;

/// What is less like a code than this was not meant to be it.
const ALIKE: f64 = 0.8;

/// Codes of one format, or of what is beside the formats.
#[derive(Debug)]
pub struct Group {
    /// Of the format, as the output names it; or what it is about.
    pub name: &'static str,
    /// Never none; each is in one group only.
    pub codes: Vec<Code>,
}

/// Every code, in the order in which `auditor explain` lists them.
pub fn groups() -> Vec<Group> {
    let formats = FORMATS.into_iter().map(|format| (format.name(), format.rules()));
    let others = [
        ("across formats", &ACROSS[..]),
        ("w3c, over several calls", &history::rules::ALL),
        ("trust boundaries", &[&SENT_EXTERNALLY]),
        ("blind spots", &blind_spots::RULES),
    ];
    // Formats may share a rule.
    let mut seen = BTreeSet::new();
    let groups = formats.chain(others).map(|(name, rules)| {
        let codes = rules.iter().filter(|rule| seen.insert(rule.name)).map(|rule| Code(rule)).collect();
        Group { name, codes }
    });
    groups.filter(|group| !group.codes.is_empty()).collect()
}

/// Every code.
pub fn all() -> impl Iterator<Item = Code> {
    groups().into_iter().flat_map(|group| group.codes)
}

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        all().into_iter().find(|code| code.as_str() == text).ok_or_else(|| {
            let alike = all().map(|code| (strsim::jaro(code.as_str(), text), code));
            let best = alike.filter(|(alike, _)| *alike > ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
            let best = best.map_or(String::new(), |(_, code)| format!(": did you mean `{code}`?"));
            format!("no finding has the code {text:?}{best}; `auditor explain` lists them")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::fill;

    #[test]
    fn every_code_is_explained() {
        let mut names = BTreeSet::new();
        for code in all() {
            let rule = code.rule();
            assert!(names.insert(rule.name), "{} twice", rule.name);
            assert_eq!(rule.name.parse(), Ok(code));
            assert!(rule.meaning.len() > 80, "{}: meaning", rule.name);
            assert!((20..220).contains(&rule.gist().len()), "{}: {}", rule.name, rule.gist());
            assert!(rule.looks_like.len() > 20, "{}: looks_like", rule.name);
            assert!(!rule.causes.is_empty() && !rule.fix.is_empty(), "{}: causes and fix", rule.name);
            assert!(rule.explain().contains(rule.name));
        }
    }

    #[test]
    fn every_sentence_can_be_filled() {
        let known = |names: &'static [&'static str]| {
            move |name: &str| {
                assert!(names.contains(&name), "{{{name}}}");
                String::new()
            }
        };
        for rule in all().map(Code::rule) {
            fill(rule.on_call, known(&["who", "from", "call", "format", "reason", "detail"]));
            fill(rule.on_request, known(&["client", "who", "from", "format", "reason", "detail"]));
        }
    }
}
