//! The ground that the test suite of W3C covers: what it sends to a service, what a service may make of it, and what
//! not. `docs/conformance.md` has what becomes of the suite itself.

use super::{GOOD, Head, NEXT, OTHER, ids};
use crate::context::format::{Fields, Status};
use crate::context::testing::{compare, head, names, read};
use crate::context::w3c::{Context, W3C};
use crate::exchange::Visibility;

/// `traceparent` as it is received, the reason why it is none, and the code if its trace-id goes on all the same.
const PARENTS: [(&str, Option<&str>); 27] = [
    ("00-ID-P-01", None),
    ("00-ID-P-02", None),
    (" 00-ID-P-01", None),
    ("\t00-ID-P-01", None),
    ("00-ID-P-01 ", None),
    ("00-ID-P-01\t", None),
    ("\t 00-ID-P-01 \t", None),
    ("cc-ID-P-01", None),
    ("cc-ID-P-01-and-more", None),
    ("cc-ID-P-01.and-more", Some("length")),
    ("00-ID-P-01.", Some("trailing_data_v00")),
    ("00-ID-P-01-and-more", Some("trailing_data_v00")),
    ("ff-ID-P-01", Some("version_ff")),
    (".0-ID-P-01", Some("non_hex")),
    ("0.-ID-P-01", Some("non_hex")),
    ("000-ID-P-01", Some("delimiter")),
    ("0000-ID-P-01", Some("delimiter")),
    ("0-ID-P-01", Some("length")),
    ("00-ID-0000000000000000-01", Some("zero_parent_id")),
    ("00-ID-.0f067aa0ba902b7-01", Some("non_hex")),
    ("00-ID-00f067aa0ba902b.-01", Some("non_hex")),
    ("00-ID-P0-01", Some("delimiter")),
    ("00-ID-00f067aa0ba902b-01", Some("length")),
    ("00-ID-P-.0", Some("flags")),
    ("00-ID-P-0.", Some("flags")),
    ("00-ID-P-001", Some("trailing_data_v00")),
    ("00-ID-P-1", Some("length")),
];

/// The same, where nobody could take the trace-id for one.
const BROKEN_IDS: [(&str, &str); 5] = [
    ("00-00000000000000000000000000000000-P-01", "zero_trace_id"),
    ("00-.bf92f3577b34da6a3ce929d0e0e4736-P-01", "non_hex"),
    ("00-4bf92f3577b34da6a3ce929d0e0e473.-P-01", "non_hex"),
    ("00-ID0-P-01", "delimiter"),
    ("00-4bf92f3577b34da6a3ce929d0e0e473-P-01", "length"),
];

fn codes(received: Head<'_>, sent: Head<'_>) -> Vec<&'static str> {
    names(&compare(&W3C, received, sent).faults).into_iter().map(|(code, _)| code).collect()
}

#[test]
fn a_trace_goes_on_if_its_parent_is_valid_and_only_then() {
    for (value, reason) in PARENTS {
        let value = ids(value);
        let received = [("traceparent", value.as_str())];
        assert_eq!(reason_of(&received), reason, "{value}");
        let sent = ids(if value.contains("-02") { "00-ID-Q-02" } else { "00-ID-Q-01" });
        let reused = reason.map(|_| "invalid_trace_id_reused");
        assert_eq!(codes(&received, &[("traceparent", &sent)]), Vec::from_iter(reused), "{value}");
        assert_eq!(codes(&received, &[("traceparent", OTHER)]), Vec::<&str>::new(), "{value}");
    }
    for (value, reason) in BROKEN_IDS {
        let value = ids(value);
        assert_eq!(reason_of(&[("traceparent", &value)]), Some(reason), "{value}");
        assert_eq!(codes(&[("traceparent", &value)], &[("traceparent", OTHER)]), Vec::<&str>::new(), "{value}");
        let signed = [("traceparent", value.as_str()), ("tracestate", "me=1")];
        assert_eq!(codes(&[("traceparent", &value)], &signed), ["malformed_traceparent_propagated"], "{value}");
    }
}

fn reason_of(fields: Head<'_>) -> Option<&'static str> {
    match Context::read(Fields(&head(fields)), Visibility::Whole) {
        Context::Malformed(reason, ..) => Some(reason.as_str()),
        _ => None,
    }
}

#[test]
fn names_of_the_fields() {
    for name in ["TraceParent", "tRaCePaReNt", "TRACEPARENT"] {
        assert_eq!(compare(&W3C, &[(name, GOOD)], &[("traceparent", NEXT)]).status, Status::Continued, "{name}");
        assert_eq!(compare(&W3C, &[(name, GOOD)], &[]).status, Status::Dropped, "{name}");
    }
    for name in ["trace-parent", "trace.parent"] {
        assert_eq!(compare(&W3C, &[(name, GOOD)], &[("traceparent", OTHER)]).status, Status::Started, "{name}");
        assert_eq!(compare(&W3C, &[(name, GOOD)], &[]).status, Status::Absent, "{name}");
    }
    for name in ["TraceState", "tRaCeStAtE", "TRACESTATE"] {
        let received = [("traceparent", GOOD), (name, "a=1")];
        assert_eq!(codes(&received, &[("traceparent", NEXT)]), ["tracestate_dropped"], "{name}");
    }
    for name in ["trace-state", "trace.state"] {
        assert_eq!(codes(&[("traceparent", GOOD), (name, "a=1")], &[("traceparent", NEXT)]), Vec::<&str>::new());
    }
}

#[test]
fn values_of_several_lines() {
    let lines = [("traceparent", GOOD), ("tracestate", "a=1,b=2"), ("tracestate", "c=3,d=4"), ("tracestate", "e=5")];
    let all = [("traceparent", NEXT), ("tracestate", "a=1,b=2,c=3,d=4,e=5")];
    assert_eq!(codes(&lines, &all), Vec::<&str>::new());
    assert_eq!(codes(&lines, &[all[0], lines[1], lines[2], lines[3]]), Vec::<&str>::new());
    for (list, code) in [
        ("a=1,b=2,d=4,e=5", "tracestate_member_removed"),
        ("a=1,b=2", "tracestate_truncated_early"),
        ("e=5,c=3,d=4,a=1,b=2", "tracestate_order_changed"),
    ] {
        assert_eq!(codes(&lines, &[all[0], ("tracestate", list)]), [code], "{list}");
    }
    // Lines without anything on them.
    for lines in [["a=1", ""], ["", "a=1"]] {
        let received = [("traceparent", GOOD), ("tracestate", lines[0]), ("tracestate", lines[1])];
        assert_eq!(codes(&received, &[("traceparent", NEXT), ("tracestate", "a=1")]), Vec::<&str>::new());
        assert_eq!(codes(&received, &[("traceparent", NEXT)]), ["tracestate_dropped"]);
    }
    assert_eq!(codes(&[("traceparent", GOOD), ("tracestate", "")], &[("traceparent", NEXT)]), Vec::<&str>::new());
}

/// Lists that have to be sent on, and lists that may be thrown away.
#[test]
fn lists_that_count() {
    let long = |length: usize| "k".repeat(length) + "=1";
    let full = (0..32).map(|n| format!("k{n:02}={n}")).collect::<Vec<_>>().join(",");
    let printable: String = (b' '..=b'~').map(char::from).filter(|c| !",=".contains(*c)).collect();
    let characters = format!("abcdefghijklmnopqrstuvwxyz0123456789_-*/@a-z0-9_-*/={printable}");
    for list in [
        "a=1 \t , \t b=2, \t c=3",
        " a=1",
        "\ta=1\t",
        "a@=1,b=2",
        "a@@c=1,b=2",
        "a@c@d=1,b=2",
        &full,
        &characters,
        &format!("a=1,{}", long(256)),
        &format!("a=1,{}", format!("{}@{}", "t".repeat(242), "v".repeat(13)) + "=1"),
        &format!("a=1,t@{}=1", "v".repeat(15)),
    ] {
        assert_eq!(of_list(list), (0, vec!["tracestate_dropped"]), "{list}");
    }
    for list in [
        "a =1",
        "A=1",
        "a.b=1",
        "@a=1,b=2",
        "a=b=c",
        "a=,b=3",
        &format!("a=1,{}", long(257)),
        &format!("{full},k32=32"),
    ] {
        assert_eq!(of_list(list), (1, vec![]), "{list}");
    }
    // May be kept as they are, or one of them.
    for list in ["a=1,a=1", "a=1,a=2"] {
        for sent in ["a=1", list] {
            let sent = [("traceparent", NEXT), ("tracestate", sent)];
            assert_eq!(codes(&[("traceparent", GOOD), ("tracestate", list)], &sent), Vec::<&str>::new());
        }
    }
}

/// How many things are wrong with a list, and codes if it is thrown away.
fn of_list(list: &str) -> (usize, Vec<&'static str>) {
    let received = [("traceparent", GOOD), ("tracestate", list)];
    let reading = read(&W3C, &received).unwrap();
    (reading.faults.len(), codes(&received, &[("traceparent", NEXT)]))
}
