//! What a request may have done: the likeliest sets of calls that it can have made, each with the probability that a
//! request goes that way.
//!
//! Every call, and the response, follows something that happened to the request (`trigger`). That holds for the response
//! as well: of the requests that may have made a call, it is the one that is answered when its calls are.

use super::mix::mix;
use super::model::Model;
use super::table::{Call, Inbound};
use super::trigger::{Step, Triggers};
use crate::record::BootNs;

/// Histories that are kept of a request.
const KEPT: usize = 72;
/// A step that is so much less likely than chance (natural logarithm) is not taken.
const ABSURD: f64 = -9.0;
/// Calls that a request can have made that are looked at: bits of a set.
pub(super) const CHOICE: usize = 96;
/// How many calls back what sets a step off is looked for. Bounds the cost of one that makes many.
const REACH: usize = 12;

/// Calls of a request, by their place in its list.
pub(super) type Set = u128;

/// A set of calls that a request may have made.
#[derive(Clone, Copy, Debug)]
pub(super) struct History {
    pub(super) set: Set,
    /// Natural logarithm: how much likelier than if the calls had nothing to do with it.
    pub(super) weight: f64,
    made: u64,
}

/// The bits of a set.
pub(super) fn bits(mut set: Set) -> impl DoubleEndedIterator<Item = usize> {
    let mut list = [0u8; 128];
    let mut count = 0;
    while set != 0 {
        if let Some(place) = list.get_mut(count) {
            *place = set.trailing_zeros() as u8;
        }
        count += 1;
        set &= set - 1;
    }
    list.into_iter().take(count).map(usize::from)
}

/// The likeliest histories of a request that had the choice between `calls`, which are in order.
pub(super) fn histories(model: &Model, inbound: &Inbound, place: u32, calls: &[&Call]) -> Vec<History> {
    let mut kept = vec![History { set: 0, weight: 0.0, made: 0 }];
    let mut more = Vec::new();
    for (at, call) in calls.iter().enumerate().take(CHOICE) {
        let bit = 1 << at;
        if call.gone || call.sure.is_some_and(|sure| sure != place) {
            continue;
        }
        let chance = model.chance(call.kind);
        more.clear();
        let mut another = [None; CHOICE];
        for history in &kept {
            let made = history.made;
            let before = count(calls, history.set, call.kind);
            let (step, triggers) = step(inbound, calls, history.set, call, before);
            let mut gain = model.log(inbound.route, step, &triggers) - chance;
            if let Some(another) = another.get_mut(before) {
                gain += *another.get_or_insert_with(|| model.totals.another(inbound.route, call.kind, before));
            }
            if gain > ABSURD || call.proven {
                let made = made.wrapping_add(token(before, call.kind));
                more.push(History { set: history.set | bit, weight: history.weight + gain, made });
            }
        }
        if call.proven {
            kept.clear();
        }
        kept.append(&mut more);
        prune(&mut kept);
    }
    for history in &mut kept {
        if let Some((step, triggers, early)) = response(inbound, calls, history.set) {
            history.weight += model.log(inbound.route, step, &triggers) + model.early(inbound.route, early);
            history.weight += model.nothing(inbound.route);
            history.weight += model.totals.enough(inbound.route, &kinds(calls, history.set), history.made);
        }
    }
    kept.sort_by(|one, other| other.weight.total_cmp(&one.weight));
    kept
}

fn prune(kept: &mut Vec<History>) {
    if kept.len() > KEPT {
        kept.select_nth_unstable_by(KEPT, |one, other| other.weight.total_cmp(&one.weight));
        kept.truncate(KEPT);
    }
}

/// Calls of a kind in a set.
fn count(calls: &[&Call], set: Set, kind: u16) -> usize {
    bits(set).filter(|at| calls.get(*at).is_some_and(|call| call.kind == kind)).count()
}

/// What a call adds to the hash of the calls made, after so many of its kind. Many are like three.
pub(super) fn token(before: usize, kind: u16) -> u64 {
    if before < 3 { mix(u64::from(kind) << 8 | before as u64) } else { 0 }
}

/// The kinds of the calls in a set, and how many of each.
fn kinds(calls: &[&Call], set: Set) -> Vec<(u16, usize)> {
    let mut kinds: Vec<(u16, usize)> = Vec::new();
    for call in bits(set).filter_map(|at| calls.get(at)) {
        match kinds.iter_mut().find(|(kind, _)| *kind == call.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((call.kind, 1)),
        }
    }
    kinds
}

/// What may set off what a request does at `now`, after the calls of a set.
fn triggers(inbound: &Inbound, calls: &[&Call], set: Set, now: BootNs) -> Triggers {
    let mut called: Option<(BootNs, u16)> = None;
    let mut got: Option<(BootNs, u16)> = None;
    for call in bits(set).rev().take(REACH).filter_map(|at| calls.get(at)) {
        if called.is_none_or(|(last, _)| call.start > last) {
            called = Some((call.start, call.kind));
        }
        let end = call.end.filter(|end| *end <= now);
        got = end.filter(|end| got.is_none_or(|(last, _)| *end > last)).map(|end| (end, call.kind)).or(got);
    }
    let since = |(at, kind): (BootNs, u16)| (kind, now.saturating_sub(at));
    let came = now.saturating_sub(inbound.start);
    Triggers { came, called: called.map(since), got: got.map(since), before: set.count_ones() }
}

/// The same for a call after the response.
fn late_triggers(end: BootNs, calls: &[&Call], set: Set, now: BootNs) -> Triggers {
    let last = bits(set).next_back().and_then(|at| calls.get(at)).filter(|last| last.start > end);
    let called = last.map(|last| (last.kind, now.saturating_sub(last.start)));
    Triggers { came: now.saturating_sub(end), called, ..Triggers::default() }
}

/// The step that a call is, after those of `set`.
fn step(inbound: &Inbound, calls: &[&Call], set: Set, call: &Call, before: usize) -> (Step, Triggers) {
    match inbound.end.filter(|end| call.start > *end) {
        Some(end) => (Step::Late(call.kind), late_triggers(end, calls, set, call.start)),
        None => (Step::Call(call.kind, before), triggers(inbound, calls, set, call.start)),
    }
}

/// The response: the step, and whether some call had no answer yet.
fn response(inbound: &Inbound, calls: &[&Call], set: Set) -> Option<(Step, Triggers, bool)> {
    let end = inbound.end?;
    let (mut before, mut made, mut early) = (0, 0u64, false);
    for at in bits(set) {
        let Some(call) = calls.get(at).filter(|call| call.start <= end) else { continue };
        made = made.wrapping_add(token(count(calls, before, call.kind), call.kind));
        before |= 1 << at;
        early |= call.end.is_none_or(|answer| answer > end);
    }
    Some((Step::End(made), triggers(inbound, calls, before, end), early))
}

/// Adds what a request did to a model, if it made the calls of a set. `early`: also if it was answered before its calls
/// were; `late`: also what it did after that.
pub(super) fn learn(model: &mut Model, inbound: &Inbound, calls: &[&Call], set: Set, early: bool, late: bool) {
    let (mut made, mut before, mut steps) = (0u64, 0, Vec::new());
    for at in bits(set) {
        let Some(call) = calls.get(at) else { continue };
        let nth = count(calls, before, call.kind);
        steps.push(step(inbound, calls, before, call, nth));
        made = made.wrapping_add(token(nth, call.kind));
        before |= 1 << at;
    }
    if let Some((step, triggers, is_early)) = response(inbound, calls, set) {
        steps.push((step, triggers));
        if early || !is_early {
            model.add_end(inbound.route, is_early);
        }
        if late {
            model.add_nothing(inbound.route);
        }
    }
    for (step, triggers) in steps {
        if late || !matches!(step, Step::Late(_)) {
            model.add(inbound.route, step, &triggers);
        }
    }
    model.totals.add(inbound.route, &kinds(calls, set), made);
    model.learnt();
}
