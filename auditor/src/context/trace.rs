//! What the formats have in common that name a trace in a header of their own.

use super::evidence::{Show, evidence};
use super::format::{Cargo, Comparison, Fault, Fields, Format, Identity, Level, Reading, Status};
use crate::rule::Rule;

/// A format in the parts in which one differs from another.
#[derive(Debug)]
pub struct TraceFormat {
    pub(super) name: &'static str,
    pub(super) fields: &'static [&'static str],
    /// What a head carries; `None`: nothing.
    pub(super) parse: fn(Fields<'_>) -> Option<Parsed>,
    /// How much of a field may be shown.
    pub(super) show: fn(&str) -> Show,
    /// What a service did to the decision on its way; asked only where both heads can be read.
    pub(super) judge: fn(&Parsed, &Parsed) -> Option<Fault>,
    pub(super) dropped: &'static Rule,
    pub(super) rules: &'static [&'static Rule],
}

/// What a head carries in a format.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The trace, where one is named.
    pub(super) identity: Option<Identity>,
    /// The sampling decision; it may come without a trace.
    pub(super) sampled: Option<bool>,
    /// Sampled because somebody asked for this very request.
    pub(super) debug: bool,
    /// The id is one that a load balancer gives to every request. Nothing is recorded under it yet, so it may end anywhere.
    pub(super) provisioned: bool,
    /// What is wrong with the value. Without an identity beside it, nobody can make sense of it.
    pub(super) fault: Option<Fault>,
}

impl Parsed {
    /// A value that does not follow the grammar: which rule says so, how it fails, and in which field.
    pub(super) fn malformed(rule: &'static Rule, reason: &'static str, field: &'static str) -> Self {
        let fault = Fault { rule, reason: Some(reason), detail: Some(field.into()) };
        Self { fault: Some(fault), ..Self::default() }
    }

    fn unreadable(&self) -> bool {
        self.identity.is_none() && self.fault.is_some()
    }
}

/// The value of a field; of several the first counts. An empty one says nothing.
pub(super) fn first<'a>(head: Fields<'a>, name: &str) -> Option<&'a [u8]> {
    head.values(name).find(|value| !value.is_empty())
}

impl Format for TraceFormat {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cargo(&self) -> Cargo {
        Cargo::Trace
    }

    fn fields(&self) -> &'static [&'static str] {
        self.fields
    }

    fn read(&self, head: Fields<'_>, _: Level) -> Option<Reading> {
        let parsed = (self.parse)(head)?;
        let faults = parsed.fault.into_iter().collect();
        let denied = parsed.identity.is_none() && parsed.sampled == Some(false);
        Some(Reading { identity: parsed.identity, faults, denied })
    }

    fn evidence(&self, head: Fields<'_>) -> String {
        evidence(head, self.fields, self.show)
    }

    fn compare(&self, received: Fields<'_>, sent: Fields<'_>, _: Level) -> Comparison {
        if self.fields.iter().all(|name| first(received, name) == first(sent, name)) {
            let carried = self.fields.iter().any(|name| first(sent, name).is_some());
            let status = if carried { Status::PassedThrough } else { Status::Absent };
            return Comparison { status, faults: Vec::new() };
        }
        let received = (self.parse)(received).unwrap_or_default();
        let sent = (self.parse)(sent).unwrap_or_default();
        let status = status(&received, &sent);
        let judged = if status == Status::Unknown { None } else { (self.judge)(&received, &sent) };
        Comparison { status, faults: judged.into_iter().collect() }
    }

    fn dropped(&self) -> Option<&'static Rule> {
        Some(self.dropped)
    }

    fn rules(&self) -> &'static [&'static Rule] {
        self.rules
    }
}

fn status(received: &Parsed, sent: &Parsed) -> Status {
    if received.unreadable() || sent.unreadable() {
        return Status::Unknown;
    }
    match (&received.identity, &sent.identity) {
        (None, None) => Status::Absent,
        (None, Some(_)) => Status::Started,
        (Some(received), Some(sent)) if received.same_trace(sent) => Status::Continued,
        (Some(_), Some(_)) if received.provisioned => Status::Started,
        (Some(_), None) if received.provisioned => Status::Absent,
        (Some(_), Some(_)) => Status::Restarted,
        // Of a trace that nobody records it is enough to say so.
        (Some(_), None) if sent.sampled == Some(false) && received.sampled != Some(true) => Status::Continued,
        (Some(_), None) => Status::Dropped,
    }
}
