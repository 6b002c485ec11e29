use proptest::prelude::*;

use super::super::format::Status;
use super::super::testing::{compare, names, read, reason, shown, status};
use super::B3;

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";

/// Multiple headers; an empty value stands for none.
fn multiple<'a>(trace: &'a str, span: &'a str, sampled: &'a str, flags: &'a str) -> [(&'a str, &'a str); 4] {
    [("X-B3-TraceId", trace), ("X-B3-SpanId", span), ("X-B3-Sampled", sampled), ("X-B3-Flags", flags)]
}

#[test]
fn reads_what_real_senders_write() {
    let half = &TRACE[16..];
    for (fields, short, sampled, debug) in [
        (multiple(TRACE, SPAN, "1", "").to_vec(), false, Some(true), false),
        (multiple(TRACE, SPAN, "0", "").to_vec(), false, Some(false), false),
        (multiple(TRACE, SPAN, "", "").to_vec(), false, None, false),
        (multiple(TRACE, SPAN, "", "1").to_vec(), false, Some(true), true),
        (multiple(TRACE, SPAN, "0", "1").to_vec(), false, Some(true), true),
        (multiple(TRACE, SPAN, "True", "6").to_vec(), false, Some(true), false),
        (multiple(half, SPAN, "false", "0").to_vec(), true, Some(false), false),
        (vec![("b3", &*format!("{TRACE}-{SPAN}"))], false, None, false),
        (vec![("B3", &*format!("{TRACE}-{SPAN}-1"))], false, Some(true), false),
        (vec![("b3", &*format!("{TRACE}-{SPAN}-d"))], false, Some(true), true),
        (vec![("b3", &*format!("{half}-{SPAN}-0-05e3ac9a4f6e3b90"))], true, Some(false), false),
        (vec![("b3", &*format!("{TRACE}-{SPAN}-05e3ac9a4f6e3b90"))], false, None, false),
        (vec![("x-b3-parentspanid", "0000000000000000"), ("b3", &*format!("{TRACE}-{SPAN}"))], false, None, false),
        // A second line does not count.
        (vec![("b3", &*format!("{TRACE}-{SPAN}-1")), ("b3", "?")], false, Some(true), false),
    ] {
        let reading = read(&B3, &fields).unwrap();
        assert_eq!(reading.faults, [], "{fields:?}");
        let identity = reading.identity.unwrap();
        assert_eq!((identity.short, identity.sampled, identity.debug), (short, sampled, debug), "{fields:?}");
        assert_eq!(identity.span_id, Some(0xa2fb_4a1d_1a96_d312));
        assert_eq!(identity.trace_id & u128::from(u64::MAX), 0x4848_5a39_53bb_6124);
        assert!(shown(&B3, &fields).contains(half), "{fields:?}");
    }
    let unpadded = read(&B3, &multiple("63ac35c9f6413ad", "2fb4a1d1a96d312", "1", "")).unwrap();
    assert_eq!((unpadded.faults.len(), unpadded.identity.unwrap().trace_id), (0, 0x063a_c35c_9f64_13ad));
}

#[test]
fn a_decision_alone_names_no_trace() {
    for fields in [vec![("b3", "0")], vec![("b3", "d")], vec![("x-b3-sampled", "0")], vec![("x-b3-flags", "1")]] {
        let reading = read(&B3, &fields).unwrap();
        assert_eq!((reading.identity, reading.faults), (None, vec![]));
        assert_eq!(status(&B3, &fields, &[]), Status::Absent);
    }
    assert_eq!(read(&B3, &[("b3", ""), ("x-b3-traceid", " ")]), None);
}

#[test]
fn names_what_is_wrong() {
    let zero = "00000000000000000000000000000000";
    for (trace, span, sampled, expected) in [
        ("undefined", SPAN, "1", "non_hex"),
        ("463ac35c-9f64-13ad-4848-5a3953bb6124", SPAN, "1", "length"),
        ("463AC35C9F6413AD", SPAN, "1", "uppercase_hex"),
        (zero, SPAN, "1", "zero_trace_id"),
        (TRACE, "0000000000000000", "1", "zero_span_id"),
        (TRACE, TRACE, "1", "length"),
        (TRACE, "", "1", "missing_span_id"),
        ("", SPAN, "1", "missing_trace_id"),
        (TRACE, SPAN, "yes", "sampling_state"),
    ] {
        assert_eq!(reason(&B3, &multiple(trace, span, sampled, "")), Some(expected), "{trace} {span}");
    }
    for (value, expected) in [
        (TRACE.to_owned(), "missing_span_id"),
        (format!("{TRACE}-{SPAN}-2"), "sampling_state"),
        (format!("{TRACE}-{SPAN}-"), "sampling_state"),
        (format!("{TRACE}-{SPAN}-1-x"), "parent_span_id"),
        (format!("{TRACE}-{SPAN}-1-{SPAN}-1"), "trailing_data"),
        (format!("{TRACE}-{SPAN}, {TRACE}-{SPAN}"), "length"),
        ("2".to_owned(), "missing_span_id"),
    ] {
        assert_eq!(reason(&B3, &[("b3", &value)]), Some(expected), "{value}");
    }
}

#[test]
fn the_single_header_counts() {
    let single = format!("{TRACE}-{SPAN}-0");
    let other = "00000000000000010000000000000001";
    let both = |trace| [vec![("b3", &*single)], multiple(trace, SPAN, "1", "").to_vec()].concat();
    let agreeing = read(&B3, &both(TRACE)).unwrap();
    assert_eq!((agreeing.faults.len(), agreeing.identity.unwrap().sampled), (0, Some(false)));
    let disagreeing = read(&B3, &both(other)).unwrap();
    assert_eq!(disagreeing.faults[0].rule.name, "trace_id_mismatch_across_formats");
    assert_eq!(disagreeing.identity.unwrap().trace_id, agreeing.identity.unwrap().trace_id);
    // Where it cannot be read, receivers fall back to the others.
    let broken = [vec![("b3", "?")], multiple(TRACE, SPAN, "1", "").to_vec()].concat();
    let broken = read(&B3, &broken).unwrap();
    assert_eq!(
        (broken.identity, broken.faults[0].rule.name),
        (agreeing.identity.map(|identity| super::Identity { sampled: Some(true), ..identity }), "b3_malformed")
    );
}

#[test]
fn what_becomes_of_it() {
    let received = multiple(TRACE, SPAN, "1", "");
    let single = |state: &str| format!("{TRACE}-00f067aa0ba902b7{state}");
    assert_eq!(status(&B3, &received, &received), Status::PassedThrough);
    assert_eq!(status(&B3, &received, &multiple(TRACE, "00f067aa0ba902b7", "1", "")), Status::Continued);
    assert_eq!(status(&B3, &received, &multiple(&TRACE[16..], SPAN, "1", "")), Status::Continued);
    assert_eq!(status(&B3, &received, &[("b3", &single("-1"))]), Status::Continued);
    assert_eq!(status(&B3, &received, &[]), Status::Dropped);
    assert_eq!(status(&B3, &received, &[("b3", "0")]), Status::Dropped);
    assert_eq!(status(&B3, &[], &received), Status::Started);
    assert_eq!(status(&B3, &[], &[]), Status::Absent);
    assert_eq!(status(&B3, &received, &multiple("1", SPAN, "0", "")), Status::Restarted);
    assert_eq!(status(&B3, &received, &[("b3", "?")]), Status::Unknown);
    assert_eq!(status(&B3, &[("b3", "?")], &[("b3", "?")]), Status::PassedThrough);
    // Ids are not needed where nobody records.
    for sampled in ["0", ""] {
        assert_eq!(status(&B3, &multiple(TRACE, SPAN, sampled, ""), &[("b3", "0")]), Status::Continued);
    }
}

#[test]
fn a_decision_stays_as_it_was_made() {
    let judged = |received: (&str, &str), sent: (&str, &str)| {
        let received = multiple(TRACE, SPAN, received.0, received.1);
        names(&compare(&B3, &received, &multiple(TRACE, "1", sent.0, sent.1)).faults)
    };
    for (received, sent, expected) in
        [("1", "0", "accept_to_deny"), ("0", "1", "deny_to_accept"), ("1", "", "accept_lost"), ("0", "", "deny_lost")]
    {
        assert_eq!(judged((received, ""), (sent, "")), [("b3_sampling_changed", Some(expected))]);
    }
    for sent in [("1", ""), ("0", ""), ("", "")] {
        assert_eq!(judged(("", "1"), sent), [("b3_debug_lost", None)]);
    }
    // Legal: as it was, spelt differently, made where it was left open, asked for on the way.
    for (received, sent) in [
        (("1", ""), ("true", "")),
        (("", ""), ("1", "")),
        (("", ""), ("0", "")),
        (("", ""), ("", "1")),
        (("1", ""), ("", "1")),
        (("", "1"), ("1", "1")),
    ] {
        assert_eq!(judged(received, sent), [], "{received:?} {sent:?}");
    }
    // It came alone, for the trace that the service starts.
    let started = |sampled| names(&compare(&B3, &[("b3", "0")], &multiple(TRACE, SPAN, sampled, "")).faults);
    assert_eq!(started("1"), [("b3_sampling_changed", Some("deny_to_accept"))]);
    assert_eq!(started("0"), []);
}

proptest! {
    #[test]
    fn ids_come_back(trace in 1u128.., span in 1u64.., state in prop_oneof![Just(""), Just("-0"), Just("-1"), Just("-d")]) {
        let identity = read(&B3, &[("b3", &format!("{trace:032x}-{span:016x}{state}"))]).unwrap().identity.unwrap();
        prop_assert_eq!((identity.trace_id, identity.span_id), (trace, Some(span)));
        let (trace_id, span_id) = (format!("{trace:032x}"), format!("{span:016x}"));
        let sampled = state.trim_start_matches('-');
        prop_assert_eq!(read(&B3, &multiple(&trace_id, &span_id, sampled, "")).unwrap().identity, Some(identity));
    }
}
