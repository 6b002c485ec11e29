//! What a request does next, and when: learnt per state of a request, from fine to coarse.
//!
//! A request is a chain of steps: it makes a call, makes another, is answered. The next step and the time to it, from
//! the last thing that happened to the request (it came, made a call, got an answer), depend on its state. Of a state
//! seen often the own observations count, of one seen seldom those of a coarser one.

use std::collections::BTreeMap;

use super::gap::{self, BINS, Gaps};
use super::idle::Idle;

/// Kinds of calls (destinations) told apart, and routes; what comes later shares the last one.
pub(super) const KINDS: usize = 64;
/// States held per process.
const STATES: usize = 256;
/// Of detail.
const LEVELS: u8 = 3;
/// Weight of the coarser state, in observations; for the coarsest, of knowing nothing. Measured: less, and what was
/// guessed wrong is learnt and confirmed.
const COARSE: f64 = 50.0;
const NOTHING: f64 = 100.0;
/// Requests after which the past counts half for the first time, and again whenever their number has doubled: the first
/// were understood worst.
const AGE: u32 = 100;
/// Probability that a request goes on to call after it was answered, before anything was seen.
const LATE: f64 = 0.005;
/// The same for ending before a call is answered, relative to other steps.
const EARLY: f64 = 0.01;

/// The last thing that happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Came,
    Called(u16),
    Got(u16),
    Ended,
    /// A call of this kind got its answer: how long that takes.
    Answer(u16),
}

/// What it does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    Call(u16),
    End,
    /// The answer to a call comes.
    Answer,
    /// Nothing more, after the end.
    Nothing,
}

/// State of a request between two steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) route: u16,
    /// Hash of the calls it has made, in any order.
    pub(super) made: u64,
    pub(super) last: Last,
    /// Calls without an answer.
    pub(super) waiting: u8,
    pub(super) ended: bool,
}

impl State {
    /// Key of a level, from fine (0) to coarse.
    fn key(&self, level: u8) -> u64 {
        let last = match self.last {
            Last::Came => 1,
            Last::Called(kind) => 0x100 | u64::from(kind),
            Last::Got(kind) => 0x200 | u64::from(kind),
            Last::Ended => 2,
            Last::Answer(kind) => 0x300 | u64::from(kind),
        };
        let route = u64::from(self.route) << 16;
        let fine = self.made ^ u64::from(self.waiting.min(2)) << 60;
        let (waits, ended) = (u64::from(self.waiting > 0) << 40, u64::from(self.ended) << 41);
        match (matches!(self.last, Last::Answer(_)), level) {
            (true, 0) => mix(route | last | 4 << 50).wrapping_add(mix(fine)),
            (true, 1) => mix(route | last | u64::from(self.waiting) << 40 | 5 << 50),
            (true, _) => mix(last | 6 << 50),
            (false, 0) => {
                mix(route | last | waits | ended | 1 << 50).wrapping_add(if self.ended { 0 } else { mix(fine) })
            }
            (false, 1) => mix(route | last | waits | ended | 2 << 50),
            (false, _) => mix(route | waits | ended | 3 << 50),
        }
    }

    fn tier(&self) -> Tier {
        Tier { ended: self.ended, waiting: self.waiting > 0 }
    }
}

/// Spreads the bits of a key.
pub(super) fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    key ^ (key >> 32)
}

/// What matters about a state of which nothing is known.
#[derive(Clone, Copy, Debug)]
struct Tier {
    ended: bool,
    waiting: bool,
}

#[derive(Clone, Debug, Default)]
struct Node {
    total: f64,
    nexts: Vec<(Next, Gaps)>,
    /// Blended with the coarser states: log density per second by bin.
    tables: Vec<(Next, Box<[f64; BINS]>)>,
}

/// What the requests of a process do.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    index: std::collections::HashMap<u64, u32, Plain>,
    nodes: Vec<(Node, Option<u32>, Tier)>,
    kinds: u16,
    /// Calls found to have no parent, by kind.
    background: BTreeMap<u16, f64>,
    seconds: f64,
    fresh: u32,
    next_age: u32,
    trained: u32,
}

/// Keys are mixed already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plain(u64);

impl std::hash::Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

impl std::hash::BuildHasher for Plain {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Model {
    pub(super) fn clear(&mut self) {
        let kinds = self.kinds;
        *self = Self { kinds, ..Self::default() };
    }

    pub(super) fn trained(&self) -> u32 {
        self.trained
    }

    /// Log density of the next step, per second.
    pub(super) fn log(&self, state: &State, next: Next, time: u64) -> f64 {
        let mut shrink = 0.0;
        let bin = if next == Next::Nothing { 0 } else { gap::bin(time) };
        for level in 0..LEVELS {
            let Some((node, _, _)) = self.index.get(&state.key(level)).and_then(|at| self.nodes.get(*at as usize))
            else {
                continue;
            };
            if let Some((_, table)) = node.tables.iter().find(|(of, _)| *of == next) {
                return shrink + table.get(bin).copied().unwrap_or(f64::NEG_INFINITY);
            }
            let weight = if level + 1 == LEVELS { NOTHING } else { COARSE };
            shrink += (weight / (weight + node.total)).ln();
        }
        shrink + self.base(state.tier(), next, bin)
    }

    /// Before anything was seen: any step, at any order of magnitude of the time, but no request ends before its calls.
    fn base(&self, tier: Tier, next: Next, bin: usize) -> f64 {
        let kinds = f64::from(self.kinds.max(1));
        let share = match (tier.ended, next) {
            (_, Next::Answer) => 1.0,
            (false, Next::Call(_)) => 1.0 / (kinds + 1.0),
            (false, _) if tier.waiting => EARLY / (kinds + 1.0),
            (false, _) => 1.0 / (kinds + 1.0),
            (true, Next::Call(_)) => LATE / kinds,
            (true, _) => 1.0 - LATE,
        };
        if next == Next::Nothing { share.ln() } else { share.ln() + gap::any(bin) }
    }

    pub(super) fn add(&mut self, state: &State, next: Next, time: u64) {
        let mut parent = None;
        for level in (0..LEVELS).rev() {
            let key = state.key(level);
            let at = match self.index.get(&key) {
                Some(at) => *at,
                None if self.nodes.len() >= STATES => return,
                None => {
                    let at = self.nodes.len() as u32;
                    self.nodes.push((Node::default(), parent, state.tier()));
                    self.index.insert(key, at);
                    at
                }
            };
            parent = Some(at);
            let Some((node, _, _)) = self.nodes.get_mut(at as usize) else { return };
            node.total += 1.0;
            let place = match node.nexts.iter().position(|(of, _)| *of == next) {
                Some(place) => place,
                None => {
                    node.nexts.push((next, Gaps::default()));
                    node.nexts.len() - 1
                }
            };
            if let Some((_, gaps)) = node.nexts.get_mut(place) {
                gaps.add(time);
                if gaps.is_full() {
                    node.total /= 2.0;
                    node.nexts.iter_mut().for_each(|(_, gaps)| gaps.halve());
                }
            }
        }
    }

    /// A call has no parent.
    pub(super) fn add_background(&mut self, kind: u16) {
        *self.background.entry(kind).or_default() += 1.0;
    }

    pub(super) fn elapsed(&mut self, seconds: f64) {
        self.seconds += seconds;
    }

    /// Calls of a kind per second that were found to have no parent.
    fn found(&self, kind: u16) -> f64 {
        (self.background.get(&kind).copied().unwrap_or_default() + 0.25) / self.seconds.max(1.0)
    }

    /// A request is done with.
    pub(super) fn learnt(&mut self) {
        self.fresh += 1;
        self.trained += 1;
    }

    /// Forgets some of the past when it is time to.
    pub(super) fn age(&mut self) {
        if self.trained < self.next_age.max(AGE) {
            return;
        }
        self.next_age = self.trained.saturating_mul(2);
        for (node, _, _) in &mut self.nodes {
            node.total /= 2.0;
            node.nexts.iter_mut().for_each(|(_, gaps)| gaps.halve());
        }
    }

    pub(super) fn is_stale(&self) -> bool {
        self.fresh > (self.trained / 20).max(8)
    }

    /// Makes what was added count.
    pub(super) fn refresh(&mut self) {
        self.fresh = 0;
        // Coarse states come before the fine ones under them.
        for at in 0..self.nodes.len() {
            let Some((node, parent, ended)) = self.nodes.get(at) else { return };
            let parent = parent.and_then(|parent| self.nodes.get(parent as usize)).map(|(node, _, _)| node);
            let tables = node.nexts.iter().map(|(next, gaps)| {
                let weight = if parent.is_none() { NOTHING } else { COARSE };
                let mut table = Box::new([0.0; BINS]);
                let smooth = gaps.smooth();
                let coarse = parent.and_then(|parent| parent.tables.iter().find(|(of, _)| of == next));
                for (bin, (log, share)) in table.iter_mut().zip(smooth).enumerate() {
                    let (share, width) = if *next == Next::Nothing { (1.0, 1.0) } else { (share, gap::width(bin)) };
                    let coarse = match coarse {
                        Some((_, table)) => table.get(bin).copied().unwrap_or_default(),
                        None => self.base(*ended, *next, bin),
                    };
                    let own = gaps.total() * share / width;
                    *log = ((own + weight * coarse.exp()) / (node.total + weight)).ln();
                }
                (*next, table)
            });
            let tables = tables.collect();
            if let Some((node, _, _)) = self.nodes.get_mut(at) {
                node.tables = tables;
            }
        }
    }
}

/// Least share of a kind of calls that requests are supposed to cause.
const LEAST: f64 = 0.001;

/// Folds of the warm-up.
pub(super) const FOLDS: u8 = 2;

/// The models of a process. What is learnt from a request must not judge it: it would find what it guessed confirmed.
/// So the warm-up is split, and each part judged by the model of the other; later requests are judged by the last
/// model, which learns from them when they are decided.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    folds: [Model; FOLDS as usize],
    pub(super) main: Model,
    pub(super) idle: Idle,
}

impl Models {
    /// For a request.
    pub(super) fn of(&self, fold: u8) -> &Model {
        self.folds.get(usize::from(fold)).unwrap_or(&self.main)
    }

    /// How many kinds of calls there are.
    pub(super) fn saw_kinds(&mut self, kinds: usize) {
        self.all_mut().for_each(|(_, model)| model.kinds = kinds as u16);
    }

    /// Log of the calls of a kind per second that no request causes, and of the share of the others among those at
    /// moments with open requests.
    pub(super) fn log_background(&self, kind: u16) -> (f64, f64) {
        let (rate, share) = self.idle.background(kind);
        (self.main.found(kind).max(rate).ln(), (1.0 - share).max(LEAST).ln())
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (u8, &mut Model)> {
        (0u8..).zip(self.folds.iter_mut().chain(std::iter::once(&mut self.main)))
    }
}
