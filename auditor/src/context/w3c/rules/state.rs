//! What `tracestate` must look like, and what may be done to it.

use crate::rule::Rule;
use crate::rule::Severity::{Error, Info, Warning};

const MUTATING: &str = "w3c-trace-context-2 §mutating-the-tracestate-field";
const VALUES: &str = "w3c-trace-context-2 §tracestate-header-field-values";
const LIMITS: &str = "w3c-trace-context-2 §tracestate-limits";
const FORWARD: &str = "No library: copy tracestate wherever traceparent is copied (requests and httpx: headers=, fetch: \
                       headers, net/http: req.Header, nginx: proxy_set_header, Istio: the application has to)";
const LIBRARY: &str = "Use the library's own type instead of strings: TraceState in OpenTelemetry for Java (Spring), Node, \
                       Python and Go keeps order, limits and grammar";

/// `tracestate_dropped`.
pub static STATE_DROPPED: Rule = Rule {
    name: "tracestate_dropped",
    severity: Warning,
    spec: MUTATING,
    on_call: "{who} continued the trace of {from} on {call} but dropped its tracestate ({detail} and all others)",
    on_request: "",
    meaning: "The service continued a trace and sent none of its tracestate. The list belongs to the vendors that take \
              part in the trace, and has to be sent on. Lists that cannot be read, have more than 32 members or more \
              than 512 characters may be discarded and are not reported.",
    looks_like: "The trace is whole, but a vendor's view of it is not: lost sampling decisions, spans without their parent \
                 in the vendor's UI.",
    causes: &[
        "Headers are copied by hand, and only traceparent is on the list",
        "A tracer that does not know tracestate",
    ],
    fix: &[FORWARD, "Allow the header in proxies and gateways that have a list of headers to keep"],
};

/// `tracestate_without_traceparent`.
pub static STATE_WITHOUT_PARENT: Rule = Rule {
    name: "tracestate_without_traceparent",
    severity: Error,
    spec: "w3c-trace-context-2 §no-traceparent-received",
    on_call: "{who} sent tracestate without traceparent on {call}",
    on_request: "{client} sent tracestate without traceparent to {who} on {from}",
    meaning: "A request carries tracestate and no traceparent. Without it the list belongs to no trace, and receivers have \
              to discard it. A service that passes on what it received so is not at fault.",
    looks_like: "The trace ends at the sender: the receiver starts a new one, or none.",
    causes: &[
        "A proxy or filter that removes traceparent and forgets tracestate",
        "Headers are copied by hand, and traceparent is not on the list or misspelled",
    ],
    fix: &["Send both or none", "nginx, HAProxy, Envoy: remove both where a trace is meant to end", FORWARD],
};

/// `tracestate_kept_on_restart`.
pub static STATE_KEPT_ON_RESTART: Rule = Rule {
    name: "tracestate_kept_on_restart",
    severity: Warning,
    spec: "w3c-trace-context-2 §mutating-the-traceparent-field",
    on_call: "{who} started a new trace on {call} with the tracestate of {from} ({detail})",
    on_request: "",
    meaning: "The service started a new trace and sent members of the tracestate of the old one, which belong to spans \
              that are not part of the new one. The list has to be emptied. Reported only for members that cannot be \
              the service's own: they name the old trace or its span, or are of several vendors.",
    looks_like: "Spans whose parent, in one vendor's view, is in another trace.",
    causes: &[
        "A library starts a trace while a filter or the application copies tracestate",
        "A gateway that restarts traces and replaces traceparent alone",
    ],
    fix: &[
        "Remove tracestate where traceparent is replaced",
        "Do not copy trace headers by hand in a service that is instrumented",
    ],
};

/// `tracestate_modified_on_pass_through`.
pub static STATE_MODIFIED_ON_PASS_THROUGH: Rule = Rule {
    name: "tracestate_modified_on_pass_through",
    severity: Warning,
    spec: "w3c-trace-context-2 §mutating-the-traceparent-field",
    on_call: "{who} passed traceparent of {from} on unchanged with {call}, but changed {detail} in tracestate",
    on_request: "",
    meaning: "The service passed traceparent on byte for byte and changed, removed or moved members of tracestate. The \
              list tells who wrote traceparent, so it may not change while that stays. New members, which proxies may \
              add, and other white space are not reported.",
    looks_like: "A vendor's view of the trace loses spans or attaches them to the wrong parent.",
    causes: &["A proxy that rewrites the list, by a rule or by a plugin", "Lists that are rebuilt through a map"],
    fix: &["Pass both fields on as they are", "Or take part: set a new parent-id and make a span"],
};

/// `tracestate_member_removed`.
pub static STATE_MEMBER_REMOVED: Rule = Rule {
    name: "tracestate_member_removed",
    severity: Warning,
    spec: MUTATING,
    on_call: "{who} removed {detail} from the tracestate of {from} on {call}",
    on_request: "",
    meaning: "The service continued a trace and removed a member of tracestate that it had no reason to: the list has \
              room, the member is well-formed and there once. A vendor may delete its own members but should not delete \
              those of others.",
    looks_like: "Another vendor's view of the trace breaks at this service.",
    causes: &[
        "The tracer writes a list of its own instead of adding to the one it received",
        "A proxy that filters vendors on purpose",
    ],
    fix: &[
        "Put new members in front of the ones that were received",
        LIBRARY,
        "Nothing, if the proxy is meant to filter",
    ],
};

/// `tracestate_order_changed`.
pub static STATE_ORDER_CHANGED: Rule = Rule {
    name: "tracestate_order_changed",
    severity: Error,
    spec: MUTATING,
    on_call: "{who} changed the order of the tracestate of {from} on {call} ({detail})",
    on_request: "",
    meaning: "The service continued a trace and put members of tracestate that it did not change into another order. The \
              order tells in which order vendors took part. A member that moved to the very left counts as written \
              again, which is legal.",
    looks_like: "A vendor takes the wrong span for its parent.",
    causes: &[
        "The list is parsed into a hash map or sorted, and written from it",
        "Several lines joined in the wrong order",
    ],
    fix: &["Keep the members in a list", LIBRARY],
};

/// `tracestate_update_not_leftmost`.
pub static STATE_UPDATE_NOT_LEFTMOST: Rule = Rule {
    name: "tracestate_update_not_leftmost",
    severity: Warning,
    spec: MUTATING,
    on_call: "{who} wrote {detail} into the tracestate of {from} behind members of others on {call}",
    on_request: "",
    meaning: "The service added or changed a member of tracestate and did not put it at the left. The leftmost member tells \
              the next service which vendor wrote traceparent.",
    looks_like: "A vendor looks for its parent span among those of another one.",
    causes: &["The new member is appended, as with any other list header", "The value is replaced in place"],
    fix: &["Remove the old member and put the new one first", LIBRARY],
};

/// `tracestate_duplicate_key`.
pub static STATE_DUPLICATE_KEY: Rule = Rule {
    name: "tracestate_duplicate_key",
    severity: Error,
    spec: "w3c-trace-context-2 §combined-header-value",
    on_call: "{who} sent the key {detail} more than once in tracestate on {call}",
    on_request: "{client} sent the key {detail} more than once in tracestate to {who} on {from}",
    meaning: "A tracestate has two members with one key. Receivers take the first, the last, or discard the whole list. A \
              service that passes on what it received so is not at fault.",
    looks_like: "A vendor's view of the trace breaks at some of the receivers.",
    causes: &[
        "A member is put in front without removing the old one",
        "Two agents of one vendor in one process",
        "A proxy adds a line instead of setting it",
    ],
    fix: &["Remove the old member before adding the new one", LIBRARY],
};

/// `tracestate_malformed`.
pub static STATE_MALFORMED: Rule = Rule {
    name: "tracestate_malformed",
    severity: Error,
    spec: VALUES,
    on_call: "{who} sent a malformed tracestate ({reason}) on {call}",
    on_request: "{client} sent a malformed tracestate ({reason}) to {who} on {from}",
    meaning: "A member of tracestate does not follow the grammar; `reason` says how: delimiter (no =), key (lower-case \
              letters, digits and _-*/@, a letter or digit first), value (printable ASCII without , and =), key_length \
              and value_length (1 to 256). Receivers may discard the member or the whole list. A service that passes on \
              what it received so is not at fault.",
    looks_like: "The trace is whole, but vendors lose what they had in the list.",
    causes: &[
        "A value that is not encoded: JSON, base64 with =, a comma",
        "Keys with capital letters or dots",
        "A list that was cut at a length",
    ],
    fix: &["Encode values without , and =: base64url without padding, hex", LIBRARY],
};

/// `tracestate_too_many_members`.
pub static STATE_TOO_MANY_MEMBERS: Rule = Rule {
    name: "tracestate_too_many_members",
    severity: Error,
    spec: VALUES,
    on_call: "{who} sent more than 32 members in tracestate on {call}",
    on_request: "{client} sent more than 32 members in tracestate to {who} on {from}",
    meaning: "A tracestate has more than 32 members. Receivers may discard the whole list. Whoever adds a member to a full \
              list has to remove the rightmost one. A service that passes on what it received so is not at fault.",
    looks_like: "The trace is whole, but vendors lose what they had in the list.",
    causes: &["A member is added on every hop under a new key", "The list is used for values of the application"],
    fix: &["One member a vendor, rewritten on every hop", "Values of the application belong into baggage", LIBRARY],
};

/// `tracestate_truncated_mid_member`.
pub static STATE_TRUNCATED_MID_MEMBER: Rule = Rule {
    name: "tracestate_truncated_mid_member",
    severity: Error,
    spec: LIMITS,
    on_call: "{who} cut the tracestate of {from} in the middle of {detail} on {call}",
    on_request: "",
    meaning: "The service shortened tracestate in the middle of a member: the last value is the beginning of the one that \
              was received. Only whole members may be removed; what is left of this one means something else, or \
              nothing.",
    looks_like: "A vendor's parent span cannot be found: its id is cut.",
    causes: &["The header is cut to a number of bytes: substring, a fixed buffer, a column of a database"],
    fix: &["Remove whole members from the right until it fits", "Raise the limit to at least 512 characters", LIBRARY],
};

/// `tracestate_truncated_early`.
pub static STATE_TRUNCATED_EARLY: Rule = Rule {
    name: "tracestate_truncated_early",
    severity: Info,
    spec: LIMITS,
    on_call: "{who} shortened the tracestate of {from} on {call} (from {detail} on)",
    on_request: "",
    meaning: "The service removed members from the end of tracestate, or large ones, although the list has at most 512 \
              characters and 32 members. That much should be propagated by everybody; it is the least, not a maximum.",
    looks_like: "Vendors that took part early in the trace lose what they had in the list.",
    causes: &[
        "A low limit on the size of headers in a proxy or a tracer",
        "A tracer that deletes the member of one vendor",
    ],
    fix: &["Raise the limit to at least 512 characters", "Document the limit if it is meant"],
};

/// `tracestate_empty`.
pub static STATE_EMPTY: Rule = Rule {
    name: "tracestate_empty",
    severity: Info,
    spec: VALUES,
    on_call: "{who} sent an empty tracestate on {call}",
    on_request: "{client} sent an empty tracestate to {who} on {from}",
    meaning: "A request carries tracestate without a member in it. Receivers have to accept that, but nobody should send \
              it: it costs bytes, and some receivers stumble over it.",
    looks_like: "Nothing is missing from the trace.",
    causes: &["The header is written whether there is a list or not", "All members were removed"],
    fix: &["Leave the header out when the list is empty"],
};
