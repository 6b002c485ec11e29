//! The catalogue: every code there is.

pub mod blind_spots;

use super::boundary::SENT_EXTERNALLY;
use crate::context::{ACROSS, FORMATS, history};
use crate::rule::Code;

/// Every code once, in the order in which `auditor explain` lists them.
pub fn all() -> Vec<Code> {
    let mut codes: Vec<Code> = Vec::new();
    let formats = FORMATS.into_iter().flat_map(|format| format.rules());
    for &rule in
        formats.chain(&ACROSS).chain(&history::rules::ALL).chain([&&SENT_EXTERNALLY]).chain(&blind_spots::RULES)
    {
        // Formats may share a rule.
        if !codes.iter().any(|code| std::ptr::eq(code.rule(), rule)) {
            codes.push(Code(rule));
        }
    }
    codes
}

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        all()
            .into_iter()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| format!("no finding has the code {text:?}; `auditor explain` lists them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::fill;

    #[test]
    fn every_code_is_explained() {
        let mut names = std::collections::BTreeSet::new();
        for code in all() {
            let rule = code.rule();
            assert!(names.insert(rule.name), "{} twice", rule.name);
            assert_eq!(rule.name.parse(), Ok(code));
            assert!(rule.meaning.len() > 80, "{}: meaning", rule.name);
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
        for rule in all().into_iter().map(Code::rule) {
            fill(rule.on_call, known(&["who", "from", "call", "format", "reason", "detail"]));
            fill(rule.on_request, known(&["client", "who", "from", "format", "reason", "detail"]));
        }
    }
}
