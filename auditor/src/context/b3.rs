//! B3, the format of Zipkin, in both of its encodings: `x-b3-traceid` and its like, and `b3`.
//!
//! <https://github.com/openzipkin/b3-propagation>. They are one format: whoever reads B3 reads both, so a service that
//! received the one and sends the other has lost nothing. Where both are there, the single header counts.
//!
//! More lenient than the text, for what real senders do: ids without leading zeroes (old Jaeger clients), `true` and
//! `false`, other values of `x-b3-flags` (Finagle's bits).

mod rules;
#[cfg(test)]
mod tests;

use super::agreement::MISMATCH;
use super::evidence::Show;
use super::format::{Fault, Fields, Identity};
use super::hex::hex128;
use super::trace::{Parsed, TraceFormat, first};
use rules::{DEBUG_LOST, DROPPED, MALFORMED, SAMPLING_CHANGED};

const SINGLE: &str = "b3";
const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const PARENT_SPAN_ID: &str = "x-b3-parentspanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// B3 in both encodings.
pub static B3: TraceFormat = TraceFormat {
    name: "b3",
    fields: &[SINGLE, TRACE_ID, SPAN_ID, PARENT_SPAN_ID, SAMPLED, FLAGS],
    parse,
    show: |_| Show::Ids,
    judge,
    dropped: &DROPPED,
    rules: &[&DROPPED, &MALFORMED, &SAMPLING_CHANGED, &DEBUG_LOST],
};

fn parse(head: Fields<'_>) -> Option<Parsed> {
    let single = first(head, SINGLE).map(|value| single(value).unwrap_or_else(|reason| malformed(reason, SINGLE)));
    let multiple = multiple(head);
    let (Some(single), Some(multiple)) = (&single, &multiple) else { return single.or(multiple) };
    let disagree = match (&single.identity, &multiple.identity) {
        (Some(single), Some(multiple)) => !single.same_trace(multiple),
        _ => false,
    };
    let mismatch = Fault { rule: &MISMATCH, reason: None, detail: Some("b3 and x-b3-traceid".into()) };
    let fault = single.fault.as_ref().or(multiple.fault.as_ref()).or(disagree.then_some(&mismatch));
    let sampled = single.sampled.or(multiple.sampled);
    let debug = single.debug || multiple.debug;
    let identity = single.identity.or(multiple.identity).map(|identity| Identity { sampled, debug, ..identity });
    Some(Parsed { identity, sampled, debug, fault: fault.cloned(), ..Parsed::default() })
}

/// `{trace-id}-{span-id}[-{decision}][-{parent-span-id}]`, or a decision alone.
fn single(value: &[u8]) -> Result<Parsed, &'static str> {
    if let Some((sampled, debug)) = decision(value) {
        return Ok(Parsed { sampled: Some(sampled), debug, ..Parsed::default() });
    }
    let mut parts = value.split(|&byte| byte == b'-');
    let trace_id = parts.next().unwrap_or_default();
    let span_id = parts.next().map(|digits| id(digits, 16, "zero_span_id")).transpose()?;
    let mut next = parts.next();
    let mut made = None;
    // Brave leaves a decision out that is not made yet, and writes the parent in its place.
    if let Some(part) = next.filter(|part| part.len() < 2) {
        made = Some(decision(part).ok_or("sampling_state")?);
        next = parts.next();
    }
    if next.is_some_and(|parent| hex128(parent).is_none() || parent.len() > 16) {
        return Err("parent_span_id");
    }
    if parts.next().is_some() {
        return Err("trailing_data");
    }
    let trace = id(trace_id, 32, "zero_trace_id")?;
    let identity = identity(trace, trace_id.len(), Some(span_id.ok_or("missing_span_id")?), made);
    Ok(Parsed { identity: Some(identity), sampled: identity.sampled, debug: identity.debug, ..Parsed::default() })
}

fn multiple(head: Fields<'_>) -> Option<Parsed> {
    let field = |name| first(head, name);
    [TRACE_ID, SPAN_ID, SAMPLED, FLAGS].into_iter().find_map(field)?;
    let made = if field(FLAGS) == Some(b"1") { Some((true, true)) } else { None };
    let made = match (made, field(SAMPLED)) {
        (None, Some(value)) => match decision(value).or_else(|| keyword(value)) {
            None => return Some(malformed("sampling_state", SAMPLED)),
            made => made,
        },
        (made, _) => made,
    };
    let (sampled, debug) = (made.map(|(sampled, _)| sampled), made.is_some_and(|(_, debug)| debug));
    let Some(trace_id) = field(TRACE_ID) else {
        return Some(match field(SPAN_ID) {
            Some(_) => malformed("missing_trace_id", TRACE_ID),
            None => Parsed { sampled, debug, ..Parsed::default() },
        });
    };
    let trace = match id(trace_id, 32, "zero_trace_id") {
        Ok(trace) => trace,
        Err(reason) => return Some(malformed(reason, TRACE_ID)),
    };
    let span_id = match field(SPAN_ID).map(|digits| id(digits, 16, "zero_span_id")).transpose() {
        Ok(span_id) => span_id,
        Err(reason) => return Some(malformed(reason, SPAN_ID)),
    };
    // A root may have a parent of zeroes: Istio and Jaeger send that.
    if field(PARENT_SPAN_ID).is_some_and(|parent| hex128(parent).is_none() || parent.len() > 16) {
        return Some(malformed("parent_span_id", PARENT_SPAN_ID));
    }
    // Brave goes on with the trace nevertheless, OpenTelemetry does not.
    let fault = if span_id.is_none() { malformed("missing_span_id", SPAN_ID).fault } else { None };
    let identity = Some(identity(trace, trace_id.len(), span_id, made));
    Some(Parsed { identity, sampled, debug, fault, ..Parsed::default() })
}

fn malformed(reason: &'static str, field: &'static str) -> Parsed {
    Parsed::malformed(&MALFORMED, reason, field)
}

fn identity(trace_id: u128, digits: usize, span_id: Option<u128>, made: Option<(bool, bool)>) -> Identity {
    Identity {
        trace_id,
        short: digits <= 16,
        span_id: span_id.and_then(|id| u64::try_from(id).ok()),
        sampled: made.map(|(sampled, _)| sampled),
        debug: made.is_some_and(|(_, debug)| debug),
    }
}

/// Whether to sample, and whether somebody asked for this request.
fn decision(state: &[u8]) -> Option<(bool, bool)> {
    match state {
        b"0" => Some((false, false)),
        b"1" => Some((true, false)),
        b"d" => Some((true, true)),
        _ => None,
    }
}

/// As tracers sent it before there was a specification.
fn keyword(state: &[u8]) -> Option<(bool, bool)> {
    let is = |word: &[u8]| state.eq_ignore_ascii_case(word);
    (is(b"true") || is(b"false")).then(|| (is(b"true"), false))
}

fn id(digits: &[u8], longest: usize, zero: &'static str) -> Result<u128, &'static str> {
    if digits.is_empty() || digits.len() > longest {
        return Err("length");
    }
    let id = hex128(digits).ok_or("non_hex")?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return Err("uppercase_hex");
    }
    if id == 0 { Err(zero) } else { Ok(id) }
}

/// A decision is made once for a trace, and every service sends it on.
fn judge(received: &Parsed, sent: &Parsed) -> Option<Fault> {
    let same = match (&received.identity, &sent.identity) {
        (Some(received), Some(sent)) => received.same_trace(sent),
        // It came without a trace, for the one that the service would start.
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if !same {
        return None;
    }
    if received.debug && !sent.debug {
        return Some(Fault { rule: &DEBUG_LOST, reason: None, detail: None });
    }
    let reason = match (received.sampled?, sent.sampled) {
        (true, Some(false)) => "accept_to_deny",
        (false, Some(true)) => "deny_to_accept",
        (true, None) => "accept_lost",
        (false, None) => "deny_lost",
        _ => return None,
    };
    Some(Fault { rule: &SAMPLING_CHANGED, reason: Some(reason), detail: None })
}
