//! Mixed edges: some calls keep the context and some do not. What tells the two apart?
//!
//! For each edge with a call that is, or may be, broken, and for each feature of calls, the calls are counted by value.
//! A feature is named if it splits the calls: at least 95 % of the broken ones have values of one side and at least 95 %
//! of the kept ones have values of the other. And chance must be excluded, for any few calls are split by something that
//! is different for each of them: the likelihood of what became of the calls if each value has a rate of its own, over
//! that if all have the same, must be 10 000. A rate costs ln 2 + ½ ln n (n: the calls of the value), which makes the
//! ratio a lower bound of a martingale under "the feature says nothing" (Krichevsky and Trofimov's estimator against the
//! best single rate): however long we look at the dozen features of an edge, one in a thousand is named wrongly.
//!
//! That supposes that calls are broken independently of one another. If all of them are from some moment on, then
//! whatever else changed at that moment splits them as well. So nothing is named before there were several turns.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::edges::EdgeKey;
use super::features::{Call, Feature, Value};
use super::line::Difference;
use crate::audit::Outcome;
use crate::pair::Suspicion;

/// Edges that are looked at so closely.
const EDGES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// A feature with more values says nothing.
const VALUES: usize = 16;
/// Fewest calls of either kind.
const ENOUGH: u64 = 5;
/// How often broken calls must have followed kept ones, and the other way round.
const TURNS: u32 = 8;
/// Share of the calls of a kind that must have the values of its side.
const APART: f64 = 0.95;
/// Likelihood ratio.
const RATIO: f64 = 10_000.0;
/// Features that are named.
const NAMED: usize = 3;
/// Values of a side that are listed, and that a message has room for.
const LISTED: usize = 5;
const SAID: usize = 3;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It carries the context.
    Kept,
    /// It certainly should.
    Broken(Suspicion),
    /// It may be broken; that counts for neither side before it is certain.
    Suspected(Suspicion),
}

impl Fate {
    /// Of a call with this outcome; `suspicion` may be certain. `None` if it says nothing of the edge.
    pub fn of(suspicion: Option<Suspicion>, certain: bool, outcome: Outcome) -> Option<Self> {
        match (suspicion, outcome) {
            (Some(Suspicion::NotStarted), _) => None,
            (Some(suspicion), _) if certain => Some(Self::Broken(suspicion)),
            (Some(suspicion), _) => Some(Self::Suspected(suspicion)),
            (None, Outcome::Continued | Outcome::PassedThrough) => Some(Self::Kept),
            (None, _) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bad {
    suspected: u64,
    certain: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    kept: u64,
    dropped: Bad,
    restarted: Bad,
}

impl Tally {
    fn bad(&mut self, suspicion: Suspicion) -> Option<&mut Bad> {
        match suspicion {
            Suspicion::Dropped => Some(&mut self.dropped),
            Suspicion::Restarted => Some(&mut self.restarted),
            Suspicion::NotStarted => None,
        }
    }

    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Kept => self.kept += 1,
            Fate::Broken(suspicion) => self.bad(suspicion).into_iter().for_each(|bad| bad.certain += 1),
            Fate::Suspected(suspicion) => self.bad(suspicion).into_iter().for_each(|bad| bad.suspected += 1),
        }
    }

    fn confirm(&mut self, suspicion: Suspicion) {
        if let Some(bad) = self.bad(suspicion) {
            bad.certain += std::mem::take(&mut bad.suspected);
        }
    }

    /// Broken calls of this kind, and kept ones.
    fn counts(mut self, suspicion: Suspicion) -> (u64, u64) {
        (self.bad(suspicion).map_or(0, |bad| bad.certain), self.kept)
    }
}

/// The calls by what they have in one respect.
#[derive(Clone, Debug, Default)]
struct Values {
    values: Vec<(Option<Box<str>>, Tally)>,
    too_many: bool,
}

impl Values {
    fn add(&mut self, value: Value<'_>, fate: Fate) {
        if let Some((_, tally)) = self.values.iter_mut().find(|(known, _)| known.as_deref() == value.as_deref()) {
            tally.add(fate);
        } else if self.values.len() < VALUES {
            let mut tally = Tally::default();
            tally.add(fate);
            self.values.push((value.map(|value| value.as_ref().into()), tally));
        } else {
            *self = Self { values: Vec::new(), too_many: true };
        }
    }

    /// Whether the feature splits calls of which so many are broken and kept.
    fn split(&self, feature: Feature, suspicion: Suspicion, (broken, kept): (u64, u64)) -> Option<Split> {
        let mut split = Split { feature, broken: Vec::new(), kept: Vec::new(), misplaced: 0 };
        let (mut log, mut all) = (0.0, (0, 0));
        let (mut broken_apart, mut kept_apart) = (0, 0);
        let mut values: Vec<_> = self.values.iter().map(|(value, tally)| (value, tally.counts(suspicion))).collect();
        values.sort_by(|(a, (b, k)), (other, (c, l))| (c + l).cmp(&(b + k)).then_with(|| a.cmp(other)));
        for (value, (b, k)) in values.into_iter().filter(|(_, (b, k))| b + k > 0) {
            log += likelihood(b, k) - std::f64::consts::LN_2 - 0.5 * ((b + k) as f64).ln();
            all = (all.0 + b, all.1 + k);
            split.misplaced += b.min(k);
            if b > k {
                split.broken.push(value.clone());
                broken_apart += b;
            } else {
                split.kept.push(value.clone());
                kept_apart += k;
            }
        }
        log -= likelihood(all.0, all.1);
        let apart = broken_apart as f64 >= APART * broken as f64 && kept_apart as f64 >= APART * kept as f64;
        (apart && log >= RATIO.ln()).then_some(split)
    }
}

/// Largest log likelihood of so many broken and kept calls with one rate.
fn likelihood(broken: u64, kept: u64) -> f64 {
    let all = (broken + kept) as f64;
    [broken, kept].into_iter().filter(|&count| count > 0).map(|count| count as f64 * (count as f64 / all).ln()).sum()
}

/// A feature that tells broken calls from kept ones: its values, those with the most calls first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    feature: Feature,
    broken: Vec<Option<Box<str>>>,
    kept: Vec<Option<Box<str>>>,
    /// Calls that have the values of the other side.
    misplaced: u64,
}

impl Split {
    fn difference(&self) -> Difference {
        let list = |values: &[Option<Box<str>>]| {
            values.iter().take(LISTED).map(|value| value.as_deref().map(str::to_owned)).collect()
        };
        Difference {
            of: if self.feature.is_inbound() { "inbound" } else { "outbound" },
            by: self.feature.name(),
            broken: list(&self.broken),
            kept: list(&self.kept),
        }
    }

    fn words(&self) -> String {
        let (start, values) = match self.broken.len() <= self.kept.len() {
            true => ("those of", &self.broken),
            false => ("all but those of", &self.kept),
        };
        let said: Vec<&str> = values.iter().take(SAID).map(|value| value.as_deref().unwrap_or("(none)")).collect();
        let more = if values.len() > SAID { " …" } else { "" };
        format!("{start} {} {}{more}", self.feature.noun(), said.join(" or "))
    }
}

/// The calls of one edge by feature and value.
#[derive(Clone, Debug, Default)]
struct Contrast {
    all: Tally,
    kept_last: Option<bool>,
    turns: u32,
    features: [Values; Feature::ALL.len()],
}

impl Contrast {
    fn add(&mut self, call: &Call<'_>, fate: Fate) {
        let kept = fate == Fate::Kept;
        let turned = self.kept_last.replace(kept).is_some_and(|before| before != kept);
        self.turns = self.turns.saturating_add(u32::from(turned));
        self.all.add(fate);
        for (feature, values) in Feature::ALL.into_iter().zip(&mut self.features) {
            if !values.too_many
                && let Some(value) = feature.of(call)
            {
                values.add(value, fate);
            }
        }
    }

    fn confirm(&mut self, suspicion: Suspicion) {
        self.all.confirm(suspicion);
        let values = self.features.iter_mut().flat_map(|values| &mut values.values);
        values.for_each(|(_, tally)| tally.confirm(suspicion));
    }

    /// What splits best comes first.
    fn splits(&self, suspicion: Suspicion) -> Vec<Split> {
        let all = self.all.counts(suspicion);
        if all.0.min(all.1) < ENOUGH || self.turns < TURNS {
            return Vec::new();
        }
        let features = Feature::ALL.into_iter().zip(&self.features);
        let mut splits: Vec<Split> =
            features.filter_map(|(feature, values)| values.split(feature, suspicion, all)).collect();
        splits.sort_by_key(|split| (split.misplaced, split.broken.len() + split.kept.len()));
        splits.truncate(NAMED);
        splits
    }
}

/// What is known of the edges that have a call that is, or may be, broken.
#[derive(Debug)]
pub(super) struct Contrasts {
    edges: LruCache<EdgeKey, Contrast>,
    /// Edges forgotten because the table was full.
    pub(super) evicted: u64,
}

impl Contrasts {
    pub(super) fn new() -> Self {
        Self { edges: LruCache::new(EDGES), evicted: 0 }
    }

    pub(super) fn add(&mut self, key: &EdgeKey, call: &Call<'_>, fate: Fate) {
        // Most edges have kept calls only, and cost nothing.
        if fate == Fate::Kept && self.edges.is_empty() {
            return;
        }
        if let Some(contrast) = self.edges.get_mut(key) {
            contrast.add(call, fate);
        } else if fate != Fate::Kept {
            let mut contrast = Contrast::default();
            contrast.add(call, fate);
            self.evicted += u64::from(self.edges.push(key.clone(), contrast).is_some());
        }
    }

    /// All suspected calls of the edge are certain now.
    pub(super) fn confirm(&mut self, key: &EdgeKey, suspicion: Suspicion) {
        if let Some(contrast) = self.edges.peek_mut(key) {
            contrast.confirm(suspicion);
        }
    }

    pub(super) fn forget(&mut self, key: &EdgeKey) {
        self.edges.pop(key);
    }

    /// What tells the broken calls of an edge from the kept ones, as far as it is certain.
    pub(super) fn splits(&self, key: &EdgeKey, suspicion: Suspicion) -> Vec<Split> {
        self.edges.peek(key).map(|contrast| contrast.splits(suspicion)).unwrap_or_default()
    }
}

/// An edge with broken calls of a kind and kept ones.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// How many are broken.
    pub(super) broken: u64,
    /// All calls of the edge.
    pub(super) calls: u64,
    /// What tells them apart.
    pub(super) splits: Vec<Split>,
}

impl Mixed {
    /// For the end of a message.
    pub fn words(&self) -> String {
        let which = self.splits.first().map(|split| format!(", {}", split.words())).unwrap_or_default();
        format!("; {} of {} calls{which}", self.broken, self.calls)
    }

    /// As the output shows what tells them apart.
    pub fn differs(&self) -> Vec<Difference> {
        self.splits.iter().map(Split::difference).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether calls with these values, kept and broken in turn, are split by a feature.
    fn split(calls: &[(u64, bool)]) -> Option<Split> {
        let mut values = Values::default();
        let mut all = Tally::default();
        for (value, broken) in calls {
            let fate = if *broken { Fate::Broken(Suspicion::Dropped) } else { Fate::Kept };
            all.add(fate);
            values.add(Some(value.to_string().into()), fate);
        }
        values.split(Feature::UserAgent, Suspicion::Dropped, all.counts(Suspicion::Dropped))
    }

    #[test]
    fn what_is_different_for_each_call_tells_nothing() {
        let calls: Vec<_> = (0..16).map(|n| (n, n % 2 == 0)).collect();
        assert_eq!(split(&calls), None, "each has its own");
        let calls: Vec<_> = (0..32).map(|n| (n / 2, n / 2 % 2 == 0)).collect();
        assert_eq!(split(&calls), None, "two have the same");
    }

    #[test]
    fn ten_thousand_values_are_not_kept() {
        let mut values = Values::default();
        for n in 0..10_000 {
            if !values.too_many {
                values.add(Some(n.to_string().into()), Fate::Kept);
            }
            assert!(values.values.len() <= VALUES);
        }
        assert!(values.too_many && values.values.is_empty());
        assert_eq!(values.split(Feature::UserAgent, Suspicion::Dropped, (5000, 5000)), None);
    }

    #[test]
    fn few_calls_tell_nothing() {
        let of = |n: u64| split(&(0..2 * n).map(|n| (n % 2, n % 2 == 0)).collect::<Vec<_>>());
        assert_eq!(of(5), None);
        let split = of(12).unwrap();
        assert_eq!((split.broken, split.kept), (vec![Some("0".into())], vec![Some("1".into())]));
    }

    #[test]
    fn one_of_twenty_may_be_otherwise_and_not_more() {
        let of = |misplaced| split(&(0..200).map(|n| (n % 2, (n % 2 == 0) != (n < misplaced))).collect::<Vec<_>>());
        assert!(of(8).is_some());
        assert!(of(20).is_none());
    }

    #[test]
    fn long_lists_are_said_in_short() {
        let values = |range: std::ops::Range<u64>| range.map(|n| Some(n.to_string().into())).collect::<Vec<_>>();
        let mut split = Split { feature: Feature::Connection, broken: values(0..9), kept: values(9..10), misplaced: 0 };
        assert_eq!(split.words(), "all but those of local port 9");
        assert_eq!(split.difference().broken.len(), LISTED);
        split.kept = values(9..19);
        assert_eq!(split.words(), "those of local port 0 or 1 or 2 …");
        split.broken = vec![None];
        assert_eq!(split.words(), "those of local port (none)");
    }

    #[test]
    fn chance_alone_is_told_apart_by_nothing() {
        // Of 2000 edges whose calls are broken at random, each looked at after every call.
        let mut dice = 1u64;
        let mut roll = |limit: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (dice >> 11) % limit
        };
        for edge in 0..2000 {
            let (values, rate) = (2 + edge % 8, 1 + edge % 9);
            let mut calls = Vec::new();
            for _ in 0..40 {
                calls.push((roll(values), roll(10) < rate));
                assert_eq!(split(&calls), None, "{calls:?}");
            }
        }
    }
}
