//! What a request may have done: the likeliest sets of calls that it can have made, each with the probability that a
//! request goes that way.
//!
//! Two chains tell. Forwards, from the start: which call comes next, and how long after the last thing that happened to
//! the request. Backwards, from the end: which answer came last, and how long before what followed. So a call that holds
//! up the response is recognised by its end, and one that starts another by its start.

use super::model::{Last, Model, Next, State, mix};
use super::table::{Call, Inbound};
use crate::record::BootNs;

/// Histories that are kept of a request.
const KEPT: usize = 72;
/// A step that is so much less likely than chance (natural logarithm) is not taken.
const ABSURD: f64 = -9.0;
/// Calls that a request can have made that are looked at: bits of a set.
pub(super) const CHOICE: usize = 96;
/// How many calls back the state of a request reaches. Bounds the cost of one that makes many.
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
            let (mut weight, made) = (history.weight, history.made);
            take(inbound, calls, history.set, made, call, |state, next, time| weight += model.log(state, next, time));
            let before = count(calls, history.set, call.kind);
            if let Some(another) = another.get_mut(before) {
                weight += *another.get_or_insert_with(|| model.totals.another(inbound.route, call.kind, before));
            }
            let gain = weight - history.weight - chance;
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
        let mut weight = history.weight;
        finish(inbound, calls, history.set, history.made, |state, next, time, call| {
            weight += model.log(state, next, time) - call.map_or(0.0, |call| model.takes(call));
        });
        if inbound.end.is_some() {
            weight += model.totals.enough(inbound.route, &kinds(calls, history.set), history.made);
        }
        history.weight = weight;
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

/// Visits the steps that lead to a call after those of `set`.
fn take(
    inbound: &Inbound,
    calls: &[&Call],
    set: Set,
    made: u64,
    call: &Call,
    mut visit: impl FnMut(&State, Next, u64),
) {
    let late = inbound.end.filter(|end| call.start > *end);
    let Some(end) = late else {
        let (state, since) = state(inbound, calls, set, made, call.start);
        return visit(&state, Next::Call(call.kind), call.start - since);
    };
    let before = bits(set).next_back().and_then(|at| calls.get(at)).filter(|before| before.start > end);
    if before.is_none() {
        let (state, _) = state(inbound, calls, set, made, end);
        visit(&state, Next::End, 0);
    }
    let (last, since) = before.map_or((Last::Ended, end), |before| (Last::Called(before.kind), before.start));
    let state = State { route: inbound.route, made, last, waiting: false, ended: true, load: inbound.load };
    visit(&state, Next::Call(call.kind), call.start - since);
}

/// State of a request that made the calls of a set, before something happens to it at `now`, and since when it is in it.
fn state(inbound: &Inbound, calls: &[&Call], set: Set, made: u64, now: BootNs) -> (State, BootNs) {
    let (mut last, mut since, mut waiting) = (Last::Came, inbound.start, false);
    for call in bits(set).rev().take(REACH).filter_map(|at| calls.get(at)) {
        if call.start > since || (call.start == since && last == Last::Came) {
            (last, since) = (Last::Called(call.kind), call.start);
        }
        match call.end.filter(|end| *end <= now) {
            Some(end) if end >= since => (last, since) = (Last::Got(call.kind), end),
            Some(_) => {}
            None => waiting = true,
        }
    }
    (State { route: inbound.route, made, last, waiting, ended: false, load: inbound.load }, since.min(now))
}

/// Visits the steps at the end of a request that made the calls of a set, the ends of these calls backwards.
fn finish(
    inbound: &Inbound,
    calls: &[&Call],
    set: Set,
    made: u64,
    mut visit: impl FnMut(&State, Next, u64, Option<&Call>),
) {
    let Some(end) = inbound.end else { return };
    let route = inbound.route;
    let late = bits(set).next_back().and_then(|at| calls.get(at)).filter(|last| last.start > end);
    if late.is_none() {
        let (state, _) = state(inbound, calls, set, made, end);
        visit(&state, Next::End, 0, None);
    }
    let last = late.map_or(Last::Ended, |call| Last::Called(call.kind));
    visit(&State { route, made: 0, last, waiting: false, ended: true, load: inbound.load }, Next::Nothing, 0, None);
    let answered = |at: &usize| calls.get(*at).and_then(|call| call.end).is_some_and(|answer| answer <= end);
    let mut left: Set = bits(set).rev().take(REACH).filter(answered).fold(0, |left, at| left | 1 << at);
    let mut remaining = 0u64;
    for call in bits(left).filter_map(|at| calls.get(at)) {
        remaining = remaining.wrapping_add(mix(u64::from(call.kind)));
    }
    let (mut last, mut before) = (Last::Over, end);
    while let Some((answer, at, call)) = bits(left)
        .filter_map(|at| calls.get(at).map(|call| (call.end.unwrap_or(end), at, *call)))
        .max_by_key(|it| (it.0, it.1))
    {
        let state = State { route, made: remaining, last, waiting: false, ended: false, load: inbound.load };
        visit(&state, Next::Call(call.kind), before.saturating_sub(answer), Some(call));
        left &= !(1 << at);
        remaining = remaining.wrapping_sub(mix(u64::from(call.kind)));
        (last, before) = (Last::Before(call.kind), answer);
    }
}

/// Adds what a request did to a model, if it made the calls of a set. `believed` tells which steps are.
pub(super) fn learn(
    model: &mut Model,
    inbound: &Inbound,
    calls: &[&Call],
    set: Set,
    believed: impl Fn(&State, Next) -> bool,
) {
    let (mut made, mut before) = (0u64, 0);
    let mut visit = |state: &State, next: Next, time: u64| {
        if believed(state, next) {
            model.add(state, next, time);
        }
    };
    for at in bits(set) {
        let Some(call) = calls.get(at) else { continue };
        take(inbound, calls, before, made, call, &mut visit);
        made = made.wrapping_add(token(count(calls, before, call.kind), call.kind));
        before |= 1 << at;
    }
    finish(inbound, calls, set, made, |state, next, time, _| visit(state, next, time));
    model.totals.add(inbound.route, &kinds(calls, set), made);
    model.learnt();
}
