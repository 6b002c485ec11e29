//! What a finding can be about: the catalogue's entry for one observable violation.

use std::fmt;

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
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}
