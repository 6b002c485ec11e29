//! Judges hops: what became of the context, and which rule that breaks.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod ignore;
pub mod outcome;
pub mod rules;

pub use outcome::{Outcome, Verdict, judge, judge_inbound};
pub use rules::Code;

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
