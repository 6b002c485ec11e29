//! Whether a fleet service does what a fleet service has to do: a test of the tests. What arrived at the backend is
//! compared with what the service says it sent, and with what its variant may send.

use super::ledger::Request;
use super::model::{Route, Variant};
use super::scene::Played;
use crate::http::{Head, TraceParent};

/// What a service did that it should not have done.
pub fn breaches(variant: Variant, played: &Played) -> Vec<String> {
    let untold = played.truth.calls.keys().filter(|call| !played.heads.contains_key(call));
    let untold = untold.map(|call| format!("call {call} never arrived"));
    let calls = played.truth.calls.iter().filter_map(|(call, parent)| Some((call, parent, played.heads.get(call)?)));
    let wrong = calls.filter_map(|(call, parent, head)| {
        let request = parent.as_ref().and_then(|id| played.truth.requests.get(id));
        let wrong = match request {
            Some(request) => breach(variant, played.model.proxy, request, head),
            None => (path(head) != "/config").then_some("has no parent, but is not the timer's"),
        };
        wrong.map(|what| format!("call {call} of {parent:?} {what}: {head:?}; {request:?}"))
    });
    untold.chain(wrong).collect()
}

/// What is wrong with a call.
fn breach(variant: Variant, proxy: bool, request: &Request, head: &Head) -> Option<&'static str> {
    let path = path(head);
    let paths: &[&str] = match request.route {
        Route::Keep => &["/kept"],
        Route::Drop => &["/dropped"],
        Route::Fan => &["/a", "/b", "/c"],
        Route::Late => &["/after"],
        Route::None => &[],
    };
    if !paths.contains(&path) {
        return Some("is not of its route");
    }
    let drops = match variant {
        Variant::Healthy => false,
        Variant::Broken => request.route.broken() == Some(path) && (!proxy || request.route == Route::Drop),
        Variant::Blind | Variant::Affine => true,
    };
    let sent = |name: &str| request.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str());
    let carries = |name: &str| head.get(name) == sent(name);
    let ids = ["x-request-id", "authorization"];
    if drops {
        if head.get("traceparent").is_some() || head.get("tracestate").is_some() {
            return Some("has a context");
        }
    } else if !continues(proxy, sent("traceparent"), head.get("traceparent")) || !carries("tracestate") {
        return Some("has not the context of its request");
    }
    if variant == Variant::Affine && !ids.into_iter().all(carries) {
        return Some("has not the ids of its request");
    }
    if variant == Variant::Blind && ids.into_iter().any(|name| head.get(name).is_some()) {
        return Some("has ids");
    }
    None
}

/// The same trace; with a new parent, but for a proxy, which passes on what it has.
fn continues(proxy: bool, received: Option<&str>, sent: Option<&str>) -> bool {
    let (Some(received), Some(sent)) = (received.and_then(TraceParent::parse), sent.and_then(TraceParent::parse))
    else {
        return false;
    };
    received.trace_id == sent.trace_id && proxy == (received.parent_id == sent.parent_id)
}

/// Path of a request, without its query.
fn path(head: &Head) -> &str {
    let target = head.start.split(' ').nth(1).unwrap_or_default();
    target.split('?').next().unwrap_or_default()
}
