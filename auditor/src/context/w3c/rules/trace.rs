//! What became of the trace, and whether `traceparent` is one at all.

use crate::rule::Rule;
use crate::rule::Severity::{Error, Info, Warning};

/// `traceparent_dropped`.
pub static DROPPED: Rule = Rule {
    name: "traceparent_dropped",
    severity: Error,
    spec: "w3c-trace-context-2 §mutating-the-traceparent-field",
    on_call: "{who} received traceparent on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received a request with a valid traceparent and made a call on its behalf without one. The \
              trace ends here: what happens downstream is not part of it. Reported only when the calls cannot be \
              explained as background work.",
    looks_like: "The trace ends at this service although downstream ran; every downstream service shows traces of its \
                 own.",
    causes: &[
        "No instrumentation, or none for the HTTP client that makes this call",
        "The context is lost between receiving and calling: thread pool, queue, callback, child process",
        "A propagator other than tracecontext is configured on one side",
        "The call is built by hand and copies only chosen headers",
    ],
    fix: &[
        "OpenTelemetry: enable the auto-instrumentation of the client library, and OTEL_PROPAGATORS=tracecontext,baggage",
        "No tracing wanted: copy traceparent and tracestate from the request to the calls it causes",
        "Java: wrap executors with Context.taskWrapping; Node: keep AsyncLocalStorage across callbacks; Python: copy \
         contextvars into threads; Go: pass ctx to http.NewRequestWithContext",
        "requests, httpx, net/http, fetch: pass the headers of the incoming request on; behind Istio or Envoy the application has \
         to copy them, the sidecar cannot",
        "Scripts and CGI: pass -H \"traceparent: $HTTP_TRACEPARENT\" to curl",
    ],
};

/// `trace_restarted`.
pub static RESTARTED: Rule = Rule {
    name: "trace_restarted",
    severity: Warning,
    spec: "w3c-trace-context-2 §mutating-the-traceparent-field",
    on_call: "{who} received a trace on {from} but sent another one on {call}",
    on_request: "",
    meaning: "The service received a valid traceparent, or a trace in another format, and sent a valid one of another \
              trace. Legal at a trust boundary, a break in the trace anywhere else. Restarting after an invalid \
              traceparent is mandatory and not reported. Whoever handles a message that was pushed to it (CloudEvents, \
              Pub/Sub) may go on with a context that stands in the message, where the auditor does not look: ignore it.",
    looks_like: "Two traces of one user action, one up to this service and one from it on.",
    causes: &[
        "The HTTP server is not instrumented but the client is, so each call starts a root span",
        "The context is lost between receiving and calling, and the client instrumentation starts a new trace",
        "The server extracts another format (B3, Jaeger) than the one it received",
    ],
    fix: &[
        "Enable the server instrumentation, or extract the context where the request arrives",
        "Configure the same propagators on both sides: OTEL_PROPAGATORS=tracecontext,baggage",
        "A gateway that restarts on purpose: exclude it",
    ],
};

/// `trace_not_started`.
pub static NOT_STARTED: Rule = Rule {
    name: "trace_not_started",
    severity: Info,
    spec: "w3c-trace-context-2 §a-traceparent-is-not-received",
    on_call: "{who} received no traceparent on {from} and sent none on {call}",
    on_request: "",
    meaning: "The service received requests without traceparent and made calls on their behalf without one. Legal: \
              nobody has to start a trace. But nothing of this path is in any trace.",
    looks_like: "The service and what it calls do not appear, or appear unconnected.",
    causes: &["The service at the edge is not instrumented", "The client that should start the trace does not"],
    fix: &["Start traces at the edge: the ingress, the gateway, or the first instrumented service"],
};

/// `parent_id_not_updated`.
pub static PARENT_ID_NOT_UPDATED: Rule = Rule {
    name: "parent_id_not_updated",
    severity: Info,
    spec: "w3c-trace-context-2 §mutating-the-traceparent-field",
    on_call: "{who} forwarded traceparent of {from} unchanged on {call}",
    on_request: "",
    meaning: "The service forwarded traceparent byte for byte. Legal, and the trace stays whole: but the service makes \
              no span, so the time spent in it is charged to its caller. A warning where other calls of the process have \
              parent-ids of their own and calls like this one never do: they go past the instrumentation.",
    looks_like: "The service is missing from the trace; its callees hang directly below its caller.",
    causes: &[
        "A proxy or a service that copies headers without being instrumented",
        "Where other calls are updated: a second HTTP client that is not instrumented, and headers that are copied by hand",
    ],
    fix: &[
        "Nothing, if it is meant to be invisible",
        "Otherwise instrument it, e.g. the OpenTelemetry module of nginx, or the client that makes the call",
    ],
};

/// `traceparent_malformed`.
pub static MALFORMED: Rule = Rule {
    name: "traceparent_malformed",
    severity: Error,
    spec: "w3c-trace-context-2 §traceparent-header-field-values",
    on_call: "{who} sent a malformed traceparent ({reason}) on {call}",
    on_request: "{client} sent a malformed traceparent ({reason}) to {who} on {from}",
    meaning: "A traceparent that does not follow the grammar; `reason` says how. Receivers must ignore it and start a \
              new trace. Direction inbound: whoever sent it is at fault, not the service that received it.",
    looks_like: "The trace breaks in front of the receiver, although a header was sent.",
    causes: &[
        "A hand-written generator: upper-case hex, 64-bit trace-ids, missing flags",
        "An id that was never set: zeroes",
        "A B3 or Jaeger value sent under the name traceparent",
    ],
    fix: &["Let a tracing library inject the header", "Format ids as lower-case hex, 32 and 16 digits, flags as 2"],
};

/// `traceparent_duplicated`.
pub static DUPLICATED: Rule = Rule {
    name: "traceparent_duplicated",
    severity: Error,
    spec: "w3c-trace-context-2 §traceparent-header",
    on_call: "{who} sent more than one traceparent on {call}",
    on_request: "{client} sent more than one traceparent to {who} on {from}",
    meaning: "A request carries more than one traceparent, as several field lines or joined by commas. Receivers must \
              treat it as invalid, and do so differently: some take the first, some the last, some restart.",
    looks_like: "The trace breaks or forks behind this service, depending on the receiver.",
    causes: &[
        "Two instrumentations inject: an agent and a library, or the application copies the header and a library adds it",
        "A proxy adds the header instead of setting it",
    ],
    fix: &["Remove one of the two", "Set the header instead of adding it"],
};

/// `invalid_trace_id_reused`.
pub static INVALID_REUSED: Rule = Rule {
    name: "invalid_trace_id_reused",
    severity: Error,
    spec: "w3c-trace-context-2 §versioning-of-traceparent",
    on_call: "{who} received an invalid traceparent on {from} and kept its trace-id on {call}",
    on_request: "",
    meaning: "The service received an invalid traceparent and sent a well-formed one with the trace-id found in it. An \
              invalid value must be ignored as a whole: the sender's spans are not where this trace-id points.",
    looks_like: "Orphan spans: a trace whose root is missing.",
    causes: &["A parser that searches for hex digits instead of validating", "A proxy that repairs headers"],
    fix: &["Validate the whole value, and start a new trace when it is invalid", "Fix the sender of the invalid value"],
};
