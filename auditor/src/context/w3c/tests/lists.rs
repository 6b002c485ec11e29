//! What a service may do to a list.

use proptest::prelude::*;

use super::{GOOD, Head, NEXT, OTHER};
use crate::context::testing::compare;
use crate::context::w3c::W3C;

/// Codes of what a service did to a list while it sent `parent` on.
fn states(received: &str, parent: &str, sent: &str) -> Vec<&'static str> {
    let received = [("traceparent", GOOD), ("tracestate", received)];
    let sent = [("traceparent", parent), ("tracestate", sent)];
    let without = &sent[..1];
    let sent: Head<'_> = if sent[1].1.is_empty() { without } else { &sent };
    let faults = compare(&W3C, &received, sent).faults;
    faults.iter().map(|fault| fault.rule.name).filter(|name| *name != "parent_id_not_updated").collect()
}

#[test]
fn lists_while_the_trace_goes_on() {
    let long = format!("a=1,b={},c=3", "v".repeat(200));
    let longer = format!("a={},b={},c=3", "v".repeat(250), "v".repeat(255));
    for (received, sent, code) in [
        ("a=1", "", "tracestate_dropped"),
        ("a=1,b=2", "me=1", "tracestate_member_removed"),
        ("a=1,b=2,c=3", "me=1,a=1,c=3", "tracestate_member_removed"),
        ("a=1,b=2,c=3", "me=1,a=1", "tracestate_truncated_early"),
        (&long, "me=1,a=1,c=3", "tracestate_truncated_early"),
        ("a=1,b=2,c=3", "c=3,b=2,a=1", "tracestate_order_changed"),
        ("a=1,b=2,c=3", "me=1,b=2,c=3,a=1", "tracestate_order_changed"),
        ("a=1,b=2", "a=1,b=2,me=3", "tracestate_update_not_leftmost"),
        ("a=1,b=2", "a=1,b=3", "tracestate_update_not_leftmost"),
        ("a=1,b=12345", "a=1,b=12", "tracestate_truncated_mid_member"),
        (&longer, &longer[..400], "tracestate_truncated_mid_member"),
    ] {
        assert_eq!(states(received, NEXT, sent), [code], "{received} {sent}");
    }
    let full: Vec<_> = (0..32).map(|n| format!("k{n}=v")).collect();
    let (full, shorter, other) = (full.join(","), full[..31].join(","), full[1..].join(","));
    // One had to go, and more went.
    let few = format!("me=1,{}", &shorter[..30]);
    for (sent, code) in [("me=1", "tracestate_member_removed"), (&few, "tracestate_truncated_early")] {
        assert_eq!(states(&full, NEXT, sent), [code], "{sent}");
    }
    for (received, sent) in [
        ("a=1", "a=1"),
        ("a=1,b=2", "me=1,a=1,b=2"),
        ("me=0,a=1", "me=1,a=1"),
        ("a=1,me=0,b=2", "me=1,a=1,b=2"),
        // Written again with the same value.
        ("a=1,me=0,b=2", "me=0,a=1,b=2"),
        // White space, empty members.
        (" a=1 ,\t,b=2", "a=1,b=2,"),
        ("a= 1", "a=1"),
        // What cannot be read, what is there twice, and what is too long may go.
        ("A=1,b=2", "b=2"),
        ("A=1,b=2", ""),
        ("a=1,b=2,a=3", "a=1,b=2"),
        ("a=1,b=2,a=3", "b=2,a=3"),
        (&longer, ""),
        (&longer, "c=3"),
        (&full, &format!("me=1,{shorter}")),
        (&full, &format!("me=1,{other}")),
        (&format!("{full},more=1"), ""),
        // The SDKs of OpenTelemetry own this one.
        ("ot=th:8", ""),
        ("a=1,ot=th:8", "a=1"),
        ("ot=th:8,a=1", "me=1,ot=th:8,a=1"),
        // Another tenant of the same vendor.
        ("1@nr=x,a=1", "2@nr=y,a=1"),
        // The value is one's own and got shorter.
        ("me=12345", "me=12"),
        ("a=1,me=12345", "me=12,a=1"),
        ("", "me=1"),
    ] {
        assert_eq!(states(received, NEXT, sent), Vec::<&str>::new(), "{received} {sent}");
    }
}

#[test]
fn lists_while_traceparent_stays() {
    for (received, sent, code) in [
        ("a=1,b=2", "a=1,b=3", "tracestate_modified_on_pass_through"),
        ("a=1,b=2", "b=2,a=1", "tracestate_modified_on_pass_through"),
        ("a=1,b=2", "a=1", "tracestate_modified_on_pass_through"),
        ("a=1,b=2", "", "tracestate_dropped"),
        ("me=12345", "me=12", "tracestate_truncated_mid_member"),
    ] {
        assert_eq!(states(received, GOOD, sent), [code], "{received} {sent}");
    }
    for (received, sent) in [
        ("a=1,b=2", " a=1,\t,b=2 ,"),
        // Proxies may add.
        ("a=1,b=2", "me=1,a=1,b=2"),
        ("A=1,b=2", "b=2"),
        ("a=1,a=2", "a=1"),
    ] {
        assert_eq!(states(received, GOOD, sent), Vec::<&str>::new(), "{received} {sent}");
    }
}

#[test]
fn lists_of_a_trace_that_ended() {
    let span = "rojo=00f067aa0ba902b7";
    for (received, sent) in [(span, span), (span, "me=1,rojo=00f067aa0ba902b7"), ("a=1,b=2", "a=1,b=2")] {
        assert_eq!(states(received, OTHER, sent), ["tracestate_kept_on_restart"], "{received} {sent}");
    }
    for (received, sent) in [
        (span, ""),
        (span, "rojo=c8be7c8270314442"),
        // What a vendor writes into every new list.
        ("dd=s:1", "dd=s:1"),
        ("ot=th:0,dd=s:1", "ot=th:0,dd=s:1"),
    ] {
        assert_eq!(states(received, OTHER, sent), Vec::<&str>::new(), "{received} {sent}");
    }
}

proptest! {
    #[test]
    fn a_tracer_that_keeps_the_list_is_never_accused(list in "([a-e]=[!-+\\--<>-~]{1,9},){0,9}", own in "[!-+\\--<>-~]{1,9}") {
        let mut members: Vec<_> = list.split(',').filter(|m| !m.is_empty() && !m.starts_with("e=")).collect();
        let own = format!("e={own}");
        members.insert(0, &own);
        let faults = states(&list, NEXT, &members.join(","));
        prop_assert!(faults.is_empty(), "{faults:?}");
    }
}
