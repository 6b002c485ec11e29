//! For each code a test in which it fires, and tests in which it keeps quiet about what looks like it and is legal.

/// What shows that a code is right.
pub(crate) struct Evidence {
    pub(crate) code: &'static str,
    pub(crate) fires: Test,
    /// Legal, or nobody's fault.
    pub(crate) quiet: &'static [(&'static str, Test)],
}

/// A function in a file.
pub(crate) type Test = (&'static str, &'static str);

const CODES: &str = "auditor/tests/codes.rs";
const PIPELINE: &str = "auditor/src/pipeline/tests.rs";
const BOUNDARIES: &str = "auditor/src/pipeline/boundaries.rs";
const SAMPLES: &str = "auditor/src/pipeline/samples.rs";
const FORMATS: &str = "auditor/src/pipeline/formats.rs";
const INNOCENTS: &str = "auditor/src/pipeline/innocents.rs";
const IGNORE: &str = "auditor/src/audit/ignore.rs";
const W3C: &str = "auditor/src/context/w3c/tests.rs";
const LISTS: &str = "auditor/src/context/w3c/tests/lists.rs";
const TRACEPARENT: &str = "auditor/src/context/w3c/traceparent.rs";
const TRACESTATE: &str = "auditor/src/context/w3c/tracestate.rs";
const B3: &str = "auditor/src/context/b3/tests.rs";
const JAEGER: &str = "auditor/src/context/jaeger.rs";
const DATADOG: &str = "auditor/src/context/datadog.rs";
const XRAY: &str = "auditor/src/context/xray.rs";
const GOOGLE: &str = "auditor/src/context/google.rs";
const BAGGAGE: &str = "auditor/src/context/baggage/tests.rs";
const IDS: &str = "auditor/src/context/ids.rs";
const AGREEMENT: &str = "auditor/src/context/agreement.rs";
const TRANSLATE: &str = "auditor/src/context/translate.rs";
const ACCEPTANCE: &str = "auditor/src/context/history/acceptance.rs";
const PARENT_IDS: &str = "auditor/src/context/history/parent_ids.rs";
const ROOTS: &str = "auditor/src/context/history/roots.rs";
const RANDOMNESS: &str = "auditor/src/context/history/randomness.rs";
const KERNEL: &str = "tests/tests/blind_spots.rs";

const DROPPED: Test = (CODES, "what_ends_is_dropped_in_the_words_of_its_format");
const MALFORMED: Test = (CODES, "what_is_malformed_is_so_in_the_words_of_its_format");
const MAY_END: Test = (CODES, "what_may_end_is_not_dropped");
const VALUES: Test = (W3C, "values_by_themselves");
const PARTS: Test = (W3C, "parts_that_may_not_change");
const FORWARDER: Test = (W3C, "a_forwarder_is_never_accused");
const ON: Test = (LISTS, "lists_while_the_trace_goes_on");
const STAYS: Test = (LISTS, "lists_while_traceparent_stays");
const GRAMMAR: Test = (TRACESTATE, "what_the_grammar_allows");
const GRAMMAR_BROKEN: Test = (TRACESTATE, "what_it_does_not");
const PASSED_ON: Test = (W3C, "whoever_passes_on_what_it_received_is_not_at_fault");
const ROOM: Test = (BAGGAGE, "members_survive_while_there_is_room");
const TOLD: Test = (TRANSLATE, "what_is_told_of_it");
const ANOTHER_ID: Test = (IDS, "another_value_is_another_id");
const SAME_ID: Test = (IDS, "what_becomes_of_it");
const LEFT: Test = (BOUNDARIES, "context_that_leaves_what_is_internal_is_told");
const ODD_COPIES: Test = (SAMPLES, "to_copy_is_odd_for_who_makes_spans");
const REFUSED: Test = (SAMPLES, "values_that_are_as_valid_as_others_are_refused");
const UNSEEN: Test = (CODES, "what_cannot_be_seen_is_said");

const fn row(code: &'static str, fires: Test, quiet: &'static [(&'static str, Test)]) -> Evidence {
    Evidence { code, fires, quiet }
}

/// Of every code, in the order of `auditor explain`.
pub(crate) const EVIDENCE: &[Evidence] = &[
    row(
        "traceparent_dropped",
        (PIPELINE, "a_synchronous_server_that_drops_is_found_and_every_call_counts"),
        &[
            ("telemetry, health checks, metadata, CONNECT", (IGNORE, "telemetry_health_and_metadata_are_not_hops")),
            (
                "calls that need not be the request's",
                (INNOCENTS, "what_every_fifth_request_sets_off_is_not_the_requests"),
            ),
            ("calls long after the response", (PIPELINE, "what_comes_long_after_the_response_is_not_held_against_it")),
            ("heads that were not seen whole", (PIPELINE, "what_was_not_seen_whole_is_unknown")),
            ("lost records", (PIPELINE, "a_lost_event_never_creates_a_drop")),
        ],
    ),
    row(
        "trace_restarted",
        (PIPELINE, "restarts_are_found_unless_they_are_mandatory"),
        &[
            ("mandatory after an invalid value", (PIPELINE, "restarts_are_found_unless_they_are_mandatory")),
            ("a job's own trace", (INNOCENTS, "a_job_may_start_its_own_trace")),
            ("64 bits of the same id", (W3C, "what_became_of_the_trace")),
        ],
    ),
    row(
        "trace_not_started",
        (PIPELINE, "nothing_in_is_no_fault"),
        &[("a trace that is started", (PIPELINE, "nothing_in_is_no_fault"))],
    ),
    row(
        "parent_id_not_updated",
        (PIPELINE, "forwarding_is_continued_or_passed_through"),
        &[("a new parent-id", PARTS), ("a warning only for who makes spans on other calls", ODD_COPIES)],
    ),
    row(
        "traceparent_malformed",
        VALUES,
        &[
            ("longer values of later versions", (TRACEPARENT, "accepts_what_the_grammar_allows")),
            ("copied as it was received", (PIPELINE, "broken_values_blame_who_made_them")),
        ],
    ),
    row("traceparent_duplicated", VALUES, &[("copied as they were received", (PIPELINE, "duplicates"))]),
    row(
        "invalid_trace_id_reused",
        PARTS,
        &[
            ("a new trace", PARTS),
            ("several values of one trace", (W3C, "of_several_values_the_right_one_may_be_taken")),
        ],
    ),
    row(
        "malformed_traceparent_propagated",
        (W3C, "who_takes_part_may_not_pass_on_what_is_invalid"),
        &[("a forwarder need not parse", (W3C, "who_takes_part_may_not_pass_on_what_is_invalid"))],
    ),
    row(
        "traceparent_version_not_downgraded",
        PARTS,
        &[("a copy, byte for byte", FORWARDER), ("a lowered version", PARTS)],
    ),
    row("reserved_trace_flags_set", PARTS, &[("a copy, byte for byte", FORWARDER), ("flags of the sender's", VALUES)]),
    row("random_flag_changed", PARTS, &[("flags that go with a lowered version", PARTS)]),
    row(
        "traceparent_partially_modified",
        PARTS,
        &[("a lowered version alone", PARTS), ("counters as parent-ids", PARTS), ("64 bits of the same id", PARTS)],
    ),
    row("sampled_flag_changed", PARTS, &[("another decision for another trace", PARTS)]),
    row("header_name_invalid", VALUES, &[("the right name beside it; names that mean something else", VALUES)]),
    row("header_name_not_lowercase", VALUES, &[("copied as it was received", PASSED_ON)]),
    row(
        "tracestate_dropped",
        ON,
        &[("what cannot be read or is too long may go", ON), ("OpenTelemetry's own member", ON)],
    ),
    row("tracestate_without_traceparent", VALUES, &[("names that mean something else", VALUES)]),
    row(
        "tracestate_kept_on_restart",
        (FORMATS, "members_of_others_do_not_belong_into_a_new_trace"),
        &[("what a vendor writes into every list", (LISTS, "lists_of_a_trace_that_ended"))],
    ),
    row(
        "tracestate_modified_on_pass_through",
        STAYS,
        &[("a proxy's own member", STAYS), ("white space, empty members", STAYS)],
    ),
    row(
        "tracestate_member_removed",
        ON,
        &[("a full list", ON), ("duplicates and invalid members", ON), ("one's own members", ON)],
    ),
    row("tracestate_order_changed", ON, &[("an updated member moves to the left", ON)]),
    row("tracestate_update_not_leftmost", ON, &[("written again with the same value", ON)]),
    row("tracestate_duplicate_key", GRAMMAR_BROKEN, &[("copied as they were received", PASSED_ON)]),
    row("tracestate_malformed", GRAMMAR_BROKEN, &[("empty members, several lines", GRAMMAR)]),
    row("tracestate_too_many_members", GRAMMAR_BROKEN, &[("32 members and empty ones", GRAMMAR)]),
    row("tracestate_truncated_mid_member", ON, &[("one's own value that got shorter", ON)]),
    row("tracestate_truncated_early", ON, &[("above 512 characters", ON)]),
    row("tracestate_empty", VALUES, &[("an empty line beside members", GRAMMAR)]),
    row(
        "b3_dropped",
        DROPPED,
        &[("a decision alone", MAY_END), ("a trace that nobody records", (B3, "what_becomes_of_it"))],
    ),
    row(
        "b3_malformed",
        MALFORMED,
        &[("64-bit ids, booleans in words, missing zeroes", (B3, "reads_what_real_senders_write"))],
    ),
    row(
        "b3_sampling_changed",
        (B3, "a_decision_stays_as_it_was_made"),
        &[("a decision that was left open", (B3, "a_decision_stays_as_it_was_made"))],
    ),
    row(
        "b3_debug_lost",
        (B3, "a_decision_stays_as_it_was_made"),
        &[("kept in either spelling", (B3, "a_decision_stays_as_it_was_made"))],
    ),
    row("jaeger_dropped", DROPPED, &[("what cannot be read", MAY_END)]),
    row(
        "jaeger_malformed",
        MALFORMED,
        &[("percent-encoded, short ids, capital letters", (JAEGER, "reads_what_real_senders_write"))],
    ),
    row("datadog_dropped", DROPPED, &[("an id of 0", MAY_END)]),
    row(
        "datadog_malformed",
        MALFORMED,
        &[("no high half, tags of others", (DATADOG, "reads_what_real_senders_write"))],
    ),
    row("xray_dropped", DROPPED, &[("the id that a load balancer gives to every request", MAY_END)]),
    row("xray_malformed", MALFORMED, &[("ids that are not X-Ray's", (XRAY, "other_ids_are_not_x_rays"))]),
    row("google_dropped", DROPPED, &[("added by a front end that records nothing", MAY_END)]),
    row("google_malformed", MALFORMED, &[("no span, no options", (GOOGLE, "reads_what_real_senders_write"))]),
    row("baggage_dropped", DROPPED, &[("what cannot be read, an empty list", MAY_END)]),
    row("baggage_member_removed", ROOM, &[("no room, duplicates, malformed members", ROOM)]),
    row("baggage_member_truncated", ROOM, &[("an update to a shorter value", ROOM)]),
    row(
        "baggage_malformed",
        MALFORMED,
        &[("properties, white space, = in values, empty members", (BAGGAGE, "members_by_themselves"))],
    ),
    row("request_id_dropped", DROPPED, &[("an empty one", MAY_END)]),
    row("request_id_changed", ANOTHER_ID, &[("the digit that Envoy rewrites, a value that is added", SAME_ID)]),
    row(
        "trace_id_mismatch_across_formats",
        (AGREEMENT, "formats_of_a_head_agree"),
        &[
            ("64 bits of the same id, ids of load balancers", (AGREEMENT, "formats_of_a_head_agree")),
            ("copied as they were received", (AGREEMENT, "whoever_brings_the_second_trace_is_at_fault")),
        ],
    ),
    row("format_translated", TOLD, &[("its own format beside it", (TRANSLATE, "what_becomes_of_a_trace"))]),
    row("trace_id_truncated", TOLD, &[("64 bits beside all of them, or received as 64", TOLD)]),
    row("tracestate_lost_in_translation", TOLD, &[("no tracestate was received", TOLD)]),
    row("header_dropped", DROPPED, &[("an empty one", MAY_END)]),
    row("header_changed", ANOTHER_ID, &[]),
    row(
        "valid_traceparent_rejected",
        REFUSED,
        &[
            ("a boundary where every trace is restarted", (ACCEPTANCE, "what_is_as_valid_is_accepted")),
            ("strangers that come in elsewhere, or whose library writes Traceparent", REFUSED),
        ],
    ),
    row(
        "parent_id_reused",
        (SAMPLES, "one_parent_id_in_many_traces"),
        &[
            ("counters, half an id, replicas", (PARENT_IDS, "an_id_for_every_trace")),
            (
                "calls under one span, retries, a client's fixed id that is copied",
                (SAMPLES, "one_parent_id_in_many_calls_of_a_trace"),
            ),
        ],
    ),
    row(
        "trace_id_reused",
        (SAMPLES, "one_trace_for_all_requests"),
        &[
            ("many calls of one request", (ROOTS, "requests_that_may_be_related")),
            (
                "sessions, steps of one work, messages that are pushed",
                (SAMPLES, "one_trace_for_requests_that_belong_together"),
            ),
            ("a job beside requests", (SAMPLES, "one_trace_of_a_batch_job")),
        ],
    ),
    row(
        "trace_id_not_random",
        (SAMPLES, "trace_ids_that_count"),
        &[
            ("64-bit ids, a time in front, sampled ids", (RANDOMNESS, "ids_that_count_are_told_from_random_ones")),
            (
                "ids that a client counts, or whose origin is not known",
                (SAMPLES, "trace_ids_that_count_and_are_not_the_services"),
            ),
        ],
    ),
    row(
        "trace_context_sent_externally",
        LEFT,
        &[("nobody asked; what is internal or on the machine; ids that are no context", LEFT)],
    ),
    row("tls_not_visible", (KERNEL, "tls"), &[]),
    row("http2_not_visible", (KERNEL, "http2"), &[]),
    row("io_uring_not_visible", (KERNEL, "io_uring"), &[]),
    row("compat_syscall_not_visible", UNSEEN, &[]),
    row("capture_lost", (KERNEL, "lost_records"), &[]),
    row("head_truncated", (KERNEL, "truncated_head"), &[]),
    row("traffic_rewritten_below_socket", (KERNEL, "rewritten_below_the_socket"), &[]),
];
