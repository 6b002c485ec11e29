//! Which open request caused a call, told by time alone: the last resort of the pairing.
//!
//! `model` learns what the requests of a process do and when: a request is a chain of steps (a call, its answer, the
//! end), and a step's kind and its distance from the one before depend on where the request stands. `walk` reads the
//! steps of a request off a hypothesis about which calls are its own. `sample` draws such hypotheses for many requests
//! at once, in proportion to their probability; the share of the draws in which a request owns a call is the
//! confidence that it does. So requests that make equal calls at the same time come out as the toss-up they are.
//!
//! A call is decided, in `settle`, once no candidate is open any more or after ten seconds, and learnt from after that:
//! a model never judges what it was made from, or it would find its guesses confirmed. The first calls are held back
//! until there are enough to learn from; half of them judge the other half.
//!
//! Cost per call is bounded by the candidates looked at, the calls decided together, and the sweeps over them.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod candidates;
mod gap;
mod idle;
mod model;
mod random;
mod sample;
mod settle;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::exchange::ExchangeId;
use crate::record::BootNs;
use gap::Gaps;
use model::{FOLDS, KINDS, Models};
use sample::{Sampler, Table};
use table::{Call, Inbound, Slot};

/// Requests held. The oldest open one is forgotten when there are more.
const REQUESTS: usize = 4096;
/// Requests of the warm-up that make up one side of a fold at a time.
const RUN: u64 = 8;
/// Routes told apart.
const ROUTES: usize = 64;

/// Evidence from elsewhere that a request caused a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hint {
    /// The request.
    pub id: ExchangeId,
    /// Natural logarithm of the likelihood ratio.
    pub log_ratio: f64,
}

/// Which request caused a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The call.
    pub call: ExchangeId,
    /// The request; `None`: no request did.
    pub parent: Option<ExchangeId>,
    /// Probability that this is so.
    pub confidence: f64,
    /// Requests that were open when it was sent.
    pub candidates: u32,
    /// Other requests, most probable first, at most four.
    pub alternatives: Vec<(ExchangeId, f64)>,
}

/// The requests and calls of one process. Events come in order of time; of one moment, requests before calls, and
/// answers to calls before the ends of requests.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    table: Table,
    models: Models,
    sampler: Sampler,
    inbounds: HashMap<ExchangeId, Slot>,
    calls: HashMap<ExchangeId, Slot>,
    /// Open requests by start.
    open: BTreeSet<(BootNs, Slot)>,
    /// Requests that have ended, by end.
    ended: VecDeque<(BootNs, Slot)>,
    /// Calls to be decided, in order.
    pending: VecDeque<Slot>,
    /// How many of them, from the first, can be.
    ripe: usize,
    /// Calls and requests so far.
    sent: u64,
    received: u64,
    /// Small numbers for destinations and routes.
    kinds: BTreeMap<u64, u16>,
    routes: BTreeMap<u64, u16>,
    /// By kind: time from a request to its call.
    delays: BTreeMap<u16, Gaps>,
    first: Option<BootNs>,
    now: BootNs,
    /// Requests whose calls were clear without a model.
    anchors: u32,
    warm: bool,
}

impl Delays {
    fn tick(&mut self, now: BootNs) -> BootNs {
        let before = self.now;
        self.now = before.max(now);
        if self.first.is_none() {
            self.first = Some(now);
        } else {
            self.models.main.elapsed((self.now - before) as f64 / 1e9);
            self.models.idle.passed(before, self.now, !self.open.is_empty());
        }
        self.now
    }

    /// An inbound request was received; `route` is any number that stands for its route.
    pub fn opened(&mut self, now: BootNs, id: ExchangeId, route: u64) {
        let now = self.tick(now);
        if self.inbounds.contains_key(&id) {
            return;
        }
        if self.table.inbounds.len() >= REQUESTS {
            self.forget_oldest();
        }
        let route = number(&mut self.routes, route, ROUTES);
        let fold = if self.warm { FOLDS } else { (self.received / RUN % u64::from(FOLDS)) as u8 };
        self.received += 1;
        let slot = self.table.inbounds.insert(Inbound::new(id, route, now, fold));
        self.inbounds.insert(id, slot);
        self.open.insert((now, slot));
    }

    /// Its response was sent, or it ended.
    pub fn closed(&mut self, now: BootNs, id: ExchangeId) {
        let now = self.tick(now);
        let Some(slot) = self.inbounds.get(&id).copied() else { return };
        let Some(inbound) = self.table.inbounds.get_mut(slot) else { return };
        if inbound.is_open() {
            inbound.end = Some(now);
            self.models.idle.ended(inbound.start, now);
            self.open.remove(&(inbound.start, slot));
            self.ended.push_back((now, slot));
        }
    }

    /// It is no candidate any more, and nothing is learnt from it.
    fn forget_oldest(&mut self) {
        if let Some((_, slot)) = self.open.pop_first()
            && let Some(inbound) = self.table.inbounds.get_mut(slot)
        {
            inbound.lost = true;
            self.ended.push_back((self.now, slot));
        }
    }

    /// An outbound request was sent; `target` is any number that stands for its destination and operation. `known`: the
    /// request that is proven to have caused it, `hints`: what else speaks for a request.
    pub fn sent(&mut self, now: BootNs, call: ExchangeId, target: u64, known: Option<ExchangeId>, hints: &[Hint]) {
        let now = self.tick(now);
        let parent = known.and_then(|id| self.inbounds.get(&id).copied());
        if self.calls.contains_key(&call) || known.is_some() != parent.is_some() {
            return;
        }
        let kind = number(&mut self.kinds, target, KINDS);
        self.models.saw_kinds(self.kinds.len());
        self.sent += 1;
        let open = self.open.len() as u32;
        if parent.is_none() {
            self.models.idle.sent(now, kind, open > 0);
        }
        let candidates = if parent.is_some() { Vec::new() } else { self.candidates(kind, hints) };
        for candidate in &candidates {
            if let Some(inbound) = self.table.inbounds.get_mut(candidate.inbound) {
                inbound.puzzles += 1;
                inbound.shared |= inbound.is_open() && open > 1;
                inbound.followed |= !inbound.is_open() && open > 0;
            }
        }
        let slot = self.table.calls.insert(Call {
            id: call,
            slot: 0,
            seq: self.sent,
            kind,
            start: now,
            end: None,
            candidates,
            tally: 0.0,
            open,
            owner: None,
            decided: parent.is_some(),
        });
        self.calls.insert(call, slot);
        if let Some(call) = self.table.calls.get_mut(slot) {
            call.slot = slot;
        }
        if parent.is_some() {
            self.table.give(slot, parent);
            self.trim(parent);
            return;
        }
        self.pending.push_back(slot);
        let shares = self.table.calls.get(slot).map(|call| sample::conditional(&self.table, &self.models, call));
        let likeliest = shares.into_iter().flatten().max_by(|one, other| one.1.total_cmp(&other.1));
        self.table.give(slot, likeliest.and_then(|(inbound, _)| inbound));
    }

    /// Its response was received.
    pub fn answered(&mut self, now: BootNs, call: ExchangeId) {
        let now = self.tick(now);
        if let Some(call) = self.calls.get(&call).and_then(|slot| self.table.calls.get_mut(*slot)) {
            call.end.get_or_insert(now);
        }
    }

    /// The likeliest request so far of a call that is not decided, and how likely it is.
    pub fn guess(&self, call: ExchangeId) -> Option<(ExchangeId, f64)> {
        let slot = self.calls.get(&call).copied().filter(|_| self.warm)?;
        let call = self.table.calls.get(slot).filter(|call| !call.decided)?;
        let owner = call.owner?;
        let shares = sample::conditional(&self.table, &self.models, call);
        let (_, share) = shares.into_iter().find(|(inbound, _)| *inbound == Some(owner))?;
        Some((self.table.inbounds.get(owner)?.id, share))
    }
}

/// A small number for each of the first values; the others share the last.
fn number(numbers: &mut BTreeMap<u64, u16>, value: u64, limit: usize) -> u16 {
    let next = numbers.len();
    match numbers.get(&value) {
        Some(number) => *number,
        None if next + 1 >= limit => (limit - 1) as u16,
        None => *numbers.entry(value).or_insert(next as u16),
    }
}
