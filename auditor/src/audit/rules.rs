//! The codes, and what `auditor explain` says of each.

mod blind_spots;
mod traceparent;

use super::Severity;

/// What a finding or blind spot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Valid in, none out.
    TraceparentDropped,
    /// Valid in, another trace out.
    TraceRestarted,
    /// None in, none out.
    TraceNotStarted,
    /// Forwarded byte for byte.
    ParentIdNotUpdated,
    /// Not the grammar.
    TraceparentMalformed,
    /// More than one.
    TraceparentDuplicated,
    /// The trace-id of an invalid value was kept.
    InvalidTraceIdReused,
    /// Blind spot: TLS.
    TlsNotVisible,
    /// Blind spot: HTTP/2.
    Http2NotVisible,
    /// Blind spot: io_uring.
    IoUringNotVisible,
    /// Blind spot: 32-bit processes.
    CompatSyscallNotVisible,
    /// Blind spot: records were lost.
    CaptureLost,
    /// Blind spot: heads above the capture limit.
    HeadTruncated,
}

/// A rule in words.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// As the output names it.
    pub name: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The section of the specification; empty for blind spots.
    pub spec: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// How it looks in a trace UI.
    pub looks_like: &'static str,
    /// What it usually comes from.
    pub causes: &'static [&'static str],
    /// What to do.
    pub fix: &'static [&'static str],
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::TraceparentDropped,
        Self::TraceRestarted,
        Self::TraceNotStarted,
        Self::ParentIdNotUpdated,
        Self::TraceparentMalformed,
        Self::TraceparentDuplicated,
        Self::InvalidTraceIdReused,
        Self::TlsNotVisible,
        Self::Http2NotVisible,
        Self::IoUringNotVisible,
        Self::CompatSyscallNotVisible,
        Self::CaptureLost,
        Self::HeadTruncated,
    ];

    /// The rule behind it.
    pub fn rule(self) -> &'static Rule {
        match self {
            Self::TraceparentDropped => &traceparent::DROPPED,
            Self::TraceRestarted => &traceparent::RESTARTED,
            Self::TraceNotStarted => &traceparent::NOT_STARTED,
            Self::ParentIdNotUpdated => &traceparent::PARENT_ID_NOT_UPDATED,
            Self::TraceparentMalformed => &traceparent::MALFORMED,
            Self::TraceparentDuplicated => &traceparent::DUPLICATED,
            Self::InvalidTraceIdReused => &traceparent::INVALID_REUSED,
            Self::TlsNotVisible => &blind_spots::TLS,
            Self::Http2NotVisible => &blind_spots::HTTP2,
            Self::IoUringNotVisible => &blind_spots::IO_URING,
            Self::CompatSyscallNotVisible => &blind_spots::COMPAT,
            Self::CaptureLost => &blind_spots::CAPTURE_LOST,
            Self::HeadTruncated => &blind_spots::HEAD_TRUNCATED,
        }
    }

    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        self.rule().name
    }

    /// How bad.
    pub fn severity(self) -> Severity {
        self.rule().severity
    }

    /// The section of the specification.
    pub fn spec(self) -> &'static str {
        self.rule().spec
    }

    /// The text of `auditor explain`.
    pub fn explain(self) -> String {
        let rule = self.rule();
        let mut text = format!("{} [{}]\n\n{}\n", rule.name, rule.severity.as_str(), rule.meaning);
        if !rule.spec.is_empty() {
            text += &format!("\nSpecification: {}\n", rule.spec);
        }
        text += &format!("\nIn a trace UI: {}\n", rule.looks_like);
        for (title, items) in [("Likely causes", rule.causes), ("What to do", rule.fix)] {
            text += &format!("\n{title}:\n");
            for item in items {
                text += &format!("  - {item}\n");
            }
        }
        text
    }
}

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a finding code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        let mut names = std::collections::BTreeSet::new();
        for code in Code::ALL {
            let rule = code.rule();
            assert!(names.insert(rule.name), "{} twice", rule.name);
            assert_eq!(rule.name.parse(), Ok(code));
            assert!(rule.meaning.len() > 80, "{}: meaning", rule.name);
            assert!(rule.looks_like.len() > 20, "{}: looks_like", rule.name);
            assert!(!rule.causes.is_empty() && !rule.fix.is_empty(), "{}: causes and fix", rule.name);
            assert!(code.explain().contains(rule.name));
        }
    }
}
