//! Rules on B3.

use crate::rule::Rule;
use crate::rule::Severity::{Error, Warning};

pub(super) static DROPPED: Rule = Rule {
    name: "b3_dropped",
    severity: Error,
    spec: "b3-propagation §overall-process",
    on_call: "{who} received a B3 trace on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received a request with a B3 trace and made a call on its behalf that does not carry it, \
              neither in `b3` nor in `x-b3-*` nor in another format. The trace ends here.",
    looks_like: "The trace ends at this service although downstream ran; downstream shows traces of its own.",
    causes: &[
        "No instrumentation, or none for the HTTP client that makes this call",
        "Istio, Linkerd, Envoy: the sidecar cannot know which call belongs to which request; the application copies no \
         headers",
        "The tracer is configured for another format, such as W3C only, in front of receivers that know B3 only",
        "The context is lost between receiving and calling: thread pool, queue, callback, child process",
    ],
    fix: &[
        "Service mesh: copy b3, or x-b3-traceid, x-b3-spanid, x-b3-parentspanid, x-b3-sampled and x-b3-flags, from the \
         request to the calls that it causes",
        "OpenTelemetry: OTEL_PROPAGATORS=tracecontext,baggage,b3 (or b3multi)",
        "Spring Boot 3: management.tracing.propagation.type=w3c,b3 and a RestTemplate, RestClient or WebClient from its \
         builder, not from `new`",
        "nginx: proxy_set_header for each of them if proxy_pass_request_headers is off",
    ],
};

pub(super) static MALFORMED: Rule = Rule {
    name: "b3_malformed",
    severity: Error,
    spec: "b3-propagation §http-encodings",
    on_call: "{who} sent malformed B3 ({detail}: {reason}) on {call}",
    on_request: "{client} sent malformed B3 ({detail}: {reason}) to {who} on {from}",
    meaning: "A B3 value that does not follow the grammar; `reason` says how. Ids are lower-case hex, up to 32 digits \
              for the trace and 16 for the span, and not zero; who sends the one sends the other; a decision is 0, 1 or \
              d. Receivers ignore what they cannot read. Direction inbound: whoever sent it is at fault.",
    looks_like: "The trace breaks in front of the receiver, although headers were sent.",
    causes: &[
        "A hand-written generator: UUIDs with dashes, upper-case hex, decimal ids",
        "Only some of the x-b3-* headers are copied",
        "A variable that was never set is sent as text: undefined, null, None",
    ],
    fix: &[
        "Let a tracing library inject the headers",
        "Copy all of b3 and x-b3-* or none of them",
        "Format ids as lower-case hex, 32 or 16 digits for the trace, 16 for the span",
    ],
};

pub(super) static SAMPLING_CHANGED: Rule = Rule {
    name: "b3_sampling_changed",
    severity: Warning,
    spec: "b3-propagation §sampling-state",
    on_call: "{who} changed the sampling decision of B3 ({reason}) from {from} to {call}",
    on_request: "",
    meaning: "In B3 the decision to sample is made once for a trace, and every service sends it on as it is. This one \
              sent another decision than it received, or none (`reason`), so one part of the trace is recorded and \
              another is not. Making a decision that was left open is legal, and so is to send only a denial.",
    looks_like: "Traces with holes: spans of this service or of its callees are missing, or their parents are.",
    causes: &[
        "A sampler that decides anew instead of following its parent",
        "x-b3-sampled is not among the headers that the application copies",
        "An OpenTelemetry service that received a decision without a trace: it starts a trace by its own sampler",
    ],
    fix: &[
        "OpenTelemetry: OTEL_TRACES_SAMPLER=parentbased_traceidratio instead of traceidratio or always_on",
        "Copy x-b3-sampled and x-b3-flags together with the ids",
    ],
};

pub(super) static DEBUG_LOST: Rule = Rule {
    name: "b3_debug_lost",
    severity: Error,
    spec: "b3-propagation §debug-flag",
    on_call: "{who} received a B3 debug request on {from} but sent its trace without the debug flag on {call}",
    on_request: "",
    meaning: "Somebody asked for this very request to be recorded (x-b3-flags: 1, or b3: …-d). The service continued \
              the trace and left the flag out, so samplers and rate limits behind it may throw their part away.",
    looks_like: "A forced trace that ends or has holes behind this service.",
    causes: &[
        "x-b3-flags is not among the headers that the application copies",
        "The tracer knows sampled and not sampled only, or a gateway translates between formats",
    ],
    fix: &[
        "Copy x-b3-flags together with the ids",
        "Use a propagator that keeps the flag: Brave does, and OpenTelemetry's b3 for Java, Go and Node",
    ],
};
