//! What a propagation format is to the audit.

use std::borrow::Cow;

use crate::exchange::FieldLines;
use crate::rule::Rule;

/// Level of W3C Trace Context that is audited against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// The recommendation of 2021.
    One,
    /// With the random flag.
    #[default]
    Two,
}

/// What travels in a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// The identity of a trace.
    Trace,
    /// Values that belong to a trace without naming it.
    Baggage,
    /// An id of something else, such as the request.
    Id,
}

/// A format. Each is a file that says which fields it has, what they mean, and what may become of them on a hop.
pub trait Format: Sync {
    /// As the output and `--formats` name it.
    fn name(&self) -> &'static str;
    /// What travels in it.
    fn cargo(&self) -> Cargo;
    /// Its fields, lower case.
    fn fields(&self) -> &'static [&'static str];
    /// What names of further fields begin with, lower case.
    fn prefixes(&self) -> &'static [&'static str] {
        &[]
    }
    /// What a head that was seen whole carries in it; `None`: nothing.
    fn read(&self, head: Fields<'_>, level: Level) -> Option<Reading>;
    /// What it carries as evidence: ids and flags as they are, what users may have put there by its key only, cut.
    fn evidence(&self, head: Fields<'_>) -> String;
    /// What became of it from a request to a call that was made for it. Both heads were seen whole.
    fn compare(&self, received: Fields<'_>, sent: Fields<'_>, level: Level) -> Comparison;
    /// The rule for a call that carries nothing of it although its request did; `None`: nobody may be blamed for that.
    fn dropped(&self) -> Option<&'static Rule>;
    /// All of its rules.
    fn rules(&self) -> &'static [&'static Rule];
}

/// The audited fields of a head, in order, names and values as they crossed the socket.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a FieldLines);

impl<'a> Fields<'a> {
    /// Values of the fields of this name, in order, without the whitespace around them.
    pub fn values(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(n, _)| is_named(n, name)).map(|(_, value)| value.trim_ascii())
    }
}

/// Whether a field has this name, which is in lower case; most are written so.
pub(super) fn is_named(field: &[u8], name: &str) -> bool {
    field.len() == name.len() && (field == name.as_bytes() || field.eq_ignore_ascii_case(name.as_bytes()))
}

/// What a head carries in one format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The trace, where the value is valid and names one.
    pub identity: Option<Identity>,
    /// What is wrong with it whoever sent it.
    pub faults: Vec<Fault>,
    /// It names no trace, and says that nothing is to be recorded.
    pub denied: bool,
}

/// The identity of a trace, the same in whatever format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Never 0. A 64-bit id is the low half.
    pub trace_id: u128,
    /// That only the low 64 bits were sent.
    pub short: bool,
    /// Span id of the sender, where the format has one.
    pub span_id: Option<u64>,
    /// The sampling decision, where one was sent.
    pub sampled: Option<bool>,
    /// Sampled because somebody asked for this very request.
    pub debug: bool,
}

/// What became of a format on a hop. The names are those of the outcomes in CONTRACT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The same trace, new parent; or the same members.
    Continued,
    /// Byte for byte.
    PassedThrough,
    /// Another trace, or another value.
    Restarted,
    /// It came in and did not go out.
    Dropped,
    /// It did not come in and went out.
    Started,
    /// Neither.
    Absent,
    /// Not readable.
    Unknown,
}

impl Status {
    /// Whether there was something, on either side, and it could be read.
    pub fn is_known(self) -> bool {
        !matches!(self, Self::Absent | Self::Unknown)
    }

    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continued => "continued",
            Self::PassedThrough => "passed_through",
            Self::Restarted => "restarted",
            Self::Dropped => "dropped",
            Self::Started => "started",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// What became of a format on a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// In a word.
    pub status: Status,
    /// Faults of the service between the two: not those of either value itself.
    pub faults: Vec<Fault>,
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which.
    pub rule: &'static Rule,
    /// What exactly, in the words of the rule: `zero_trace_id`.
    pub reason: Option<&'static str>,
    /// Whose, such as the key of a member; never a value that users may have put there.
    pub detail: Option<Cow<'static, str>>,
}

impl Fault {
    /// Whether it is the same fault, whatever it shows in.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.rule.name, self.reason) == (other.rule.name, other.reason)
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        (self.rule.name, self.reason, &self.detail) == (other.rule.name, other.reason, &other.detail)
    }
}

impl Eq for Fault {}
