//! The rules of W3C Trace Context that only several samples can show to be broken.

use crate::rule::Rule;
use crate::rule::Severity::Warning;

/// Each, in the order of `auditor explain`.
pub static ALL: [&Rule; 4] = [&VALID_TRACEPARENT_REJECTED, &PARENT_ID_REUSED, &TRACE_ID_REUSED, &TRACE_ID_NOT_RANDOM];

/// `valid_traceparent_rejected`.
pub static VALID_TRACEPARENT_REJECTED: Rule = Rule {
    name: "valid_traceparent_rejected",
    severity: Warning,
    spec: "w3c-trace-context-2 §versioning-of-traceparent",
    on_call: "{who} continues other traces on {from} but restarted one whose traceparent is as valid ({reason}) on {call}",
    on_request: "",
    meaning: "The service continues traces of a client, on the same routes, and always restarts those whose traceparent is \
              valid but not plain: of a version above 00, or with odd capital letters in the name of the header \
              (TraceParent; Traceparent is what many libraries write, and says nothing). Names have no case, and of a \
              later version the fields of version 00 have to be tried. Reported after eight samples of both, from one \
              client.",
    looks_like: "Two traces of one user action, but only for some callers: those that were updated or use another library.",
    causes: &[
        "The version is compared with \"00\"",
        "The length of the value is compared with 55",
        "The header is looked up as a plain string in a map: raw dicts in Python, rawHeaders in Node, map access in Go",
    ],
    fix: &[
        "Look headers up without case: Headers.get in fetch, Header.Get in net/http, request.headers in Spring and requests",
        "Accept every version but ff, and ignore what follows the flags after a -",
        "Update the tracing library",
    ],
};

/// `parent_id_reused`.
pub static PARENT_ID_REUSED: Rule = Rule {
    name: "parent_id_reused",
    severity: Warning,
    spec: "w3c-trace-context-2 §considerations-for-span-id-field-generation",
    on_call: "{who} set on {call} a parent-id that it also set in other traces",
    on_request: "",
    meaning: "The service sets one parent-id, which it did not receive, in the calls of different traces. A parent-id \
              names a span, and a span is in one trace. Reported after three traces. Calls of one trace may share their \
              parent-id, as those under one span or retries do.",
    looks_like: "Orphan spans: the parent of what runs downstream is in another trace, or nowhere.",
    causes: &[
        "A span or its header is made once, at start or for a pooled client, and used for every request",
        "A hand-written traceparent with a constant parent-id",
        "A generator that is seeded with a constant, or after a fork with the parent's state",
    ],
    fix: &[
        "Make a span for each request, and inject it when the call is made: not in default headers of a session \
         (requests.Session, httpx.Client, axios.create, WebClient.Builder)",
        "Seed generators after the fork (gunicorn, uWSGI, Puma, PHP-FPM)",
        "By hand: 16 random hex digits for each request",
    ],
};

/// `trace_id_reused`.
pub static TRACE_ID_REUSED: Rule = Rule {
    name: "trace_id_reused",
    severity: Warning,
    spec: "w3c-trace-context-2 §trace-id",
    on_call: "{who} received {from} without context, and made {call} in the trace of requests that it has nothing in \
              common with",
    on_request: "",
    meaning: "The service received requests without context that have nothing in common, and gave all of them one \
              trace-id. Reported after sixteen requests in a row, at least four of them of other routes than the \
              rest, that share no session, credential or id, and not for traces in which calls were made outside of any \
              request, as those of a job, or for one with a body, which may hold a context.",
    looks_like: "One trace that never ends, with thousands of spans of different users.",
    causes: &[
        "A span that is opened at start and never closed, so that every request becomes a part of it",
        "A context that leaks from one request to the next: a thread-local that is not cleared, a task that is never detached",
        "A trace-id that is a constant, or of a generator with a constant seed",
    ],
    fix: &[
        "Close the scope in the block that opened it: try-with-resources in Java, with in Python, context.with in Node",
        "Do not start the server within a span",
        "Seed generators after the fork",
    ],
};

/// `trace_id_not_random`.
pub static TRACE_ID_NOT_RANDOM: Rule = Rule {
    name: "trace_id_not_random",
    severity: Warning,
    spec: "w3c-trace-context-2 §randomness-of-trace-id",
    on_call: "{who} starts traces whose ids are not random, as on {call}",
    on_request: "",
    meaning: "The service makes trace-ids of which too few bits change: of the right-most 56, which should be random, at \
              least 24 are the same in 32 ids. What stands in front of them may be anything: the time in ids of X-Ray, \
              the zeroes in front of 64-bit ids. Only traces are looked at that were started for requests without \
              context and without a body that could hold one.",
    looks_like: "Samplers that decide by the trace-id keep everything or nothing; two services come to one id, and their \
                 traces are mixed.",
    causes: &[
        "A counter, a time or a process id as trace-id",
        "32-bit ids that were padded",
        "A UUID of version 1 as trace-id",
    ],
    fix: &[
        "Let the library make it: the default generator of OpenTelemetry is random",
        "By hand: 32 random hex digits, e.g. crypto.randomUUID() or uuid.uuid4() without the dashes",
        "Ids of 64 or 32 bits: random ones, at the right end",
    ],
};
