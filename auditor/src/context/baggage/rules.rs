//! The rules of W3C Baggage.

use crate::rule::Rule;
use crate::rule::Severity::{Error, Info, Warning};

/// Each, in the order of `auditor explain`.
pub static ALL: [&Rule; 4] = [&DROPPED, &MEMBER_REMOVED, &MEMBER_TRUNCATED, &MALFORMED];

const LIMITS: &str = "w3c-baggage §limits";
const PROPAGATOR: &str = "OpenTelemetry: OTEL_PROPAGATORS=tracecontext,baggage; Spring Boot: list the keys under \
                          management.tracing.baggage.remote-fields";

/// `baggage_dropped`.
pub static DROPPED: Rule = Rule {
    name: "baggage_dropped",
    severity: Warning,
    spec: LIMITS,
    on_call: "{who} received baggage on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received baggage and made a call on its behalf without any. Whoever needs a member of it \
              downstream does not get it. Lists that cannot be read, or have more than 64 members or more than 8192 \
              bytes, may be shortened and are not reported. Jaeger's uberctx-* headers are baggage, too, and what goes on \
              in Correlation-Context (.NET before 10) is not lost.",
    looks_like: "The trace is whole. But attributes, routing or feature flags that come from baggage are missing from here \
                 on.",
    causes: &[
        "The baggage propagator is not configured, only tracecontext",
        "Headers are copied by hand, and baggage is not on the list",
        "A gateway removes it at a trust boundary: that is right",
    ],
    fix: &[
        PROPAGATOR,
        "No library: copy the header (requests and httpx: headers=, fetch: headers, net/http: req.Header, nginx: \
         proxy_set_header baggage $http_baggage); behind Istio or Envoy the application has to",
        "A boundary where it has to end: exclude the destination",
    ],
};

/// `baggage_member_removed`.
pub static MEMBER_REMOVED: Rule = Rule {
    name: "baggage_member_removed",
    severity: Info,
    spec: LIMITS,
    on_call: "{who} removed {detail} from the baggage of {from} on {call}",
    on_request: "",
    meaning: "The service sent baggage on without one of its members, although there was room: at most 64 members and \
              8192 bytes. An application may delete a member that it has done with; a library or a proxy should not.",
    looks_like: "The trace is whole. One attribute or flag is missing from here on.",
    causes: &[
        "The application, or a filter for privacy, deletes it: that is right",
        "Only listed keys are propagated, as with Spring's remote-fields",
        "Another library writes the header anew, with its own members only",
    ],
    fix: &[
        PROPAGATOR,
        "Add to the list that was received instead of replacing it",
        "Nothing, if it is meant to end here",
    ],
};

/// `baggage_member_truncated`.
pub static MEMBER_TRUNCATED: Rule = Rule {
    name: "baggage_member_truncated",
    severity: Error,
    spec: LIMITS,
    on_call: "{who} cut the baggage of {from} in the middle of {detail} on {call}",
    on_request: "",
    meaning: "The service cut baggage in the middle of a member: the list ends in the beginning of what was received, and \
              the members behind it are gone. Only whole members may be dropped; what is left of this one is a wrong \
              value that looks like a right one.",
    looks_like: "The trace is whole. Lookups with the value fail, or hit somebody else's data.",
    causes: &["The header is cut to a number of bytes: substring, a fixed buffer, a column of a database"],
    fix: &["Drop whole members until it fits", "Raise the limit to 8192 bytes", "Keep large values out of baggage"],
};

/// `baggage_malformed`.
pub static MALFORMED: Rule = Rule {
    name: "baggage_malformed",
    severity: Warning,
    spec: "w3c-baggage §header-content",
    on_call: "{who} sent malformed baggage ({reason}) on {call}",
    on_request: "{client} sent malformed baggage ({reason}) to {who} on {from}",
    meaning: "A member of baggage does not follow the grammar; `reason` says how: delimiter (no =), key (not a token), \
              value (white space, quotes, backslash or anything else than printable ASCII has to be percent-encoded), \
              property. Receivers may drop the member or the whole list. A service that passes on what it received so \
              is not at fault.",
    looks_like: "The trace is whole. Some services see the value, others do not, depending on how lenient their library is.",
    causes: &[
        "The header is built from strings without encoding: names with spaces or umlauts, JSON",
        "A value in quotes",
    ],
    fix: &[
        "Percent-encode values: encodeURIComponent, urllib.parse.quote, url.PathEscape, URLEncoder with + replaced by %20",
        "Set members through the library: Baggage in OpenTelemetry, BaggageManager in Micrometer",
    ],
};
