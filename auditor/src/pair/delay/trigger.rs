//! What sets a step of a request off, and how soon it follows.
//!
//! A call follows the arrival of its request, the call before, or the answer to one; so does the response. Which of
//! them, nobody says: every step has a share for each, and the times since each have their distribution. Calls that a
//! request makes one after the other follow answers, those it makes at once follow each other, and neither has to be
//! told: the shares are learnt with the times, each observation counting for a trigger as far as that explains it.
//!
//! A trigger that has not happened yet keeps its share: a call that always follows an answer hardly comes without one.

use std::collections::HashMap;

use super::gap::{self, BINS, Gaps};
use super::mix::{Plain, mix};

/// The arrival, the last call, the last answer.
const TRIGGERS: usize = 3;
/// Their shares before anything was seen.
const SHARES: [f64; TRIGGERS] = [0.4, 0.3, 0.3];
/// Distributions and shares held per process.
const MOST: usize = 4096;
/// Weight of coarser shares, in observations.
const SHARE: f64 = 10.0;
/// Of a coarser distribution; of the coarsest, of knowing nothing.
const COARSE: f64 = 50.0;
const NOTHING: f64 = 30.0;
/// Calls made before that are told apart.
const BEFORE: u32 = 4;
/// Calls of a kind, the same.
const NTH: usize = 2;
/// An observation that explains less than this part of a step does not count.
const TRACE: f64 = 0.001;

/// What a request does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It calls, after so many calls of the same kind.
    Call(u16, usize),
    /// It is answered, after calls with this hash.
    End(u64),
    /// It calls after it was answered.
    Late(u16),
}

/// What may have set a step off: since when, in nanoseconds, and with which kind of call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Triggers {
    /// Its arrival; after its end, that.
    pub(super) came: u64,
    pub(super) called: Option<(u16, u64)>,
    pub(super) got: Option<(u16, u64)>,
    /// Calls made before.
    pub(super) before: u32,
}

impl Triggers {
    fn list(&self) -> [Option<(u16, u64)>; TRIGGERS] {
        [Some((0, self.came)), self.called, self.got]
    }
}

#[derive(Clone, Debug)]
struct Times {
    gaps: Gaps,
    parent: Option<u32>,
    /// Blended with the coarser ones: density per second by bin; none before it counts.
    table: Option<Box<[f64; BINS]>>,
}

#[derive(Clone, Debug)]
struct Shares {
    counts: [f64; TRIGGERS],
    parent: Option<u32>,
    /// Blended with the coarser ones.
    shares: [f64; TRIGGERS],
}

/// Keys from fine to coarse: a step of a route; a kind of step of a route; any.
type Keys = [u64; 3];

fn keys(route: u16, step: Step) -> Keys {
    let key = |level: u64, what: u64| mix(level << 56 | u64::from(route) << 32 | what);
    match step {
        Step::Call(kind, before) => {
            [key(1, u64::from(kind) << 8 | before.min(NTH) as u64), key(2, u64::from(kind)), mix(3 << 56)]
        }
        Step::End(made) => [mix(key(4, 0) ^ made), key(5, u64::from(made == 0)), mix(6 << 56)],
        Step::Late(kind) => [key(7, u64::from(kind)), key(8, 0), mix(9 << 56)],
    }
}

/// The keys of the times since a trigger: with the kind of call and the number before, without the latter, without both,
/// of any step.
fn since(keys: &Keys, trigger: usize, kind: u16, before: u32) -> [u64; 4] {
    let [fine, coarse, any] = *keys;
    let trigger = (trigger as u64 + 1) << 40;
    let of_kind = trigger | (u64::from(kind) + 1) << 8;
    let number = u64::from(before.min(BEFORE)) + 1;
    [mix(fine ^ (of_kind | number)), mix(fine ^ of_kind), mix(coarse ^ trigger), mix(any ^ trigger)]
}

/// The keys of the shares: with the number of calls before, and without.
fn after(keys: &Keys, before: u32) -> [u64; 4] {
    let [fine, coarse, any] = *keys;
    [mix(fine ^ (u64::from(before.min(BEFORE)) + 1)), fine, coarse, any]
}

/// How the steps of the requests of a process follow what sets them off.
#[derive(Clone, Debug, Default)]
pub(super) struct Follow {
    times: Vec<Times>,
    times_by: HashMap<u64, u32, Plain>,
    shares: Vec<Shares>,
    shares_by: HashMap<u64, u32, Plain>,
}

impl Follow {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Log density of a step, per second.
    pub(super) fn log(&self, route: u16, step: Step, triggers: &Triggers) -> f64 {
        self.parts(route, step, triggers).iter().sum::<f64>().max(f64::MIN_POSITIVE).ln()
    }

    /// What each trigger has in it.
    fn parts(&self, route: u16, step: Step, triggers: &Triggers) -> [f64; TRIGGERS] {
        let keys = keys(route, step);
        let after = after(&keys, triggers.before);
        let shares = after.iter().find_map(|key| self.shares.get(*self.shares_by.get(key)? as usize));
        let mut parts = shares.map_or(SHARES, |shares| shares.shares);
        for (trigger, (part, happened)) in parts.iter_mut().zip(triggers.list()).enumerate() {
            *part *= happened.map_or(0.0, |(kind, time)| {
                let bin = gap::bin(time);
                let times =
                    |key: &u64| self.times.get(*self.times_by.get(key)? as usize)?.table.as_ref()?.get(bin).copied();
                let known = since(&keys, trigger, kind, triggers.before).iter().find_map(times);
                known.unwrap_or_else(|| gap::any(bin).exp())
            });
        }
        parts
    }

    pub(super) fn add(&mut self, route: u16, step: Step, triggers: &Triggers) {
        let mut parts = self.parts(route, step, triggers);
        let sum = parts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        parts.iter_mut().for_each(|part| *part /= sum);
        let keys = keys(route, step);
        let mut parent = None;
        for key in after(&keys, triggers.before).iter().rev() {
            let new = |parent| Shares { counts: [0.0; TRIGGERS], parent, shares: SHARES };
            parent = place(&mut self.shares, &mut self.shares_by, *key, || new(parent));
            let Some(shares) = parent.and_then(|at| self.shares.get_mut(at as usize)) else { break };
            shares.counts.iter_mut().zip(parts).for_each(|(count, part)| *count += part);
        }
        for (trigger, (part, happened)) in parts.into_iter().zip(triggers.list()).enumerate() {
            let Some((kind, time)) = happened.filter(|_| part > TRACE) else { continue };
            let mut parent = None;
            for key in since(&keys, trigger, kind, triggers.before).iter().rev() {
                let new = |parent| Times { gaps: Gaps::default(), parent, table: None };
                parent = place(&mut self.times, &mut self.times_by, *key, || new(parent));
                let Some(times) = parent.and_then(|at| self.times.get_mut(at as usize)) else { break };
                times.gaps.add(time, part as f32);
            }
        }
    }

    /// The past counts half.
    pub(super) fn age(&mut self) {
        self.times.iter_mut().for_each(|times| times.gaps.halve());
        self.shares.iter_mut().for_each(|shares| shares.counts.iter_mut().for_each(|count| *count /= 2.0));
    }

    /// Makes what was added count. Times are multiples of `clock` nanoseconds.
    pub(super) fn refresh(&mut self, clock: u64) {
        // Coarse ones come before the fine ones under them.
        for at in 0..self.shares.len() {
            let Some(parent) = self.shares.get(at).map(|shares| shares.parent) else { return };
            let coarse = parent.and_then(|at| self.shares.get(at as usize)).map_or(SHARES, |shares| shares.shares);
            if let Some(Shares { counts, shares, .. }) = self.shares.get_mut(at) {
                let total = counts.iter().sum::<f64>() + SHARE;
                for ((share, count), coarse) in shares.iter_mut().zip(counts).zip(coarse) {
                    *share = (*count + SHARE * coarse) / total;
                }
            }
        }
        for at in 0..self.times.len() {
            let Some(Times { gaps, parent, .. }) = self.times.get(at) else { return };
            let coarse = parent.and_then(|at| self.times.get(at as usize)).and_then(|times| times.table.as_ref());
            let weight = if coarse.is_some() { COARSE } else { NOTHING };
            let total = gaps.total() + weight;
            let mut table = Box::new([0.0; BINS]);
            for (bin, (density, share)) in table.iter_mut().zip(gaps.smooth(clock)).enumerate() {
                let coarse = coarse.and_then(|table| table.get(bin).copied()).unwrap_or_else(|| gap::any(bin).exp());
                *density = (gaps.total() * share / gap::width(bin) + weight * coarse) / total;
            }
            if let Some(times) = self.times.get_mut(at) {
                times.table = Some(table);
            }
        }
    }
}

/// Where a value with this key is; a new one, if there is room.
fn place<T>(
    values: &mut Vec<T>,
    places: &mut HashMap<u64, u32, Plain>,
    key: u64,
    new: impl FnOnce() -> T,
) -> Option<u32> {
    if let Some(at) = places.get(&key) {
        return Some(*at);
    }
    if values.len() >= MOST {
        return None;
    }
    let at = values.len() as u32;
    values.push(new());
    places.insert(key, at);
    Some(at)
}
