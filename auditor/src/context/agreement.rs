//! Whether the formats of one head name one trace.

use super::format::Fault;
use super::identity::Named;
use crate::rule::{Rule, Severity};

/// Two formats of one call name different traces.
pub static MISMATCH: Rule = Rule {
    name: "trace_id_mismatch_across_formats",
    severity: Severity::Error,
    spec: "opentelemetry §composite-propagator",
    on_call: "{who} sent two traces on {call}: {detail} disagree",
    on_request: "{client} sent two traces to {who} on {from}: {detail} disagree",
    meaning: "A request carries its trace in more than one format, and the formats name different traces. Which one is \
              continued depends on the receiver, so one user action falls into two traces, or some services are in the \
              one and some in the other. Where one format has 64 bits of the id, only these are compared. A service \
              that passes on what it received is not at fault, and neither is a load balancer that adds an id of its \
              own in X-Amzn-Trace-Id or X-Cloud-Trace-Context.",
    looks_like: "Two traces of one request: some downstream services are found in the one, some in the other.",
    causes: &[
        "Two tracers in one process, such as a vendor's agent and OpenTelemetry, each with a format of its own",
        "One format is continued by a library while the headers of another are copied by hand, and the library restarted",
        "A gateway restarts the trace in one format and lets the other pass",
    ],
    fix: &[
        "Run one tracer and let it inject all formats: OTEL_PROPAGATORS=tracecontext,baggage,b3",
        "Do not copy trace headers by hand in a service that is instrumented",
        "A gateway that restarts traces: remove the headers of every other format",
    ],
};

/// Formats whose ids load balancers make up for every request, whatever it carries in another format.
const OF_LOAD_BALANCERS: [&str; 2] = ["xray", "google"];

/// Whether an id in this format may be a load balancer's.
pub fn is_of_load_balancers(format: &str) -> bool {
    OF_LOAD_BALANCERS.contains(&format)
}

/// Two formats of a head that name different traces; whoever sent it is at fault.
pub fn disagreement(head: &[Named]) -> Option<Fault> {
    disagreeing(head, |a, b| ![a, b].iter().any(|named| is_of_load_balancers(named.format)))
}

/// Two formats of a call that name different traces through the fault of the service that sent it: of a disagreement
/// that it received it is innocent.
pub fn introduced(received: &[Named], sent: &[Named]) -> Option<Fault> {
    let came = |named: &Named| received.iter().any(|r| r.identity.same_trace(&named.identity));
    // A load balancer's id is part of the trace only if it was when it came.
    let of = |format| received.iter().find(move |r| r.format == format);
    let agreed = |a: &Named, b: &Named| match (of(a.format), of(b.format)) {
        (Some(a), Some(b)) => a.identity.same_trace(&b.identity),
        _ => false,
    };
    let independent = |a: &Named, b: &Named| [a, b].iter().any(|named| is_of_load_balancers(named.format));
    disagreeing(sent, |a, b| !(came(a) && came(b)) && (!independent(a, b) || agreed(a, b)))
}

fn disagreeing(head: &[Named], counts: impl Fn(&Named, &Named) -> bool) -> Option<Fault> {
    let mut pairs = head.iter().enumerate().flat_map(|(at, a)| head.iter().skip(at + 1).map(move |b| (a, b)));
    let (a, b) = pairs.find(|(a, b)| !a.identity.same_trace(&b.identity) && counts(a, b))?;
    Some(Fault { rule: &MISMATCH, reason: None, detail: Some(format!("{} and {}", a.format, b.format).into()) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::identity;
    use super::*;

    const A: u128 = 7 << 64 | 1;
    const B: u128 = 8 << 64 | 2;

    fn head(ids: &[(&'static str, u128)]) -> Vec<Named> {
        ids.iter().map(|&(format, id)| Named { format, identity: identity(id) }).collect()
    }

    #[test]
    fn formats_of_a_head_agree() {
        let fault = disagreement(&head(&[("w3c", A), ("jaeger", A), ("b3", B)])).unwrap();
        assert_eq!(fault.rule.name, "trace_id_mismatch_across_formats");
        assert_eq!(fault.detail.as_deref(), Some("w3c and b3"));
        for legal in [
            &[][..],
            &[("w3c", A)],
            &[("w3c", A), ("b3", A)],
            // A tracer of 64 bits.
            &[("w3c", A), ("datadog", 1)],
            &[("w3c", 1), ("b3", 1)],
            // Load balancers make up ids of their own.
            &[("w3c", A), ("xray", B)],
            &[("google", A), ("b3", B)],
        ] {
            assert_eq!(disagreement(&head(legal)), None, "{legal:?}");
        }
        let mut cut = head(&[("w3c", A), ("datadog", 1)]);
        cut[1].identity.short = true;
        assert_eq!(disagreement(&cut), None);
    }

    #[test]
    fn whoever_brings_the_second_trace_is_at_fault() {
        for (received, sent) in [
            (&[("w3c", A), ("b3", A)][..], &[("w3c", A), ("b3", B)][..]),
            (&[("w3c", A)], &[("w3c", A), ("b3", B)]),
            (&[], &[("w3c", A), ("b3", B)]),
            // Restarted in one format, copied in the other, which was the same trace.
            (&[("w3c", A), ("xray", A)], &[("w3c", B), ("xray", A)]),
        ] {
            assert!(introduced(&head(received), &head(sent)).is_some(), "{received:?} {sent:?}");
        }
        for (received, sent) in [
            (&[("w3c", A), ("b3", B)][..], &[("w3c", A), ("b3", B)][..]),
            (&[("w3c", A), ("b3", B), ("jaeger", A)], &[("b3", B), ("jaeger", A)]),
            (&[("w3c", A), ("b3", A)], &[("w3c", B), ("b3", B)]),
            (&[("w3c", A), ("xray", B)], &[("w3c", A), ("xray", B)]),
            (&[("xray", B)], &[("w3c", A), ("xray", B)]),
            (&[("w3c", A)], &[("w3c", A), ("google", B)]),
        ] {
            assert_eq!(introduced(&head(received), &head(sent)), None, "{received:?} {sent:?}");
        }
    }
}
