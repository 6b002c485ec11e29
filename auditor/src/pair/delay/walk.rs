//! The steps of a request under a hypothesis about which calls it made, and what the model says about them.

use super::model::{Last, Models, Next, State, mix};
use super::table::{Call, Inbound, Slab, Slot};
use crate::record::BootNs;

/// How far the past of a request reaches, and how far the effect of one call, in calls. Bounds the cost of a request
/// that makes thousands.
const REACH: usize = 16;
const AHEAD: usize = 8;

/// A call as a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    seq: u64,
    kind: u16,
    start: BootNs,
    end: Option<BootNs>,
}

impl Step {
    fn of(call: &Call) -> Self {
        Self { seq: call.seq, kind: call.kind, start: call.start, end: call.end }
    }
}

/// The part of a request that a change of its calls affects: from the first changed call to some after the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    first: u64,
    last: u64,
}

impl Span {
    pub(super) fn all() -> Self {
        Self { first: 0, last: u64::MAX }
    }

    /// Of a request when calls numbered from `first` to `last` come or go.
    pub(super) fn new(inbound: &Inbound, first: u64, last: u64) -> Self {
        let after = inbound.calls.partition_point(|(seq, _)| *seq <= last);
        Self { first, last: inbound.calls.get(after + AHEAD).map_or(u64::MAX, |(seq, _)| *seq) }
    }
}

/// The calls of a request, without some and with others; reused between evaluations.
pub(super) fn steps(
    calls: &Slab<Call>,
    inbound: &Inbound,
    span: Span,
    without: &[Slot],
    with: &[Slot],
    steps: &mut Vec<Step>,
) {
    steps.clear();
    let first = inbound.calls.partition_point(|(seq, _)| *seq < span.first).saturating_sub(REACH);
    let mut with = with.iter().filter_map(|slot| calls.get(*slot)).peekable();
    for (seq, slot) in inbound.calls.iter().skip(first) {
        if *seq > span.last {
            break;
        }
        while let Some(new) = with.next_if(|new| new.seq < *seq) {
            steps.push(Step::of(new));
        }
        if !without.contains(slot)
            && let Some(call) = calls.get(*slot)
        {
            steps.push(Step::of(call));
        }
    }
    steps.extend(with.map(Step::of));
}

/// Visits every step of a request with the state before it and the time since the last thing that happened.
pub(super) fn walk(inbound: &Inbound, span: Span, steps: &[Step], mut visit: impl FnMut(&State, Next, u64)) {
    let mut made = 0u64;
    let mut counts = [0u8; super::model::KINDS];
    let mut ended = false;
    let end = inbound.end;
    for (at, step) in steps.iter().enumerate() {
        let before = steps.get(at.saturating_sub(REACH)..at).unwrap_or_default();
        if let Some(end) = end.filter(|end| !ended && step.start > *end) {
            if step.seq >= span.first {
                let (state, since) = state(inbound, before, end, made, None);
                visit(&state, Next::End, end - since);
            }
            ended = true;
        }
        if step.seq >= span.first {
            let (state, since) = state(inbound, before, step.start, made, end.filter(|_| ended));
            visit(&state, Next::Call(step.kind), step.start - since);
        }
        // Many calls of a kind are like three.
        if let Some(count) = counts.get_mut(usize::from(step.kind)).filter(|count| **count < 3) {
            *count += 1;
            made = made.wrapping_add(mix(u64::from(step.kind) << 8 | u64::from(*count)));
        }
    }
    answers(inbound, span, steps, &mut visit);
    let Some(end) = end.filter(|_| span.last == u64::MAX) else { return };
    let before = steps.get(steps.len().saturating_sub(REACH)..).unwrap_or_default();
    if !ended {
        let (state, since) = state(inbound, before, end, made, None);
        visit(&state, Next::End, end - since);
    }
    let last = if ended { before.last().map_or(Last::Ended, |step| Last::Called(step.kind)) } else { Last::Ended };
    let state = State { route: inbound.route, made: 0, last, waiting: 0, ended: true };
    visit(&state, Next::Nothing, 0);
}

/// Visits the answers to the calls.
fn answers(inbound: &Inbound, span: Span, steps: &[Step], visit: &mut impl FnMut(&State, Next, u64)) {
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.seq >= span.first) {
        let Some(end) = step.end else { continue };
        let (mut waiting, mut made) = (0u8, 0u64);
        for (other, step) in steps.iter().enumerate().skip(at.saturating_sub(REACH)).take(2 * REACH) {
            if other == at || step.start > end {
                continue;
            }
            match step.end.filter(|other| *other <= end) {
                Some(_) => made = made.wrapping_add(mix(u64::from(step.kind))),
                None => waiting = waiting.saturating_add(1).min(3),
            }
        }
        let state = State { route: inbound.route, made, last: Last::Answer(step.kind), waiting, ended: false };
        visit(&state, Next::Answer, end - step.start);
    }
}

/// State of a request before something happens to it at `now`, and since when it is in it.
fn state(inbound: &Inbound, before: &[Step], now: BootNs, made: u64, ended: Option<BootNs>) -> (State, BootNs) {
    let (mut last, mut since) = (Last::Came, inbound.start);
    let mut waiting = 0u8;
    if let Some(end) = ended {
        (last, since) = (Last::Ended, end);
        if let Some(step) = before.last().filter(|step| step.start > end) {
            (last, since) = (Last::Called(step.kind), step.start);
        }
    } else {
        if let Some(step) = before.last() {
            (last, since) = (Last::Called(step.kind), step.start);
        }
        for step in before {
            match step.end.filter(|end| *end <= now) {
                Some(end) if end >= since => (last, since) = (Last::Got(step.kind), end),
                Some(_) => {}
                None => waiting = waiting.saturating_add(1),
            }
        }
    }
    (State { route: inbound.route, made, last, waiting, ended: ended.is_some() }, since.min(now))
}

/// Log density of what a request did.
pub(super) fn log(models: &Models, inbound: &Inbound, span: Span, steps: &[Step]) -> f64 {
    let mut sum = 0.0;
    let model = models.of(inbound.fold);
    walk(inbound, span, steps, |state, next, time| sum += model.log(state, next, time));
    sum
}
