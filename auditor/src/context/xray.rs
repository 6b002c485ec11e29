//! AWS X-Ray's format: `x-amzn-trace-id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
//!
//! <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>. Members come in any
//! order, and there may be others. `Root` is the trace; read without its dashes it is the id that other formats have.
//! `Self` belongs to the load balancer that the request passed last, `Parent` to the caller, so both change. A `Root` that
//! does not begin with `1-` is another vendor's (Honeycomb's libraries send their own ids there) and names no X-Ray trace.
//!
//! A load balancer adds a `Root` to every request that has none, and records nothing:
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html>. Such an id,
//! without a parent or a decision, is not missed by anybody. One of a trace that nobody is to record, which API Gateway,
//! App Runner and others give to most requests, is worth telling of, and no more.

use super::evidence::{Show, member_value};
use super::format::{Fields, Identity};
use super::hex::{hex64, hex128};
use super::identity::Named;
use super::trace::{Parsed, TraceFormat, first};
use crate::rule::{Rule, Severity};

const TRACE_ID: &str = "x-amzn-trace-id";

/// `x-amzn-trace-id`.
pub static XRAY: TraceFormat = TraceFormat {
    name: "xray",
    fields: &[TRACE_ID],
    parse,
    show: |_| Show::Members(b';', &["Root", "Parent", "Self", "Sampled", "Lineage"]),
    judge: |_, _| None,
    dropped: &DROPPED,
    rules: &[&DROPPED, &MALFORMED],
};

static DROPPED: Rule = Rule {
    name: "xray_dropped",
    severity: Severity::Warning,
    spec: "aws-xray §tracing-header",
    on_call: "{who} received an X-Ray trace in x-amzn-trace-id on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received x-amzn-trace-id with a parent or a sampling decision and made a call on its behalf \
              that does not carry it, neither in this format nor in another. The trace ends here. An id that only a \
              load balancer added is not missed, and of a trace that is not sampled it is information.",
    looks_like: "The service map ends at this service; what is behind it shows traces of its own.",
    causes: &[
        "No X-Ray SDK or ADOT, or none for the HTTP client that makes this call",
        "OpenTelemetry without the xray propagator, behind API Gateway, Lambda or an instrumented caller",
        "The context is lost between receiving and calling: thread pool, queue, callback, child process",
    ],
    fix: &[
        "OpenTelemetry: OTEL_PROPAGATORS=tracecontext,baggage,xray",
        "X-Ray SDK: wrap the HTTP client (captureHTTPsGlobal, patch_all, xray.Client)",
        "No tracing wanted: copy x-amzn-trace-id from the request to the calls that it causes",
    ],
};

static MALFORMED: Rule = Rule {
    name: "xray_malformed",
    severity: Severity::Error,
    spec: "aws-xray §tracing-header",
    on_call: "{who} sent a malformed {detail} ({reason}) on {call}",
    on_request: "{client} sent a malformed {detail} ({reason}) to {who} on {from}",
    meaning: "The Root of x-amzn-trace-id begins with 1- and goes on with something else than 8 and 24 hex digits with a \
              dash between them, or the Parent is not up to 16 hex digits; `reason` says which. Receivers start a new trace. Direction inbound: whoever sent it is \
              at fault, not the service that received it.",
    looks_like: "The trace breaks in front of the receiver, although a header was sent.",
    causes: &[
        "A W3C trace id of 32 digits put into Root without the dash after the 8th",
        "A hand-written generator: UUIDs, decimal times",
        "Another id of the application sent under this name",
    ],
    fix: &[
        "Let the X-Ray SDK or OpenTelemetry's xray propagator inject the header",
        "Split a W3C trace id after 8 digits: Root=1-{8 digits}-{24 digits}",
    ],
};

/// Whether what is told of a trace in this format is of one of X-Ray that nobody is to record: front ends give such an id to
/// whatever they pass on, to services without X-Ray as well.
pub fn is_unrecorded(format: &str, named: &[Named]) -> bool {
    format == XRAY.name && named.iter().any(|n| n.format == XRAY.name && n.identity.sampled == Some(false))
}

fn parse(head: Fields<'_>) -> Option<Parsed> {
    let value = first(head, TRACE_ID)?;
    let member = |key| value.split(|&byte| byte == b';').find_map(|member| member_value(member, key));
    let sampled = match member("Sampled") {
        Some(b"1") => Some(true),
        Some(b"0") => Some(false),
        // `?` asks for a decision in the response.
        _ => None,
    };
    let Some(root) = member("Root").and_then(|root| root.strip_prefix(b"1-")) else {
        return Some(Parsed { sampled, ..Parsed::default() });
    };
    let parent = member("Parent").filter(|parent| !parent.is_empty());
    let span_id = parent.map(hex64);
    let trace_id = match trace_id(root) {
        Ok(_) if span_id == Some(None) => return Some(Parsed::malformed(&MALFORMED, "parent", TRACE_ID)),
        Ok(trace_id) => trace_id,
        Err(reason) => return Some(Parsed::malformed(&MALFORMED, reason, TRACE_ID)),
    };
    let identity = Identity { trace_id, short: false, span_id: span_id.flatten(), sampled, debug: false };
    let provisioned = parent.is_none() && sampled.is_none();
    Some(Parsed { identity: Some(identity), sampled, provisioned, ..Parsed::default() })
}

/// `{8 hex digits}-{24 hex digits}`.
fn trace_id(root: &[u8]) -> Result<u128, &'static str> {
    let mut parts = root.split(|&byte| byte == b'-');
    let (Some(time), Some(random), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err("delimiter");
    };
    if (time.len(), random.len()) != (8, 24) {
        return Err("length");
    }
    let (Some(time), Some(random)) = (hex128(time), hex128(random)) else { return Err("non_hex") };
    match time << 96 | random {
        0 => Err("zero_trace_id"),
        id => Ok(id),
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Status;
    use super::super::testing::{read, reason, shown, status};
    use super::*;
    use proptest::prelude::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn reads_what_real_senders_write() {
        for (members, span_id, sampled) in [
            ("", None, None),
            (";Parent=53995c3f42cd8ad8;Sampled=1", Some(0x5399_5c3f_42cd_8ad8), Some(true)),
            ("; Parent=53995c3f42cd8ad8; Sampled=0", Some(0x5399_5c3f_42cd_8ad8), Some(false)),
            (";Sampled=?", None, None),
            (";Parent=;Sampled=1", None, Some(true)),
            (";Self=1-67891234-12456789abcdef012345678;CalledFrom=app", None, None),
            (
                ";Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0|68fd508a:5",
                Some(0x5399_5c3f_42cd_8ad8),
                Some(true),
            ),
        ] {
            let reading = read(&XRAY, &[("X-Amzn-Trace-Id", &format!("{ROOT}{members}"))]).unwrap();
            let identity = reading.identity.unwrap();
            assert_eq!(identity.trace_id, 0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793);
            assert_eq!((identity.span_id, identity.sampled, reading.faults), (span_id, sampled, vec![]), "{members}");
        }
        let fields = [(TRACE_ID, "Self=1-67891233-abcdef012345678912345678;Sampled=?;user=jane")];
        let other = read(&XRAY, &fields).unwrap();
        assert_eq!((other.identity, other.faults), (None, vec![]));
        assert_eq!(shown(&XRAY, &fields), "x-amzn-trace-id: Self=1-67891233-abcdef012345678912345678;Sampled=?…");
    }

    #[test]
    fn other_ids_are_not_x_rays() {
        for value in ["Root=;Parent=1", "Root=abcdef123456;Parent=0102030405;userID=1", "x"] {
            let reading = read(&XRAY, &[(TRACE_ID, value)]).unwrap();
            assert_eq!((reading.identity, reading.faults), (None, vec![]), "{value}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for (root, expected) in [
            ("Root=1-4bf92f3577b34da6a3ce929d0e0e4736", "delimiter"),
            ("Root=1-4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "delimiter"),
            ("Root=1-5759e988-bd862e3fe1be46a99427279", "length"),
            ("Root=1-5759e988-bd862e3fe1be46a99427279x", "non_hex"),
            ("Root=1-00000000-000000000000000000000000", "zero_trace_id"),
            ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=undefined", "parent"),
        ] {
            assert_eq!(reason(&XRAY, &[(TRACE_ID, root)]), Some(expected), "{root}");
        }
    }

    #[test]
    fn what_becomes_of_it() {
        let of = |received: &str, sent: &str| {
            let value = |members: &str| if members == "-" { String::new() } else { format!("{ROOT}{members}") };
            status(&XRAY, &[(TRACE_ID, &value(received))], &[(TRACE_ID, &value(sent))])
        };
        assert_eq!(of("", ""), Status::PassedThrough);
        assert_eq!(of(";Parent=1;Sampled=1", ";Parent=2;Sampled=1"), Status::Continued);
        assert_eq!(of(";Self=1-67891233-abcdef012345678912345678", ";Parent=2;Sampled=1"), Status::Continued);
        assert_eq!(of(";Parent=1;Sampled=1", "-"), Status::Dropped);
        assert_eq!(of(";Sampled=0", "-"), Status::Dropped);
        assert_eq!(of("-", ";Sampled=0"), Status::Started);
        // Added by a load balancer.
        assert_eq!(of("", "-"), Status::Absent);
        assert_eq!(of(";Self=1-67891233-abcdef012345678912345678", "-"), Status::Absent);
        let other = [(TRACE_ID, "Root=1-5759e988-000000000000000000000001;Sampled=1")];
        assert_eq!(status(&XRAY, &[(TRACE_ID, &format!("{ROOT};Sampled=1"))], &other), Status::Restarted);
        assert_eq!(status(&XRAY, &[(TRACE_ID, ROOT)], &other), Status::Started);
    }

    proptest! {
        #[test]
        fn ids_come_back(id in 1u128.., parent: u64) {
            let digits = format!("{id:032x}");
            let value = format!("Root=1-{}-{};Parent={parent:016x};Sampled=1", &digits[..8], &digits[8..]);
            let identity = read(&XRAY, &[(TRACE_ID, &value)]).unwrap().identity.unwrap();
            prop_assert_eq!((identity.trace_id, identity.span_id), (id, Some(parent)));
        }
    }
}
