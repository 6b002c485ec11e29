//! What a finding can be about: the catalogue's entry for one observable violation.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Legal, but worth knowing.
    Info,
    /// Traces suffer.
    Warning,
    /// The specification is violated or the trace is broken.
    Error,
}

impl Severity {
    /// `level` of the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// `severity_number` of OpenTelemetry logs.
    pub fn number(self) -> u8 {
        match self {
            Self::Info => 9,
            Self::Warning => 13,
            Self::Error => 17,
        }
    }
}

impl std::str::FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Info, Self::Warning, Self::Error]
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not one of info, warning, error"))
    }
}

/// A rule in words. It stands beside what finds it broken.
#[derive(Debug)]
pub struct Rule {
    /// As the output names it.
    pub name: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The section of the specification; empty for blind spots.
    pub spec: &'static str,
    /// The sentence of a finding on a call; empty where there is none. `{who}` is the service, `{from}` the request
    /// that it received, `{call}` the one that it sent, `{format}` the name of the format, `{reason}` what exactly is
    /// wrong, `{detail}` with what.
    pub on_call: &'static str,
    /// The sentence of a finding on a request that was received; empty where there is none. `{client}` sent it, `{who}`
    /// received it, `{from}` is the request; the rest is the same.
    pub on_request: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// How it looks in a trace UI.
    pub looks_like: &'static str,
    /// What it usually comes from.
    pub causes: &'static [&'static str],
    /// What to do.
    pub fix: &'static [&'static str],
}

impl Rule {
    /// What it means in one line: the first sentence, up to a semicolon, without the full stop.
    pub fn gist(&self) -> &'static str {
        let sentence = self.meaning.split_once(". ").map_or(self.meaning, |(first, _)| first);
        sentence.split_once("; ").map_or(sentence, |(first, _)| first).trim_end_matches('.')
    }

    /// The text of `auditor explain`.
    pub fn explain(&self) -> String {
        let mut text = format!("{} [{}]\n\n{}\n", self.name, self.severity.as_str(), self.meaning);
        if !self.spec.is_empty() {
            text += &format!("\nSpecification: {}\n", self.spec);
        }
        text += &format!("\nIn a trace UI: {}\n", self.looks_like);
        for (title, items) in [("Likely causes", self.causes), ("What to do", self.fix)] {
            text += &format!("\n{title}:\n");
            for item in items {
                text += &format!("  - {item}\n");
            }
        }
        text
    }
}

/// Fills a sentence of a rule: `{name}` becomes what `value` says of `name`, which is not searched for names again.
pub fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, name, after)) =
        rest.split_once('{').and_then(|(before, rest)| rest.split_once('}').map(|(name, after)| (before, name, after)))
    {
        text += before;
        text += &value(name);
        rest = after;
    }
    text + rest
}

/// What a finding or blind spot is about; two are the same if their names are.
#[derive(Clone, Copy)]
pub struct Code(pub &'static Rule);

impl Code {
    /// The rule behind it.
    pub fn rule(self) -> &'static Rule {
        self.0
    }

    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        self.0.name
    }

    /// How bad.
    pub fn severity(self) -> Severity {
        self.0.severity
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.name)
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Code {}

impl PartialOrd for Code {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Code {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name.cmp(other.0.name)
    }
}

impl Hash for Code {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_filled_once() {
        let value = |name: &str| if name == "who" { "{from}".to_owned() } else { name.to_uppercase() };
        assert_eq!(fill("{who} sent {reason} on {call}.", value), "{from} sent REASON on CALL.");
        assert_eq!(fill("{who", value), "{who");
        assert_eq!(fill("", value), "");
    }
}
