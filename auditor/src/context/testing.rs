//! Heads for the tests of the formats.

use super::format::{Comparison, Fault, Fields, Format, Identity, Level, Reading, Status};
use crate::exchange::FieldLines;

/// Fields as they cross the socket.
pub(super) fn head(fields: &[(&str, &str)]) -> FieldLines {
    fields.iter().copied().collect()
}

/// What these fields are read as.
pub(super) fn read(format: &dyn Format, fields: &[(&str, &str)]) -> Option<Reading> {
    format.read(Fields(&head(fields)), Level::Two)
}

/// What of these fields is shown.
pub(super) fn shown(format: &dyn Format, fields: &[(&str, &str)]) -> String {
    format.evidence(Fields(&head(fields)))
}

/// Codes and reasons of what is wrong with a head that was not already so in the one that was received.
pub(super) fn beyond(sent: &Reading, received: Option<&Reading>) -> Vec<(&'static str, Option<&'static str>)> {
    let came = |fault: &Fault| received.is_some_and(|received| received.faults.iter().any(|f| f.is_like(fault)));
    names(&sent.faults.iter().filter(|fault| !came(fault)).cloned().collect::<Vec<_>>())
}

/// Reason of the one thing that is wrong with these fields.
pub(super) fn reason(format: &dyn Format, fields: &[(&str, &str)]) -> Option<&'static str> {
    let reading = read(format, fields)?;
    assert!(reading.faults.len() <= 1, "{:?}", reading.faults);
    reading.faults.first()?.reason
}

/// What became of these fields.
pub(super) fn compare(format: &dyn Format, received: &[(&str, &str)], sent: &[(&str, &str)]) -> Comparison {
    format.compare(Fields(&head(received)), Fields(&head(sent)), Level::Two)
}

/// The same in a word, where the service did nothing wrong.
pub(super) fn status(format: &dyn Format, received: &[(&str, &str)], sent: &[(&str, &str)]) -> Status {
    let Comparison { status, faults } = compare(format, received, sent);
    assert_eq!(faults, [], "{received:?} {sent:?}");
    status
}

/// A trace without more.
pub(super) fn identity(trace_id: u128) -> Identity {
    Identity { trace_id, short: false, span_id: None, sampled: None, debug: false }
}

/// Codes and reasons of faults.
pub(super) fn names(faults: &[Fault]) -> Vec<(&'static str, Option<&'static str>)> {
    faults.iter().map(|fault| (fault.rule.name, fault.reason)).collect()
}
