//! When calls are decided, and what is learnt from them then.

use super::candidates::LATE;
use super::model::{FOLDS, Model, Next};
use super::sample::Table;
use super::table::{Call, Inbound, Slot};
use super::walk::{self, Span, Step};
use super::{Decision, Delays};
use crate::exchange::ExchangeId;
use crate::record::BootNs;

/// Calls decided together, and how many after them take part because they compete for the same requests.
const BLOCK: usize = 64;
const AHEAD: usize = 64;
/// Times every call chooses its request before it is decided, the first of them to forget where it started.
const SWEEPS: usize = 32;
const FORGET: usize = 6;
/// A call is decided at the latest after this time, or when so many wait.
const DEADLINE: BootNs = 10_000_000_000;
const PENDING: usize = 2048;
/// The first model is learnt from so many calls, or from what there is after so long; in so many rounds.
const WARM: usize = 384;
const WARM_UP: BootNs = 5_000_000_000;
const ROUNDS: usize = 16;
const SWEEPS_PER_ROUND: usize = 5;
/// Outside evidence (natural logarithm of its likelihood ratio) that needs no model.
const HINTED: f64 = 3.0;
/// Calls that a request remembers.
const CALLS: usize = 64;
/// Requests that have ended and may still make a call.
const ENDED: usize = 64;

impl Delays {
    /// Decides what can be decided.
    pub fn settle(&mut self, now: BootNs, decided: &mut Vec<Decision>) {
        let now = self.tick(now);
        self.ripen(now);
        if !self.warm {
            let young = self.first.is_none_or(|first| first + WARM_UP > now);
            if young && self.pending.len() < WARM && self.ended.len() < WARM {
                return;
            }
            self.warm_up();
        }
        while self.ripe >= BLOCK || (self.ripe > 0 && self.ripe == self.pending.len()) {
            self.decide(self.ripe.min(BLOCK), decided);
        }
        self.retire(now);
    }

    /// Counts the first calls whose candidates have all ended, or which cannot wait any longer.
    fn ripen(&mut self, now: BootNs) {
        while let Some(call) = self.pending.get(self.ripe).and_then(|slot| self.table.calls.get(*slot)) {
            let open = |slot: Slot| self.table.inbounds.get(slot).is_some_and(Inbound::is_open);
            let overdue = call.start + DEADLINE <= now || self.pending.len() > self.ripe + PENDING;
            if !overdue && call.candidates.iter().any(|candidate| open(candidate.inbound)) {
                break;
            }
            self.ripe += 1;
        }
    }

    /// Learns the first models from what has piled up: from the requests that never shared a moment with others, then,
    /// in turns with guessing who made the calls, from all.
    fn warm_up(&mut self) {
        self.warm = true;
        let ended = self.ended.iter().filter_map(|(_, slot)| self.table.inbounds.get(*slot));
        self.anchors = ended.filter(|inbound| self.is_anchor(inbound)).count() as u32;
        let block: Vec<Slot> = self.pending.iter().copied().collect();
        let seconds = self.now.saturating_sub(self.first.unwrap_or(self.now)) as f64 / 1e9;
        let mut steps = Vec::new();
        for round in 0..=ROUNDS {
            if round > 0 {
                self.reset(&block);
                for sweep in 0..SWEEPS_PER_ROUND {
                    self.sampler.sweep(&mut self.table, &self.models, &block, sweep);
                }
            }
            for (fold, model) in self.models.all_mut() {
                model.clear();
                model.elapsed(seconds);
                for inbound in self.ended.iter().filter_map(|(_, slot)| self.table.inbounds.get(*slot)) {
                    if inbound.fold != fold && (round > 0 || !inbound.shared) {
                        learn(model, &self.table, inbound, &mut steps);
                    }
                }
                for call in block.iter().filter(|_| round > 0).filter_map(|slot| self.table.calls.get(*slot)) {
                    if call.owner.is_none() {
                        model.add_background(call.kind);
                    }
                }
                model.refresh();
            }
        }
    }

    /// Whether nobody else can have made the calls of a request, and there are some.
    fn is_anchor(&self, inbound: &Inbound) -> bool {
        let mut calls = inbound.calls.iter().filter_map(|(_, slot)| self.table.calls.get(*slot));
        if inbound.shared { calls.any(|call| call.candidates.is_empty()) } else { !inbound.calls.is_empty() }
    }

    fn reset(&mut self, block: &[Slot]) {
        for slot in block {
            if let Some(call) = self.table.calls.get_mut(*slot) {
                call.reset();
            }
        }
    }

    /// Decides the first calls.
    fn decide(&mut self, count: usize, decided: &mut Vec<Decision>) {
        let block: Vec<Slot> = self.pending.iter().take(count + AHEAD).copied().collect();
        for round in 0..SWEEPS {
            if round == 0 || round == FORGET {
                self.reset(&block);
            }
            self.sampler.sweep(&mut self.table, &self.models, &block, round);
        }
        for slot in block.iter().take(count) {
            self.pending.pop_front();
            decided.extend(self.decision(*slot));
            let Some(call) = self.table.calls.get_mut(*slot) else { continue };
            call.decided = true;
            for candidate in &call.candidates {
                if let Some(inbound) = self.table.inbounds.get_mut(candidate.inbound) {
                    inbound.puzzles = inbound.puzzles.saturating_sub(1);
                }
            }
            let owner = call.owner;
            if let Some(inbound) = owner.and_then(|owner| self.table.inbounds.get(owner)) {
                self.delays.entry(call.kind).or_default().add(call.start.saturating_sub(inbound.start));
                self.trim(owner);
            } else {
                self.models.main.add_background(call.kind);
                self.calls.remove(&call.id);
                self.table.calls.remove(*slot);
            }
        }
        self.ripe = self.ripe.saturating_sub(count);
    }

    /// What the draws say.
    fn decision(&self, slot: Slot) -> Option<Decision> {
        let call = self.table.calls.get(slot)?;
        let draws = call.tally.max(1.0);
        let mut shares: Vec<(Option<ExchangeId>, f64)> = Vec::new();
        let mut none = 1.0;
        for candidate in &call.candidates {
            let share = candidate.tally / draws;
            none -= share;
            shares.push((Some(self.table.inbounds.get(candidate.inbound)?.id), share));
        }
        shares.push((None, none.max(0.0)));
        shares.sort_by(|one, other| other.1.total_cmp(&one.1));
        let (parent, share) = shares.first().copied()?;
        // A model that has seen little is not sure of anything.
        let seen = f64::from(self.models.main.trained());
        let mut confidence = share.min(1.0) * (1.0 - 0.25 / (seen + 1.0));
        let hinted = call.candidates.iter().any(|candidate| candidate.hint > HINTED);
        if call.open != 1 && !hinted {
            // Without an example that is clear by itself, what was learnt may be consistent and wrong.
            let anchors = f64::from(self.anchors);
            confidence = confidence.min(1.0 - 0.5 / (1.0 + anchors * anchors));
        }
        let alternatives = shares.iter().skip(1).filter_map(|(id, share)| Some(((*id)?, *share))).take(4).collect();
        Some(Decision { call: call.id, parent, confidence, candidates: call.open, alternatives })
    }

    /// Forgets the oldest calls of a request that makes many.
    pub(super) fn trim(&mut self, owner: Option<Slot>) {
        let Some(inbound) = owner.and_then(|owner| self.table.inbounds.get_mut(owner)) else { return };
        while inbound.calls.len() > CALLS
            && let Some((_, slot)) = inbound.calls.first().copied()
            && self.table.calls.get(slot).is_none_or(|call| call.decided)
        {
            inbound.calls.remove(0);
            if let Some(call) = self.table.calls.remove(slot) {
                self.calls.remove(&call.id);
            }
        }
    }

    /// Learns from the requests that nothing can be added to, and forgets them.
    fn retire(&mut self, now: BootNs) {
        let mut steps = Vec::new();
        while let Some((end, slot)) = self.ended.front().copied() {
            let waits = |inbound: &Inbound| inbound.puzzles > 0 || (end + LATE > now && self.ended.len() < ENDED);
            if self.table.inbounds.get(slot).is_some_and(waits) {
                break;
            }
            self.ended.pop_front();
            let Some(inbound) = self.table.inbounds.remove(slot) else { continue };
            if inbound.fold == FOLDS && !inbound.lost {
                learn(&mut self.models.main, &self.table, &inbound, &mut steps);
                self.anchors = self.anchors.saturating_add(u32::from(self.is_anchor(&inbound)));
            }
            self.inbounds.remove(&inbound.id);
            for (_, call) in &inbound.calls {
                if let Some(call) = self.table.calls.remove(*call) {
                    self.calls.remove(&call.id);
                }
            }
        }
        self.models.main.age();
        if self.models.main.is_stale() {
            self.models.main.refresh();
        }
    }
}

/// Adds the steps of a request to a model. A request that ends before its calls are answered is believed only where
/// nothing else could explain it, and calls after its end only where they are known: guessed, they would soon explain
/// everything, above all calls that have no parent.
fn learn(model: &mut Model, table: &Table, inbound: &Inbound, steps: &mut Vec<Step>) {
    let late = |call: &Call| inbound.end.is_some_and(|end| call.start > end) && !call.candidates.is_empty();
    let guessed = inbound.calls.iter().filter_map(|(_, slot)| table.calls.get(*slot)).any(late);
    walk::steps(&table.calls, inbound, Span::all(), &[], &[], steps);
    walk::walk(inbound, Span::all(), steps, |state, next, time| {
        let early = next == Next::End && state.waiting > 0;
        if !(early && inbound.shared) && !(state.ended && (guessed || inbound.shared || inbound.followed)) {
            model.add(state, next, time);
        }
    });
    model.learnt();
}
