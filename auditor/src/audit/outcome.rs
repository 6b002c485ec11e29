//! What became of the trace on one hop.

use crate::context::format::Status;
use crate::pair::Suspicion;

/// What became of the trace on one hop; as CONTRACT defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Same trace-id, new parent-id.
    Continued,
    /// Byte-identical.
    PassedThrough,
    /// The same trace in another format.
    Translated,
    /// Another trace-id.
    Restarted,
    /// Valid in, nothing out.
    Dropped,
    /// Nothing in, or nothing valid, and valid out.
    Started,
    /// Nothing in, nothing out.
    Absent,
    /// Not wholly seen, or not certain.
    Unknown,
}

impl Outcome {
    /// Every one, in the order of the output.
    pub const ALL: [Self; 8] = [
        Self::Continued,
        Self::PassedThrough,
        Self::Translated,
        Self::Restarted,
        Self::Dropped,
        Self::Started,
        Self::Absent,
        Self::Unknown,
    ];

    /// Whether it can only be said of a call that was made for a request with a context.
    pub fn is_of_trace(self) -> bool {
        matches!(self, Self::Continued | Self::PassedThrough | Self::Translated | Self::Restarted | Self::Dropped)
    }

    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continued => "continued",
            Self::PassedThrough => "passed_through",
            Self::Translated => "translated",
            Self::Restarted => "restarted",
            Self::Dropped => "dropped",
            Self::Started => "started",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }

    /// What a suspicion comes to when it is certain.
    pub fn of(suspicion: Suspicion) -> Self {
        match suspicion {
            Suspicion::Dropped => Self::Dropped,
            Suspicion::Restarted => Self::Restarted,
            Suspicion::NotStarted => Self::Absent,
        }
    }
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Self {
        match status {
            Status::Continued => Self::Continued,
            Status::PassedThrough => Self::PassedThrough,
            Status::Restarted => Self::Restarted,
            Status::Dropped => Self::Dropped,
            Status::Started => Self::Started,
            Status::Absent => Self::Absent,
            Status::Unknown => Self::Unknown,
        }
    }
}
