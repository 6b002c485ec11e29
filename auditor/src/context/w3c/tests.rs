//! Each rule fires, and keeps quiet about what looks like it and is legal.

mod lists;
mod vectors;

use proptest::prelude::*;

use super::*;
use crate::context::testing::{beyond, compare, head, identity, names, read, reason, shown, status};

type Head<'a> = &'a [(&'a str, &'a str)];

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01";
const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-c8be7c8270314442-01";
const UPPER: &str = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01";

fn parents(received: &str, sent: &str) -> Vec<(&'static str, Option<&'static str>)> {
    names(&compare(&W3C, &[("traceparent", received)], &[("traceparent", sent)]).faults)
}

#[test]
fn what_became_of_the_trace() {
    let one = |value| [("traceparent", value)];
    let none: Head<'_> = &[];
    for (received, sent, expected) in [
        (&one(GOOD)[..], &one(NEXT)[..], Status::Continued),
        (&one(GOOD), &one(OTHER), Status::Restarted),
        (&one(GOOD), none, Status::Dropped),
        (none, &one(GOOD), Status::Started),
        (none, none, Status::Absent),
        (&one(UPPER), &one(OTHER), Status::Restarted),
        (&one(UPPER), none, Status::Absent),
        // A forwarder need not look.
        (&one(UPPER), &one(UPPER), Status::PassedThrough),
        (&one(GOOD), &one("nonsense"), Status::Unknown),
        // Whoever has 64 bits of an id keeps what it can.
        (&one(GOOD), &one("00-0000000000000000a3ce929d0e0e4736-b7ad6b7169203331-01"), Status::Continued),
    ] {
        assert_eq!(status(&W3C, received, sent), expected, "{received:?} {sent:?}");
    }
    let fields = [("Traceparent", GOOD), ("tracestate", "rojo=secret,congo=secret")];
    let read = read(&W3C, &fields).unwrap();
    let trace = Identity { span_id: Some(0x00f0_67aa_0ba9_02b7), sampled: Some(true), ..identity(0) };
    assert_eq!(read.identity, Some(Identity { trace_id: u128::from_str_radix(ID, 16).unwrap(), ..trace }));
    assert_eq!(shown(&W3C, &fields), format!("{GOOD}; tracestate: rojo,congo"));
}

#[test]
fn values_by_themselves() {
    let read = |fields: Head<'_>| read(&W3C, fields).map(|reading| names(&reading.faults)).unwrap_or_default();
    assert_eq!(reason(&W3C, &[("traceparent", UPPER)]), Some("uppercase_hex"));
    for (fields, code) in [
        (&[("traceparent", UPPER)][..], "traceparent_malformed"),
        (&[("traceparent", GOOD), ("traceparent", GOOD)], "traceparent_duplicated"),
        (&[("tracestate", "a=1")], "tracestate_without_traceparent"),
        (&[("traceparent", GOOD), ("tracestate", "")], "tracestate_empty"),
        (&[("trace-parent", GOOD)], "header_name_invalid"),
        (&[("trace_parent", GOOD), ("tracestate", "a=1")], "header_name_invalid"),
        (&[("Trace.Parent", GOOD)], "header_name_invalid"),
        (&[("traceparent", GOOD), ("trace-state", "a=1")], "header_name_invalid"),
        (&[("Traceparent", GOOD)], "header_name_not_lowercase"),
        (&[("traceparent", GOOD), ("TRACESTATE", "a=1")], "header_name_not_lowercase"),
    ] {
        assert_eq!(read(fields).iter().map(|fault| fault.0).collect::<Vec<_>>(), [code], "{fields:?}");
    }
    for legal in [
        &[("traceparent", GOOD), ("tracestate", "a=1"), ("tracestate", "b=2")][..],
        &[("traceparent", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")],
        // Flags of the sender's, or of somebody it heard them from.
        &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff")],
        &[("traceparent", "00-0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        // The right name beside it, and names that mean something else.
        &[("traceparent", GOOD), ("trace-parent", GOOD)],
        &[("trace-parent", "42"), ("trace_state", "on")],
    ] {
        assert_eq!(read(legal), [], "{legal:?}");
    }
}

#[test]
fn whoever_passes_on_what_it_received_is_not_at_fault() {
    let sloppy: Head<'_> = &[("Traceparent", UPPER), ("tracestate", "A=1,b=2,b=3")];
    let received = read(&W3C, sloppy).unwrap();
    assert_eq!((beyond(&received, None).len(), beyond(&received, Some(&received)).len()), (4, 0));
    assert_eq!(compare(&W3C, sloppy, sloppy), Comparison { status: Status::PassedThrough, faults: Vec::new() });
    let sent = read(&W3C, &[("traceparent", "00-1"), ("tracestate", "b=1,b=2")]).unwrap();
    assert_eq!(beyond(&sent, Some(&received)), [("traceparent_malformed", Some("length"))]);
    let beyond = |received: Head<'_>, sent: Head<'_>| beyond(&read(&W3C, sent).unwrap(), read(&W3C, received).as_ref());
    let (parent, state) = (("trace-parent", GOOD), ("trace-state", "a=1"));
    assert_eq!(beyond(&[("traceparent", GOOD), state], &[parent]), [("header_name_invalid", Some("traceparent"))]);
    // A tracer that starts a trace and sends on the other field as it came.
    assert_eq!(beyond(&[parent, state], &[("traceparent", NEXT), state]), []);
}

#[test]
fn parts_that_may_not_change() {
    for (received, sent, code, reason) in [
        ("01-ID-P-01", "01-ID-Q-01", "traceparent_version_not_downgraded", None),
        ("00-ID-P-05", "00-ID-Q-05", "reserved_trace_flags_set", None),
        ("00-ID-P-01", "00-ID-Q-09", "reserved_trace_flags_set", None),
        ("00-ID-P-01", "00-OID-Q-80", "reserved_trace_flags_set", None),
        ("00-ID-P-03", "00-ID-Q-01", "random_flag_changed", Some("cleared")),
        ("00-ID-P-00", "00-ID-Q-02", "random_flag_changed", Some("set")),
        ("00-ID-P-01", "00-ID-P-00", "traceparent_partially_modified", Some("flags_without_parent_id")),
        ("00-ID-P-03", "00-ID-P-00", "traceparent_partially_modified", Some("flags_without_parent_id")),
        // Somebody of level 1 that has no span.
        ("00-ID-P-03", "00-ID-P-01", "random_flag_changed", Some("cleared")),
        ("01-ID-P-01", "00-ID-P-00", "traceparent_partially_modified", Some("flags_without_parent_id")),
        ("00-ID-P-01", "00-OID-P-01", "traceparent_partially_modified", Some("trace_id_without_parent_id")),
        ("00-ID-P-01", "00-ID-Q-00", "sampled_flag_changed", Some("cleared")),
        ("00-ID-P-01", "00-ID-P-01", "parent_id_not_updated", None),
        ("00-ID-P-01-x", "00-ID-Q-01", "invalid_trace_id_reused", None),
    ] {
        assert_eq!(parents(&ids(received), &ids(sent)), [(code, reason)], "{received} {sent}");
    }
    for (received, sent) in [
        ("00-ID-P-01", "00-ID-Q-01"),
        ("00-ID-P-01", "00-OID-Q-00"),
        // Flags that mean nothing are cleared.
        ("00-ID-P-05", "00-ID-P-01"),
        ("00-ID-P-fc", "00-ID-P-00"),
        // A version is lowered, and with it go the flags that 00 does not know.
        ("01-ID-P-01", "00-ID-P-01"),
        ("01-ID-P-ff", "00-ID-P-01"),
        ("01-ID-P-ff-more", "00-ID-Q-01"),
        // Mandatory after an invalid value.
        ("00-ID-P-01-x", "00-OID-Q-01"),
        // Counters of two generators.
        ("00-ID-0000000000000001-01", "00-OID-0000000000000001-01"),
        // Of the same id, what 64 bits hold.
        ("00-ID-P-01", "00-0000000000000000a3ce929d0e0e4736-P-01"),
    ] {
        assert_eq!(parents(&ids(received), &ids(sent)), [], "{received} {sent}");
    }
    let random = |level| {
        let (received, sent) = (ids("00-ID-P-03"), ids("00-ID-Q-01"));
        let (received, sent) = (head(&[("traceparent", &received)]), head(&[("traceparent", &sent)]));
        W3C.compare(Fields(&received), Fields(&sent), level).faults.pop().unwrap().rule.severity.as_str()
    };
    assert_eq!((random(Level::One), random(Level::Two)), ("info", "warning"));
}

fn ids(text: &str) -> String {
    let text = text.replace("OID", "0af7651916cd43dd8448eb211c80319c").replace("ID", ID);
    text.replace('P', "00f067aa0ba902b7").replace('Q', "b7ad6b7169203331")
}

#[test]
fn of_several_values_the_right_one_may_be_taken() {
    let twice = [("traceparent", GOOD), ("traceparent", NEXT)];
    let fork = [("traceparent", GOOD), ("traceparent", OTHER)];
    let sent = ids("00-ID-c8be7c8270314442-01");
    let sent = [("traceparent", sent.as_str())];
    assert_eq!(names(&compare(&W3C, &twice, &sent).faults), []);
    assert_eq!(names(&compare(&W3C, &fork, &sent).faults), [("invalid_trace_id_reused", None)]);
    // Who copies one of them has not looked.
    assert_eq!(names(&compare(&W3C, &fork, &fork[..1]).faults), []);
    assert_eq!(names(&compare(&W3C, &fork, &fork[1..]).faults), []);
    let signed = [fork[0], ("tracestate", "me=1")];
    assert_eq!(names(&compare(&W3C, &fork, &signed).faults), [("invalid_trace_id_reused", None)]);
}

#[test]
fn who_takes_part_may_not_pass_on_what_is_invalid() {
    let received = [("traceparent", UPPER), ("tracestate", "a=1")];
    let faults = compare(&W3C, &received, &[("traceparent", UPPER), ("tracestate", "me=2,a=1")]).faults;
    assert_eq!(names(&faults), [("malformed_traceparent_propagated", None)]);
    // Bytes, white space, and a list of headers to copy.
    for sent in [&received[..], &[("traceparent", UPPER), ("tracestate", " a=1 ,")], &received[..1]] {
        assert_eq!(status(&W3C, &received, sent), Status::PassedThrough);
    }
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec!["traceparent", "Traceparent", "tracestate", "trace-parent", "trace_state"]);
    let value = prop_oneof![
        Just(GOOD.to_owned()),
        "[0-9a-fA-F]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
        "([a-d]=[ -~]{0,9},){0,9}",
        ".*",
    ];
    prop::collection::vec((name.prop_map(str::to_owned), value), 0..5)
}

proptest! {
    #[test]
    fn a_forwarder_is_never_accused(fields in fields()) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let Comparison { status, faults } = compare(&W3C, &fields, &fields);
        prop_assert!(matches!(status, Status::PassedThrough | Status::Absent), "{status:?}");
        prop_assert!(faults.iter().all(|fault| fault.rule.name == "parent_id_not_updated"), "{faults:?}");
        let reading = read(&W3C, &fields);
        prop_assert_eq!(reading.iter().flat_map(|r| beyond(r, reading.as_ref())).count(), 0);
    }

    #[test]
    fn any_heads_will_do(received in fields(), sent in fields()) {
        let of = |fields: &[(String, String)]| head(&fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>());
        let (received, sent) = (of(&received), of(&sent));
        let comparison = W3C.compare(Fields(&received), Fields(&sent), Level::Two);
        prop_assert!(comparison.faults.len() <= 8);
        let reading = W3C.read(Fields(&sent), Level::Two);
        prop_assert!(reading.is_none_or(|reading| reading.faults.len() <= 16));
        prop_assert!(W3C.evidence(Fields(&sent)).len() <= 512);
    }
}
