//! Which open request caused a call, told by time alone: the last resort of the pairing.
//!
//! Requests of a route make nearly the same calls in nearly the same way (`totals`: how many of which kinds; `trigger`:
//! what sets each off, and how soon it follows; `model`: both, and what is rare). `history` lists the likeliest sets of
//! calls that a request may have made. No two requests made the same call: `sample` draws, for many requests at once, who
//! has which history. The share of the draws in which a request made a call is the confidence that it did, less where the
//! model has left much open so far. So requests that make equal calls at the same time come out as the toss-up they are.
//!
//! A call is decided, in `settle`, once no candidate is open any more or after ten seconds, and learnt from after that.
//! The first calls are held back until there are enough to learn from, in turns with guessing. Before that, `guess`
//! says what seems likely at the time of the call, and with many open requests chooses the `candidates`.
//!
//! Cost per call is bounded by the candidates, the histories of a request, the calls decided together and the rounds.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod candidates;
mod gap;
mod guess;
mod history;
mod idle;
mod mix;
mod model;
mod random;
mod sample;
mod settle;
mod table;
#[cfg(test)]
mod tests;
mod totals;
mod trigger;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::exchange::ExchangeId;
use crate::record::BootNs;
use gap::Gaps;
use history::CHOICE;
use idle::Idle;
use model::{KINDS, Model};
use random::Random;
use table::{Call, Inbound, Slot, Table};

/// Requests held. The oldest open one is forgotten when there are more.
const REQUESTS: usize = 4096;
/// Routes told apart.
const ROUTES: usize = 64;

/// Which request caused a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    /// The call.
    pub(super) call: ExchangeId,
    /// The request; `None`: no request did.
    pub(super) parent: Option<ExchangeId>,
    /// Probability that this is so.
    pub(super) confidence: f64,
    /// Requests that were open when it was sent.
    pub(super) candidates: u32,
}

/// The requests and calls of one process. Events come in order of time; of one moment, requests before calls, and
/// answers to calls before the ends of requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays {
    table: Table,
    model: Model,
    idle: Idle,
    random: Random,
    inbounds: HashMap<ExchangeId, Slot>,
    calls: HashMap<ExchangeId, Slot>,
    /// Open requests by start.
    open: BTreeSet<(BootNs, Slot)>,
    /// The same by when something last happened to them, as it seems.
    recent: BTreeSet<(BootNs, Slot)>,
    /// Requests that have ended, by end.
    ended: VecDeque<(BootNs, Slot)>,
    /// Calls to be decided, in order.
    pending: VecDeque<Slot>,
    /// How many of them, from the first, can be.
    ripe: usize,
    /// Small numbers for destinations and routes.
    kinds: BTreeMap<u64, u16>,
    routes: BTreeMap<u64, u16>,
    /// By kind: time from a request to its call.
    delays: BTreeMap<u16, Gaps>,
    first: Option<BootNs>,
    /// All times since then are multiples of it.
    clock: BootNs,
    now: BootNs,
    /// Requests whose calls were clear without a model.
    anchors: u32,
    /// Average probability that is left to other requests than the likeliest.
    doubt: f64,
    warm: bool,
}

impl Delays {
    fn tick(&mut self, now: BootNs) -> BootNs {
        let before = self.now;
        self.now = before.max(now);
        if let Some(first) = self.first {
            self.clock = gcd(now.saturating_sub(first), self.clock);
            self.model.elapsed((self.now - before) as f64 / 1e9, !self.open.is_empty());
            self.idle.passed(before, self.now, !self.open.is_empty());
        } else {
            self.first = Some(now);
        }
        self.now
    }

    /// An inbound request was received; `route` is any number that stands for its route.
    pub(super) fn opened(&mut self, now: BootNs, id: ExchangeId, route: u64) {
        let now = self.tick(now);
        if self.inbounds.contains_key(&id) {
            return;
        }
        if self.table.inbounds.len() >= REQUESTS {
            self.forget_oldest();
        }
        let route = number(&mut self.routes, route, ROUTES);
        let slot = self.table.inbounds.insert(Inbound::new(id, route, now));
        self.inbounds.insert(id, slot);
        self.open.insert((now, slot));
        self.recent.insert((now, slot));
    }

    /// Its response was sent, or it ended.
    pub(super) fn closed(&mut self, now: BootNs, id: ExchangeId) {
        let now = self.tick(now);
        let Some(slot) = self.inbounds.get(&id).copied() else { return };
        let Some(inbound) = self.table.inbounds.get_mut(slot) else { return };
        if inbound.is_open() {
            inbound.end = Some(now);
            self.idle.ended(inbound.start, now);
            self.open.remove(&(inbound.start, slot));
            self.recent.remove(&(inbound.since, slot));
            self.ended.push_back((now, slot));
        }
    }

    /// It is no candidate any more, and nothing is learnt from it.
    fn forget_oldest(&mut self) {
        if let Some((_, slot)) = self.open.pop_first()
            && let Some(inbound) = self.table.inbounds.get_mut(slot)
        {
            inbound.lost = true;
            self.recent.remove(&(inbound.since, slot));
            self.ended.push_back((self.now, slot));
        }
    }

    /// An outbound request was sent; `target` is any number that stands for its destination and operation. `known`: the
    /// request that is proven to have caused it.
    pub(super) fn sent(&mut self, now: BootNs, call: ExchangeId, target: u64, known: Option<ExchangeId>) {
        let now = self.tick(now);
        let parent = known.and_then(|id| self.inbounds.get(&id).copied());
        if self.calls.contains_key(&call) || known.is_some() != parent.is_some() {
            return;
        }
        let kind = number(&mut self.kinds, target, KINDS);
        self.model.kinds = self.kinds.len() as u16;
        self.model.sent(kind);
        let open = self.open.len() as u32;
        let (candidates, guess) = match parent {
            Some(inbound) => (vec![inbound], Some(inbound)),
            None => {
                self.idle.sent(now, kind, open > 0);
                let mut candidates = self.candidates(kind);
                let guess = self.likeliest(kind, &mut candidates);
                (candidates, guess)
            }
        };
        let slot = self.table.calls.insert(Call {
            id: call,
            kind,
            start: now,
            end: None,
            held: candidates.len() as u32,
            candidates,
            open,
            guess,
            sure: None,
            owner: parent,
            decided: parent.is_some(),
            proven: parent.is_some(),
            gone: false,
        });
        self.calls.insert(call, slot);
        self.offer(slot);
        if parent.is_none() {
            self.pending.push_back(slot);
        }
        if let Some(inbound) = guess {
            self.seems_sent(inbound, kind);
        }
    }

    /// Tells the requests that may have made a call.
    fn offer(&mut self, slot: Slot) {
        let Some(call) = self.table.calls.get(slot) else { return };
        let (proven, open) = (call.proven, self.open.len());
        for candidate in call.candidates.clone() {
            let Some(inbound) = self.table.inbounds.get_mut(candidate) else { continue };
            if !proven {
                inbound.puzzles += 1;
                inbound.shared |= inbound.is_open() && open > 1;
                inbound.followed |= !inbound.is_open() && open > 0;
            }
            inbound.calls.push(slot);
            if inbound.calls.len() > CHOICE {
                let oldest = inbound.calls.remove(0);
                if self.table.calls.get(oldest).is_some_and(|call| !call.decided) {
                    inbound.puzzles = inbound.puzzles.saturating_sub(1);
                }
                self.table.let_go(oldest, candidate);
                self.release(oldest);
            }
        }
    }

    /// Its response was received.
    pub(super) fn answered(&mut self, now: BootNs, call: ExchangeId) {
        let now = self.tick(now);
        if let Some(call) = self.calls.get(&call).and_then(|slot| self.table.calls.get_mut(*slot))
            && call.end.is_none()
        {
            call.end = Some(now);
            let (guess, kind) = (call.guess, call.kind);
            if let Some(inbound) = guess {
                self.seems_answered(inbound, kind);
            }
        }
    }
}

/// Greatest common divisor.
fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
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
