//! Jaeger's own format: `uber-trace-id: {trace-id}:{span-id}:{parent-span-id}:{flags}`.
//!
//! <https://www.jaegertracing.io/docs/1.21/client-libraries/#propagation-format>. Ids are hex without leading zeroes or
//! with them. Some clients percent-encode the colons. The parent is out of use; receivers do not look at it.
//! `jaeger-debug-id` asks for a trace and names none. `jaeger-baggage` goes with it and is for the service that
//! receives it. `uberctx-*` is baggage and has its own place, [`super::baggage`].

use super::evidence::Show;
use super::format::{Fields, Identity};
use super::hex::{hex64, hex128};
use super::trace::{Parsed, TraceFormat, first};
use crate::rule::{Rule, Severity};

const TRACE_ID: &str = "uber-trace-id";
const DEBUG_ID: &str = "jaeger-debug-id";

/// `uber-trace-id`.
pub static JAEGER: TraceFormat = TraceFormat {
    name: "jaeger",
    fields: &[TRACE_ID, DEBUG_ID],
    parse,
    show: |name| if name == TRACE_ID { Show::Ids } else { Show::Name },
    judge: |_, _| None,
    dropped: &DROPPED,
    rules: &[&DROPPED, &MALFORMED],
};

static DROPPED: Rule = Rule {
    name: "jaeger_dropped",
    severity: Severity::Error,
    spec: "jaeger-client-libraries §propagation-format",
    on_call: "{who} received uber-trace-id on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received a request with a valid uber-trace-id and made a call on its behalf that does not \
              carry it, neither in this format nor in another. The trace ends here.",
    looks_like: "The trace ends at this service although downstream ran; downstream shows traces of its own.",
    causes: &[
        "No instrumentation, or none for the HTTP client that makes this call",
        "A service that was moved to OpenTelemetry, whose default propagators do not read uber-trace-id",
        "The context is lost between receiving and calling: thread pool, queue, callback, child process",
    ],
    fix: &[
        "OpenTelemetry: OTEL_PROPAGATORS=tracecontext,baggage,jaeger while the callers still send uber-trace-id",
        "Move the callers to W3C Trace Context: Jaeger's clients are out of support",
        "No tracing wanted: copy uber-trace-id from the request to the calls that it causes",
    ],
};

static MALFORMED: Rule = Rule {
    name: "jaeger_malformed",
    severity: Severity::Error,
    spec: "jaeger-client-libraries §propagation-format",
    on_call: "{who} sent a malformed {detail} ({reason}) on {call}",
    on_request: "{client} sent a malformed {detail} ({reason}) to {who} on {from}",
    meaning: "An uber-trace-id that is not four parts with colons between them, or whose ids or flags are not hex or \
              zero; `reason` says which. Receivers ignore it and start a new trace. Direction inbound: whoever sent it \
              is at fault, not the service that received it.",
    looks_like: "The trace breaks in front of the receiver, although a header was sent.",
    causes: &[
        "A traceparent or B3 value, with dashes, sent under this name",
        "A hand-written generator: decimal ids, UUIDs with dashes, missing flags",
        "The value is percent-encoded twice",
    ],
    fix: &["Let a tracing library inject the header", "Send {trace-id}:{span-id}:0:{flags} with ids in hex"],
};

fn parse(head: Fields<'_>) -> Option<Parsed> {
    let Some(value) = first(head, TRACE_ID) else {
        return first(head, DEBUG_ID).map(|_| Parsed { sampled: Some(true), debug: true, ..Parsed::default() });
    };
    Some(match trace(value) {
        Ok(identity) => {
            Parsed { identity: Some(identity), sampled: identity.sampled, debug: identity.debug, ..Parsed::default() }
        }
        Err(reason) => Parsed::malformed(&MALFORMED, reason, TRACE_ID),
    })
}

fn trace(value: &[u8]) -> Result<Identity, &'static str> {
    let (trace_id, rest) = split(value).ok_or("delimiter")?;
    let (span_id, rest) = split(rest).ok_or("delimiter")?;
    let (_parent, flags) = split(rest).ok_or("delimiter")?;
    if split(flags).is_some() {
        return Err("trailing_data");
    }
    let digits = trace_id.len();
    let trace_id = hex128(trace_id).ok_or("trace_id")?;
    let span_id = hex64(span_id).ok_or("span_id")?;
    let flags = hex64(flags).ok_or("flags")?;
    if trace_id == 0 {
        return Err("zero_trace_id");
    }
    if span_id == 0 {
        return Err("zero_span_id");
    }
    Ok(Identity {
        trace_id,
        short: digits <= 16,
        span_id: Some(span_id),
        sampled: Some(flags & 1 != 0),
        debug: flags & 2 != 0,
    })
}

/// Splits at a colon, plain or percent-encoded.
fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (part, rest) = value.split_at_checked(value.iter().position(|byte| b":%".contains(byte))?)?;
    let rest = [&b":"[..], b"%3A", b"%3a"].iter().find_map(|colon| rest.strip_prefix(*colon))?;
    Some((part, rest))
}

#[cfg(test)]
mod tests {
    use super::super::format::Status;
    use super::super::testing::{read, reason, shown, status};
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:1";

    #[test]
    fn reads_what_real_senders_write() {
        for (value, trace_id, short, sampled, debug) in [
            (GOOD, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, false, true, false),
            ("5f0c:1:0:00", 0x5f0c, true, false, false),
            ("0000000000005F0C:1:2:03", 0x5f0c, true, true, true),
            ("5f0c%3A1%3a2%3A1", 0x5f0c, true, true, false),
            ("5f0c:1::d", 0x5f0c, true, true, false),
            ("00000000000000000000000000005f0c:1:0:1", 0x5f0c, false, true, false),
        ] {
            let reading = read(&JAEGER, &[("Uber-Trace-Id", value)]).unwrap();
            let identity = reading.identity.unwrap();
            assert_eq!((identity.trace_id, identity.short), (trace_id, short), "{value}");
            assert_eq!((identity.sampled, identity.debug, reading.faults), (Some(sampled), debug, vec![]), "{value}");
        }
        let debug = [("jaeger-debug-id", "jane")];
        assert_eq!(shown(&JAEGER, &debug), "jaeger-debug-id");
        let debug = read(&JAEGER, &debug).unwrap();
        assert_eq!((debug.identity, debug.faults), (None, vec![]));
        assert_eq!(read(&JAEGER, &[("uberctx-user", "jane")]), None);
    }

    #[test]
    fn names_what_is_wrong() {
        for (value, expected) in [
            ("undefined", "delimiter"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "delimiter"),
            ("5f0c:1:1", "delimiter"),
            ("5f0c%253A1%253A0%253A1", "delimiter"),
            ("5f0c:1:0:1:1", "trailing_data"),
            ("5f0cx:1:0:1", "trace_id"),
            ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736:1:0:1", "trace_id"),
            ("5f0c::0:1", "span_id"),
            ("5f0c:1:0:", "flags"),
            ("0:1:0:1", "zero_trace_id"),
            ("1:0:0:1", "zero_span_id"),
        ] {
            assert_eq!(reason(&JAEGER, &[("uber-trace-id", value)]), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_becomes_of_it() {
        let of = |received, sent| status(&JAEGER, &[("uber-trace-id", received)], &[("uber-trace-id", sent)]);
        assert_eq!(of(GOOD, GOOD), Status::PassedThrough);
        assert_eq!(of(GOOD, "4bf92f3577b34da6a3ce929d0e0e4736:2:1:1"), Status::Continued);
        assert_eq!(of("5f0c:1:0:1", "0000000000005f0c%3A2%3A1%3A0"), Status::Continued);
        assert_eq!(of(GOOD, "5f0c:1:0:1"), Status::Restarted);
        assert_eq!(of(GOOD, ""), Status::Dropped);
        assert_eq!(of("", GOOD), Status::Started);
        assert_eq!(of("x", GOOD), Status::Unknown);
        assert_eq!(of("x", ""), Status::Unknown);
        assert_eq!(status(&JAEGER, &[("jaeger-debug-id", "jane")], &[]), Status::Absent);
    }

    proptest! {
        #[test]
        fn ids_come_back(trace_id in 1u128.., span_id in 1u64.., flags: u8, encoded: bool) {
            let colon = if encoded { "%3A" } else { ":" };
            let value = format!("{trace_id:x}{colon}{span_id:x}{colon}0{colon}{flags:x}");
            let identity = trace(value.as_bytes()).unwrap();
            prop_assert_eq!((identity.trace_id, identity.span_id), (trace_id, Some(span_id)));
            prop_assert_eq!((identity.sampled, identity.debug), (Some(flags & 1 != 0), flags & 2 != 0));
        }
    }
}
