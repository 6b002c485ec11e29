//! What became of a trace that came in one format and may have gone on in another.

use super::format::Fault;
use super::identity::Named;
use super::w3c::NAME as W3C;
use crate::rule::Rule;
use crate::rule::Severity::{Info, Warning};

/// The trace goes on in another format than it came in.
pub static TRANSLATED: Rule = Rule {
    name: "format_translated",
    severity: Info,
    spec: "opentelemetry §composite-propagator",
    on_call: "{who} received a trace on {from} and sent it on in another format ({detail}) on {call}",
    on_request: "",
    meaning: "The service received a trace in one format and sent the same trace, whole, in another one and not in its \
              own. Of several formats that came together the first counts, W3C before the others. Legal, and the trace goes on for whoever reads the other format. Whoever reads only the first one \
              starts anew.",
    looks_like: "Nothing, if the receivers read the format; otherwise every one of them shows a trace of its own.",
    causes: &[
        "A migration: the service reads both formats and writes the new one",
        "A proxy or gateway with a tracer of its own",
    ],
    fix: &[
        "Nothing, if the receivers read it",
        "Otherwise let the service write both: OTEL_PROPAGATORS=tracecontext,baggage,b3",
    ],
};

/// Half of the trace id was lost.
pub static TRUNCATED: Rule = Rule {
    name: "trace_id_truncated",
    severity: Warning,
    spec: "w3c-trace-context-2 §handling-trace-id-for-compliant-platforms-with-shorter-internal-identifiers",
    on_call: "{who} received a trace id of 128 bits on {from} and sent the low 64 ones only ({detail}) on {call}",
    on_request: "",
    meaning: "The service received a trace id of 128 bits, and no format that it sent has more than the low 64 bits. Its \
              callees record under an id that is a half of the caller's. Backends that compare all bits show two \
              traces. Formats with 64 bits beside one that has all of them are not reported.",
    looks_like: "Two traces, the id of the second is the right half of the first's; some backends join them.",
    causes: &[
        "A tracer of 64 bits: old Zipkin, Jaeger or Datadog libraries",
        "Datadog's headers without _dd.p.tid: x-datadog-tags is not copied, or 128-bit ids are switched off",
        "An id kept in a 64-bit variable of the application",
    ],
    fix: &[
        "Update the tracer, or switch 128-bit ids on: Brave traceId128Bit(true), Jaeger JAEGER_TRACEID_128BIT=true",
        "Datadog: DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED=true; copy x-datadog-tags with the other headers",
        "Send traceparent as well: it has all the bits",
    ],
};

/// The trace went on in a format that has nothing like `tracestate`.
pub static TRACESTATE_LOST: Rule = Rule {
    name: "tracestate_lost_in_translation",
    severity: Info,
    spec: "w3c-trace-context-2 §tracestate-header",
    on_call: "{who} received tracestate on {from} and sent the trace on without it ({detail}) on {call}",
    on_request: "",
    meaning: "The service received traceparent with tracestate and sent the trace in another format, which has no place \
              for it. What vendors keep there, such as sampling probabilities, ends here.",
    looks_like: "The trace goes on; vendors' links and sampling weights are missing from here on.",
    causes: &["A migration or gateway that translates from W3C to B3, Jaeger or a vendor's format"],
    fix: &["Send traceparent and tracestate beside the other format"],
};

/// What became of a trace that came in some format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It went on in the same format.
    Kept,
    /// It went on in this one only.
    Translated(&'static str),
    /// Only the low half of its id went on, in this format.
    Truncated(&'static str),
    /// It did not go on.
    Ended,
}

/// What became of this trace.
pub fn fate(received: &Named, sent: &[Named]) -> Fate {
    let same = || sent.iter().filter(|s| s.identity.same_trace(&received.identity));
    let own = same().find(|s| s.format == received.format);
    let whole = same().find(|s| s.identity.wide() || !received.identity.wide());
    match (own, whole, same().next()) {
        (_, None, Some(narrow)) => Fate::Truncated(own.unwrap_or(narrow).format),
        (Some(_), ..) => Fate::Kept,
        (None, Some(whole), _) => Fate::Translated(whole.format),
        (None, None, None) => Fate::Ended,
    }
}

/// What the service did to the traces that it received: each at most once, with the formats as detail.
///
/// Of several formats in a request one is the `main` one: where it went on, whoever reads the others reads this one, too.
/// `tracestate`: there was one in the request and there is none in the call.
pub fn faults(received: &[Named], main: &str, sent: &[Named], tracestate: bool) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut add = |rule: &'static Rule, from: &str, to: &str| {
        if faults.iter().all(|fault| fault.rule.name != rule.name) {
            faults.push(Fault { rule, reason: None, detail: Some(format!("{from} to {to}").into()) });
        }
    };
    for named in received {
        let (rule, to) = match fate(named, sent) {
            Fate::Translated(to) if named.format == main => (&TRANSLATED, to),
            Fate::Truncated(to) => (&TRUNCATED, to),
            Fate::Translated(_) | Fate::Kept | Fate::Ended => continue,
        };
        add(rule, named.format, to);
        if tracestate && named.format == W3C && to != W3C {
            add(&TRACESTATE_LOST, named.format, to);
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::testing::identity;
    use super::*;

    const WIDE: u128 = 7 << 64 | 5;
    const NARROW: u128 = 5;

    fn head(ids: &[(&'static str, u128)]) -> Vec<Named> {
        ids.iter().map(|&(format, id)| Named { format, identity: identity(id) }).collect()
    }

    #[test]
    fn what_becomes_of_a_trace() {
        let of = |sent: &[(&'static str, u128)]| fate(&head(&[("w3c", WIDE)])[0], &head(sent));
        assert_eq!(of(&[("w3c", WIDE)]), Fate::Kept);
        assert_eq!(of(&[("b3", WIDE), ("w3c", WIDE)]), Fate::Kept);
        assert_eq!(of(&[("b3", WIDE)]), Fate::Translated("b3"));
        assert_eq!(of(&[("datadog", NARROW), ("b3", WIDE)]), Fate::Translated("b3"));
        assert_eq!(of(&[("datadog", NARROW)]), Fate::Truncated("datadog"));
        assert_eq!(of(&[("datadog", NARROW), ("w3c", NARROW)]), Fate::Truncated("w3c"));
        assert_eq!(of(&[("w3c", 9)]), Fate::Ended);
        assert_eq!(of(&[]), Fate::Ended);
    }

    #[test]
    fn what_is_told_of_it() {
        for (received, sent, expected) in [
            (
                &[("w3c", WIDE)][..],
                &[("b3", WIDE)][..],
                &[("format_translated", "w3c to b3"), ("tracestate_lost_in_translation", "w3c to b3")][..],
            ),
            (&[("b3", WIDE)], &[("w3c", WIDE)], &[("format_translated", "b3 to w3c")]),
            (&[("b3", WIDE)], &[("b3", NARROW)], &[("trace_id_truncated", "b3 to b3")]),
            (&[("b3", WIDE)], &[("datadog", NARROW)], &[("trace_id_truncated", "b3 to datadog")]),
            // Once, however many formats it came in.
            (&[("b3", WIDE), ("jaeger", WIDE)], &[("xray", WIDE)], &[("format_translated", "b3 to xray")]),
            // Legal: all bits are in one of the formats, or there were no more.
            (&[("w3c", WIDE), ("datadog", NARROW)], &[("w3c", WIDE), ("datadog", NARROW)], &[]),
            (&[("w3c", WIDE), ("b3", WIDE), ("datadog", NARROW)], &[("w3c", WIDE), ("b3", WIDE)], &[]),
            (
                &[("w3c", WIDE), ("b3", WIDE)],
                &[("b3", WIDE)],
                &[("format_translated", "w3c to b3"), ("tracestate_lost_in_translation", "w3c to b3")],
            ),
            (&[("b3", NARROW)], &[("b3", NARROW)], &[]),
            (&[("b3", NARROW)], &[("b3", NARROW), ("w3c", NARROW)], &[]),
            // It began as 64 bits, and somebody gave it the other half.
            (&[("datadog", NARROW)], &[("datadog", WIDE)], &[]),
            // Not this trace at all: for others to say.
            (&[("w3c", WIDE)], &[("b3", 9)], &[]),
            (&[("w3c", WIDE)], &[], &[]),
        ] {
            let faults = faults(&head(received), received[0].0, &head(sent), true);
            let told: Vec<_> = faults.iter().map(|fault| (fault.rule.name, fault.detail.as_deref().unwrap())).collect();
            assert_eq!(told, expected, "{received:?} {sent:?}");
        }
        let without = faults(&head(&[("w3c", WIDE)]), "w3c", &head(&[("b3", WIDE)]), false);
        assert_eq!(without.len(), 1);
    }
}
