//! Datadog's format: `x-datadog-trace-id` and what goes with it.
//!
//! <https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/>. `x-datadog-trace-id` has the low 64
//! bits of the trace id in decimal; the high ones are the tag `_dd.p.tid` of `x-datadog-tags`, in hex, or unknown.
//! A trace id of 0 is how a tracer that is switched off says that there is no trace. Synthetic tests and browsers start
//! traces without a span of their own: parent 0, or none.

use super::evidence::{Show, member_value};
use super::format::{Fields, Identity};
use super::hex::{decimal, hex64};
use super::trace::{Parsed, TraceFormat, first};
use crate::rule::{Rule, Severity};

const TRACE_ID: &str = "x-datadog-trace-id";
const PARENT_ID: &str = "x-datadog-parent-id";
const PRIORITY: &str = "x-datadog-sampling-priority";
const TAGS: &str = "x-datadog-tags";
const ORIGIN: &str = "x-datadog-origin";
/// The tag with the high half of the trace id.
const HIGH: &str = "_dd.p.tid";

/// `x-datadog-*`.
pub static DATADOG: TraceFormat = TraceFormat {
    name: "datadog",
    fields: &[TRACE_ID, PARENT_ID, PRIORITY, TAGS, ORIGIN],
    parse,
    show: |name| match name {
        TAGS => Show::Members(b',', &[HIGH]),
        ORIGIN => Show::Name,
        _ => Show::Ids,
    },
    judge: |_, _| None,
    dropped: &DROPPED,
    rules: &[&DROPPED, &MALFORMED],
};

static DROPPED: Rule = Rule {
    name: "datadog_dropped",
    severity: Severity::Error,
    spec: "datadog §trace-context-propagation",
    on_call: "{who} received a Datadog trace on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received a request with x-datadog-trace-id and made a call on its behalf that does not \
              carry it, neither in this format nor in another. The trace ends here.",
    looks_like: "The trace ends at this service although downstream ran; downstream shows traces of its own.",
    causes: &[
        "No tracer, or no integration for the HTTP client that makes this call",
        "The tracer's injection style lacks datadog, or the integration is switched off for this client",
        "The context is lost between receiving and calling: thread pool, queue, callback, child process",
    ],
    fix: &[
        "Datadog: DD_TRACE_PROPAGATION_STYLE=datadog,tracecontext,baggage on both sides, and a supported HTTP client",
        "OpenTelemetry beside Datadog: let both use W3C Trace Context",
        "No tracing wanted: copy x-datadog-trace-id, -parent-id, -sampling-priority, -origin and -tags to the calls",
    ],
};

static MALFORMED: Rule = Rule {
    name: "datadog_malformed",
    severity: Severity::Error,
    spec: "datadog §trace-context-propagation",
    on_call: "{who} sent a malformed {detail} ({reason}) on {call}",
    on_request: "{client} sent a malformed {detail} ({reason}) to {who} on {from}",
    meaning: "Ids of Datadog's headers are decimal numbers of 64 bits, the priority is a whole number, and the tag \
              _dd.p.tid is 16 lower-case hex digits; `reason` says what is none. Receivers drop the context, or the high \
              half of the id. Direction inbound: whoever sent it is at fault, not the service that received it.",
    looks_like: "The trace breaks in front of the receiver; with _dd.p.tid, it does not meet the W3C part of itself.",
    causes: &[
        "Hex ids, as other formats have them, sent under Datadog's names",
        "A 128-bit id written as one decimal number",
        "Signed arithmetic: negative ids",
    ],
    fix: &[
        "Let a Datadog tracer inject the headers",
        "Send the low 64 bits as an unsigned decimal number, the high ones as _dd.p.tid in x-datadog-tags",
    ],
};

fn parse(head: Fields<'_>) -> Option<Parsed> {
    let field = |name| first(head, name);
    [TRACE_ID, PARENT_ID, PRIORITY].into_iter().find_map(field)?;
    let malformed = |reason, field| Some(Parsed::malformed(&MALFORMED, reason, field));
    let number = |name| field(name).map_or(Some(0), decimal);
    let Some(trace_id) = number(TRACE_ID) else { return malformed("not_decimal_64_bit", TRACE_ID) };
    let Some(parent_id) = number(PARENT_ID) else { return malformed("not_decimal_64_bit", PARENT_ID) };
    let sampled = match field(PRIORITY).map(priority) {
        Some(None) => return malformed("sampling_priority", PRIORITY),
        Some(Some(priority)) => Some(priority > 0),
        None => None,
    };
    if trace_id == 0 {
        return Some(Parsed { sampled, ..Parsed::default() });
    }
    let high = field(TAGS).and_then(|tags| tags.split(|&byte| byte == b',').find_map(|tag| member_value(tag, HIGH)));
    let high_half = high.and_then(high_half);
    // A tracer goes on with the low half then.
    let fault = if high.is_some() && high_half.is_none() { malformed("high_half", TAGS)?.fault } else { None };
    let identity = Identity {
        trace_id: u128::from(high_half.unwrap_or_default()) << 64 | u128::from(trace_id),
        short: high_half.is_none(),
        span_id: Some(parent_id).filter(|id| *id != 0),
        sampled,
        debug: false,
    };
    Some(Parsed { identity: Some(identity), sampled, fault, ..Parsed::default() })
}

/// -1 and 0: not sampled; 1 and 2: sampled. There may be others.
fn priority(value: &[u8]) -> Option<i32> {
    str::from_utf8(value).ok()?.parse().ok()
}

fn high_half(digits: &[u8]) -> Option<u64> {
    let lower = digits.len() == 16 && !digits.iter().any(u8::is_ascii_uppercase);
    hex64(digits).filter(|_| lower)
}

#[cfg(test)]
mod tests {
    use super::super::format::Status;
    use super::super::testing::{read, reason, shown, status};
    use super::*;
    use proptest::prelude::*;

    fn fields<'a>(trace: &'a str, parent: &'a str, priority: &'a str, tags: &'a str) -> [(&'static str, &'a str); 4] {
        [(TRACE_ID, trace), (PARENT_ID, parent), (PRIORITY, priority), (TAGS, tags)]
    }

    #[test]
    fn reads_what_real_senders_write() {
        let max = "18446744073709551615";
        for (fields, trace_id, short, span_id, sampled) in [
            (fields("7", "9", "1", ""), 7, true, Some(9), Some(true)),
            (fields("7", "9", "-1", "_dd.p.dm=-4"), 7, true, Some(9), Some(false)),
            (
                fields("7", "0", "2", "_dd.p.dm=-0,_dd.p.tid=640cfd8d00000000"),
                0x640c_fd8d_0000_0000_0000_0000_0000_0007,
                false,
                None,
                Some(true),
            ),
            (
                fields(max, max, "0", "_dd.p.tid=0000000000000000"),
                u128::from(u64::MAX),
                false,
                Some(u64::MAX),
                Some(false),
            ),
            (fields("0007", "", "", ""), 7, true, None, None),
        ] {
            let reading = read(&DATADOG, &fields).unwrap();
            let identity = reading.identity.unwrap();
            assert_eq!((identity.trace_id, identity.short), (trace_id, short), "{fields:?}");
            assert_eq!((identity.span_id, identity.sampled, reading.faults), (span_id, sampled, vec![]), "{fields:?}");
        }
        let off = read(&DATADOG, &fields("0", "0", "0", "")).unwrap();
        assert_eq!((off.identity, off.faults), (None, vec![]));
        assert_eq!(read(&DATADOG, &[(ORIGIN, "rum")]), None);
        let tagged = shown(
            &DATADOG,
            &[(TRACE_ID, "7"), (TAGS, "_dd.p.usr.id=amFuZQ==,_dd.p.tid=640cfd8d00000000"), (ORIGIN, "jane")],
        );
        assert_eq!(tagged, "x-datadog-trace-id: 7, x-datadog-tags: _dd.p.tid=640cfd8d00000000…, x-datadog-origin");
    }

    #[test]
    fn names_what_is_wrong() {
        for (fields, expected) in [
            (fields("4bf92f3577b34da6", "9", "1", ""), "not_decimal_64_bit"),
            (fields("-7", "9", "1", ""), "not_decimal_64_bit"),
            (fields("18446744073709551616", "9", "1", ""), "not_decimal_64_bit"),
            (fields("7", "f067aa0ba902b7", "1", ""), "not_decimal_64_bit"),
            (fields("7", "9", "keep", ""), "sampling_priority"),
            (fields("7", "9", "1", "_dd.p.tid=640CFD8D00000000"), "high_half"),
            (fields("7", "9", "1", "_dd.p.tid=640cfd8d"), "high_half"),
        ] {
            assert_eq!(reason(&DATADOG, &fields), Some(expected), "{fields:?}");
        }
    }

    #[test]
    fn what_becomes_of_it() {
        let (wide, other) = ("_dd.p.tid=640cfd8d00000000", "_dd.p.tid=640cfd8d00000001");
        let received = fields("7", "9", "1", wide);
        let of = |trace, tags| status(&DATADOG, &received, &fields(trace, "10", "2", tags));
        assert_eq!(status(&DATADOG, &received, &received), Status::PassedThrough);
        assert_eq!(of("7", wide), Status::Continued);
        // The high half is unknown, not another.
        assert_eq!(of("7", ""), Status::Continued);
        assert_eq!(of("7", other), Status::Restarted);
        assert_eq!(of("8", wide), Status::Restarted);
        assert_eq!(status(&DATADOG, &received, &[]), Status::Dropped);
        assert_eq!(of("0", ""), Status::Dropped);
        assert_eq!(status(&DATADOG, &[(TRACE_ID, "0")], &[]), Status::Absent);
        assert_eq!(status(&DATADOG, &[(TRACE_ID, "0")], &received), Status::Started);
        assert_eq!(of("x", ""), Status::Unknown);
    }

    proptest! {
        #[test]
        fn ids_come_back(low in 1u64.., high: u64, parent in 1u64.., priority in -1i32..3) {
            let tags = format!("_dd.p.dm=-1,_dd.p.tid={high:016x}");
            let reading = read(&DATADOG, &fields(&low.to_string(), &parent.to_string(), &priority.to_string(), &tags));
            let identity = reading.unwrap().identity.unwrap();
            prop_assert_eq!(identity.trace_id, u128::from(high) << 64 | u128::from(low));
            prop_assert_eq!((identity.span_id, identity.sampled), (Some(parent), Some(priority > 0)));
        }
    }
}
