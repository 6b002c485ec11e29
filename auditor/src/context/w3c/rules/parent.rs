//! What may not be done to `traceparent`, and how it is named.

use crate::rule::Rule;
use crate::rule::Severity::{Error, Info, Warning};

/// `malformed_traceparent_propagated`.
pub static MALFORMED_PROPAGATED: Rule = Rule {
    name: "malformed_traceparent_propagated",
    severity: Error,
    spec: "w3c-trace-context-2 §a-traceparent-is-received",
    on_call: "{who} sent the malformed traceparent of {from} on with {call}, with a tracestate of its own",
    on_request: "",
    meaning: "The service received an invalid traceparent and sent the same bytes on, although it takes part in the \
              trace: it wrote into the tracestate beside it. Whoever takes part has to start a new trace and to delete \
              tracestate. A service that passes both fields on untouched need not look at them and is not reported.",
    looks_like: "The trace breaks at every service behind this one, each of which starts a trace of its own.",
    causes: &[
        "The application copies traceparent by hand while a library or a filter writes tracestate",
        "A tracer that keeps the raw header when it could not parse it",
    ],
    fix: &[
        "Let one library read and write both fields: Spring Boot with Micrometer Tracing, OpenTelemetry for Node, Python, Go",
        "Envoy, HAProxy, nginx: do not edit tracestate of a request whose traceparent was not validated",
        "Fix whoever sends the malformed value; the finding on the request names it",
    ],
};

/// `traceparent_version_not_downgraded`.
pub static VERSION_NOT_DOWNGRADED: Rule = Rule {
    name: "traceparent_version_not_downgraded",
    severity: Warning,
    spec: "w3c-trace-context-2 §versioning-of-traceparent",
    on_call: "{who} received a traceparent of a later version on {from} and kept the version with a new parent-id on {call}",
    on_request: "",
    meaning: "The service received a traceparent of a version above 00, changed its parent-id and kept the version. Only \
              the fields of version 00 are known to it, so what it builds has to say 00: otherwise it claims things \
              of a version that it does not know. The same bytes passed on are legal.",
    looks_like: "Nothing yet. Once that version exists, receivers read fields that nobody wrote.",
    causes: &[
        "The version is copied from the request instead of being written as a constant",
        "A search and replace of the parent-id",
    ],
    fix: &[
        "Write \"00\" into every traceparent that is built, whatever was received",
        "Update the tracing library, or let one build the header: opentelemetry-java, -js, -python and -go do it right",
    ],
};

/// `reserved_trace_flags_set`.
pub static RESERVED_FLAGS_SET: Rule = Rule {
    name: "reserved_trace_flags_set",
    severity: Error,
    spec: "w3c-trace-context-2 §other-flags",
    on_call: "{who} made a traceparent with reserved flags on {call}",
    on_request: "",
    meaning: "The service made a traceparent of version 00 in which flags are set that have no meaning: any of fc. They \
              have to be zero, also where a request brought them and only the parent-id is changed. The same bytes \
              passed on are legal.",
    looks_like: "Nothing, or odd sampling: receivers that compare the flags as a number take 05 for not sampled.",
    causes: &[
        "The flags byte is copied from the request while the parent-id is new",
        "A sampling priority, or flags of B3 or Jaeger, written into the byte",
    ],
    fix: &["Mask the flags: & 03, or & 01 at level 1", "Update the tracing library"],
};

/// `random_flag_changed`.
pub static RANDOM_FLAG_CHANGED: Rule = Rule {
    name: "random_flag_changed",
    severity: Warning,
    spec: "w3c-trace-context-2 §random-trace-id-flag",
    on_call: "{who} received traceparent on {from} and {reason} its random flag on {call}",
    on_request: "",
    meaning: "The service continued a trace and changed the random flag (02), which tells whether the low 56 bits of the \
              trace-id are random. That is a property of the trace-id, so the flag has to stay as it is while the \
              trace-id does. At level 1 there is no such flag, and the finding is an info.",
    looks_like: "Consistent probability sampling goes wrong: parts of a trace are kept, others are not.",
    causes: &[
        "A tracing library of level 1, which writes every flag but the sampled one as 0",
        "The flags are written as a constant 01 or 03",
    ],
    fix: &[
        "Update the tracing library to one with level 2",
        "By hand: copy the flag of the request, whatever the sampling decision",
        "If all libraries are of level 1, audit against that: --spec-level 1",
    ],
};

/// `random_flag_changed` at level 1, which knows no such flag.
pub static RANDOM_FLAG_CHANGED_LEVEL_1: Rule =
    Rule { severity: Info, spec: "w3c-trace-context-1 §other-flags", ..RANDOM_FLAG_CHANGED };

/// `traceparent_partially_modified`.
pub static PARTIALLY_MODIFIED: Rule = Rule {
    name: "traceparent_partially_modified",
    severity: Error,
    spec: "w3c-trace-context-2 §mutating-the-traceparent-field",
    on_call: "{who} changed a part of the traceparent of {from} that may not change alone ({reason}) on {call}",
    on_request: "",
    meaning: "The service changed a part of traceparent that may not change by itself: the sampled flag with the same \
              trace-id and parent-id, or the trace-id with the same parent-id. Whoever changes anything has to set a new \
              parent-id; a new trace needs new ids and flags. A version that is lowered to 00 and nothing else is legal, \
              and so is to clear flags that mean nothing in version 00.",
    looks_like: "Spans with a parent that is not in their trace, or a trace of which a part is sampled and the span above \
                 it is not.",
    causes: &[
        "A gateway or a filter that forces the sampled flag in the header: a Lua or header rule in Envoy, nginx, HAProxy",
        "A trace-id replaced by a correlation id of the application, in a string that is otherwise kept",
    ],
    fix: &[
        "Force sampling in the tracer's sampler, not by editing the header",
        "Let the library build the whole value; keep correlation ids in baggage or a header of their own",
    ],
};

/// `sampled_flag_changed`.
pub static SAMPLED_FLAG_CHANGED: Rule = Rule {
    name: "sampled_flag_changed",
    severity: Info,
    spec: "w3c-trace-context-2 §sampled-flag",
    on_call: "{who} received traceparent on {from} and {reason} its sampled flag on {call}",
    on_request: "",
    meaning: "The service continued a trace with a new parent-id and another sampling decision. Legal: the flag says what \
              the sender did. But a trace of which some services keep their part and others do not is a trace with \
              holes, so it should be meant.",
    looks_like: "Traces that begin in the middle, or end at this service although downstream ran.",
    causes: &["A sampler that does not look at the parent's decision", "A limit of spans per second in this service"],
    fix: &[
        "Sample by the parent: OTEL_TRACES_SAMPLER=parentbased_traceidratio",
        "Istio and Envoy: set the sampling rate at the gateway alone",
        "Nothing, if it is tail sampling or meant",
    ],
};

/// `header_name_invalid`.
pub static NAME_INVALID: Rule = Rule {
    name: "header_name_invalid",
    severity: Warning,
    spec: "w3c-trace-context-2 §header-name",
    on_call: "{who} sent its context as {detail} on {call}, which nobody reads",
    on_request: "{client} sent its context as {detail} to {who} on {from}, which nobody reads",
    meaning: "A request carries a trace context under a name that is none of the specification's, such as trace-parent. \
              The names are single words without any delimiter: traceparent and tracestate. Nobody reads the others. \
              Reported where the right field is missing; `reason` is its name.",
    looks_like: "The trace ends in front of the receiver, although a header was sent.",
    causes: &[
        "A header written by hand",
        "Names derived from variables, such as trace_parent",
        "A rule of a proxy with a typo",
    ],
    fix: &[
        "Name it traceparent, in one word; likewise tracestate",
        "Let a tracing library inject it: Micrometer Tracing, OpenTelemetry's propagation.inject",
        "nginx: proxy_set_header traceparent $http_traceparent; HAProxy: http-request set-header traceparent …",
    ],
};

/// `header_name_not_lowercase`.
pub static NAME_NOT_LOWERCASE: Rule = Rule {
    name: "header_name_not_lowercase",
    severity: Info,
    spec: "w3c-trace-context-2 §header-name",
    on_call: "{who} sent {detail} with capital letters in its name on {call}",
    on_request: "{client} sent {detail} with capital letters in its name to {who} on {from}",
    meaning: "A request carries traceparent or tracestate with capital letters in the name. Legal on HTTP/1, where names \
              have no case; the specification asks for lower case because other protocols, and code that compares \
              strings, tell the difference.",
    looks_like: "Nothing, unless a receiver looks the name up as a plain string: then the trace breaks there.",
    causes: &[
        "Go's net/http writes every name as Traceparent",
        "Libraries that write names in the style of Content-Type: Ruby's Net::HTTP, older Java clients",
    ],
    fix: &["Nothing, as long as everybody who receives it compares names without case"],
};
