//! Google Cloud's format: `x-cloud-trace-context: TRACE_ID/SPAN_ID;o=OPTIONS`.
//!
//! <https://cloud.google.com/trace/docs/trace-context#http-requests>. The trace id is 32 hex digits, the span id a decimal
//! number of 64 bits, 0 for none, bit 0 of the options the sampling decision. Span and options may be left out. OpenCensus
//! for Python wrote the span in hex; that is let pass.
//!
//! Google's front ends add one to every request that has none. Only with `o=1` do they record something; without, the id
//! is not missed by anybody.

use super::evidence::Show;
use super::format::{Fields, Identity};
use super::hex::{decimal, hex64, hex128};
use super::trace::{Parsed, TraceFormat, first};
use crate::rule::{Rule, Severity};

const CONTEXT: &str = "x-cloud-trace-context";

/// `x-cloud-trace-context`.
pub static GOOGLE: TraceFormat = TraceFormat {
    name: "google",
    fields: &[CONTEXT],
    parse,
    show: |_| Show::Ids,
    judge: |_, _| None,
    dropped: &DROPPED,
    rules: &[&DROPPED, &MALFORMED],
};

static DROPPED: Rule = Rule {
    name: "google_dropped",
    severity: Severity::Warning,
    spec: "google-cloud-trace §http-requests",
    on_call: "{who} received a sampled x-cloud-trace-context on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received x-cloud-trace-context of a trace that is recorded (o=1) and made a call on its \
              behalf that does not carry it, neither in this format nor in another. The trace ends here. An id that a \
              front end of Google's added without recording anything is not missed.",
    looks_like: "The trace has the load balancer's or Cloud Run's span and this service, and nothing behind it.",
    causes: &[
        "No instrumentation, or none for the HTTP client that makes this call",
        "OpenTelemetry without a propagator that reads x-cloud-trace-context, where no traceparent comes with it",
        "The context is lost between receiving and calling: thread pool, queue, callback, child process",
    ],
    fix: &[
        "OpenTelemetry: add the Google Cloud propagator (Java: OTEL_PROPAGATORS=tracecontext,baggage,oneway-gcp)",
        "No tracing wanted: copy traceparent and x-cloud-trace-context from the request to the calls that it causes",
    ],
};

static MALFORMED: Rule = Rule {
    name: "google_malformed",
    severity: Severity::Error,
    spec: "google-cloud-trace §http-requests",
    on_call: "{who} sent a malformed {detail} ({reason}) on {call}",
    on_request: "{client} sent a malformed {detail} ({reason}) to {who} on {from}",
    meaning: "An x-cloud-trace-context whose trace id is not 32 hex digits, whose span id is not a number of 64 bits, \
              or whose options are no number; `reason` says which. Receivers start a new trace. Direction \
              inbound: whoever sent it is at fault, not the service that received it.",
    looks_like: "The trace breaks in front of the receiver, although a header was sent.",
    causes: &[
        "A variable that was never set is sent as text: undefined, null, None",
        "A UUID with dashes as the trace id",
        "A traceparent sent under this name",
    ],
    fix: &[
        "Let OpenTelemetry's Google Cloud propagator inject the header",
        "Move to traceparent: Google Cloud reads both",
    ],
};

fn parse(head: Fields<'_>) -> Option<Parsed> {
    Some(match trace(first(head, CONTEXT)?) {
        Ok(identity) => Parsed {
            identity: Some(identity),
            sampled: identity.sampled,
            provisioned: identity.sampled != Some(true),
            ..Parsed::default()
        },
        Err(reason) => Parsed::malformed(&MALFORMED, reason, CONTEXT),
    })
}

fn trace(value: &[u8]) -> Result<Identity, &'static str> {
    let (ids, options) = split(value, b';');
    let (trace_id, span_id) = split(ids, b'/');
    if trace_id.len() != 32 {
        return Err("length");
    }
    let trace_id = hex128(trace_id).ok_or("non_hex")?;
    if trace_id == 0 {
        return Err("zero_trace_id");
    }
    let span_id = match span_id.unwrap_or_default() {
        b"" => None,
        digits => match decimal(digits) {
            None if hex64(digits).is_none() => return Err("span_id"),
            number => number.filter(|id| *id != 0),
        },
    };
    let options = match options.unwrap_or_default().trim_ascii() {
        b"" => None,
        options => Some(options.strip_prefix(b"o=").and_then(decimal).ok_or("options")?),
    };
    Ok(Identity { trace_id, short: false, span_id, sampled: options.map(|bits| bits & 1 != 0), debug: false })
}

/// What is before this byte, and what is behind it where there is one.
fn split(value: &[u8], delimiter: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = value.splitn(2, |&byte| byte == delimiter);
    (parts.next().unwrap_or_default(), parts.next())
}

#[cfg(test)]
mod tests {
    use super::super::format::Status;
    use super::super::testing::{read, reason, status};
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "105445aa7843bc8bf206b12000100000";

    #[test]
    fn reads_what_real_senders_write() {
        for (rest, span_id, sampled) in [
            ("", None, None),
            ("/1", Some(1), None),
            ("/18446744073709551615;o=1", Some(u64::MAX), Some(true)),
            ("/0;o=0", None, Some(false)),
            ("/1;o=3", Some(1), Some(true)),
            ("/1; o=1", Some(1), Some(true)),
            ("/1;", Some(1), None),
            ("/", None, None),
            ("/14a650d3b8b5ddde;o=1", None, Some(true)),
            (";o=1", None, Some(true)),
        ] {
            let reading = read(&GOOGLE, &[("X-Cloud-Trace-Context", &format!("{TRACE}{rest}"))]).unwrap();
            let identity = reading.identity.unwrap();
            assert_eq!(identity.trace_id, 0x1054_45aa_7843_bc8b_f206_b120_0010_0000);
            assert_eq!((identity.span_id, identity.sampled, reading.faults), (span_id, sampled, vec![]), "{rest}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for (value, expected) in [
            ("105445aa-7843-bc8b-f206-b12000100000/1;o=1", "length"),
            ("00-105445aa7843bc8bf206b12000100000-0000000000000001-01", "length"),
            ("105445aa7843bc8bf206b1200010000x/1", "non_hex"),
            ("00000000000000000000000000000000/1", "zero_trace_id"),
            ("105445aa7843bc8bf206b12000100000/undefined", "span_id"),
            ("105445aa7843bc8bf206b12000100000/18446744073709551616", "span_id"),
            ("105445aa7843bc8bf206b12000100000/1;o=true", "options"),
            ("105445aa7843bc8bf206b12000100000/1;x", "options"),
        ] {
            assert_eq!(reason(&GOOGLE, &[(CONTEXT, value)]), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_becomes_of_it() {
        let of = |received: &str, sent: &str| {
            let value = |rest: &str| if rest == "-" { String::new() } else { format!("{TRACE}{rest}") };
            status(&GOOGLE, &[(CONTEXT, &value(received))], &[(CONTEXT, &value(sent))])
        };
        assert_eq!(of("/1;o=1", "/1;o=1"), Status::PassedThrough);
        assert_eq!(of("/1;o=1", "/2;o=1"), Status::Continued);
        assert_eq!(of("/1;o=1", "-"), Status::Dropped);
        assert_eq!(of("-", "/1;o=1"), Status::Started);
        // Added by a front end that records nothing.
        for unrecorded in ["/1", "", "/1;o=0"] {
            assert_eq!(of(unrecorded, "-"), Status::Absent);
        }
        let other = [(CONTEXT, "00000000000000000000000000000001/1;o=1")];
        assert_eq!(status(&GOOGLE, &[(CONTEXT, &format!("{TRACE}/1;o=1"))], &other), Status::Restarted);
    }

    proptest! {
        #[test]
        fn ids_come_back(trace_id in 1u128.., span_id in 1u64.., options in 0u8..4) {
            let identity = trace(format!("{trace_id:032x}/{span_id};o={options}").as_bytes()).unwrap();
            prop_assert_eq!((identity.trace_id, identity.span_id), (trace_id, Some(span_id)));
            prop_assert_eq!(identity.sampled, Some(options & 1 != 0));
        }
    }
}
