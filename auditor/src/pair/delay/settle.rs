//! When calls are decided, and what is learnt from them then.

use super::candidates::LATE;
use super::history::{self, History};
use super::model::Model;
use super::sample::{self, Game};
use super::table::{Call, Inbound, Slot, Table};
use super::{Decision, Delays};
use crate::exchange::ExchangeId;
use crate::record::BootNs;

/// Calls decided together, and requests that take part because they compete for other calls of the same requests.
const BLOCK: usize = 64;
const AROUND: usize = 256;
/// A call is decided at the latest after this time, or when so many wait.
const DEADLINE: BootNs = 10_000_000_000;
const PENDING: usize = 2048;
/// The first model is learnt from so many calls, or from what there is after so long; in so many rounds.
const WARM: usize = 640;
const WARM_UP: BootNs = 10_000_000_000;
const ROUNDS: u32 = 8;
const PLAY: usize = 5;
/// Requests that have ended and may still make a call.
const ENDED: usize = 64;
/// Share of the calls of a kind that may be without a request where idle moments do not tell. Measured: more, and that
/// nobody made them soon explains the calls that only some requests make.
const BACKGROUND: f64 = 0.001;
/// Probability from which on other requests do not consider a call any more.
const SURE: f64 = 0.9995;
/// Calls over which it is averaged how much is left open.
const MEMORY: f64 = 128.0;
/// Exponent of probabilities: the steps of a request are not as independent as the model has them. Measured.
const TEMPER: f64 = 0.6;
/// Most confidence where not all open requests were weighed.
const UNWEIGHED: f64 = 0.98;
/// Weight of its square as the least doubt about a call.
const DOUBT: f64 = 2.0;
/// The same average before anything is known.
const UNKNOWN: f64 = 0.15;
/// Least share of a kind of calls that requests are supposed to cause.
const LEAST: f64 = 0.001;

impl Delays {
    /// Decides what can be decided.
    pub(crate) fn settle(&mut self, now: BootNs, decided: &mut Vec<Decision>) {
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
            if !overdue && call.candidates.iter().any(|candidate| open(*candidate)) {
                break;
            }
            self.ripe += 1;
        }
    }

    /// Learns the first model from what has piled up: from the requests that never shared a moment with others, then,
    /// in turns with guessing who made the calls, from all.
    fn warm_up(&mut self) {
        self.warm = true;
        self.doubt = UNKNOWN;
        let ended: Vec<Slot> = self.ended.iter().map(|(_, slot)| *slot).collect();
        let mut slots: Vec<Slot> = ended.iter().copied().chain(self.open.iter().map(|(_, slot)| *slot)).collect();
        slots.sort_unstable();
        for round in 0..=ROUNDS {
            if round > 0 {
                self.game(&slots, PLAY);
            }
            self.model.clear();
            for slot in &ended {
                let Some(inbound) = self.table.inbounds.get(*slot) else { continue };
                if round == 0 {
                    self.anchors += u32::from(is_anchor(&self.table, inbound));
                }
                if round > 0 || !inbound.shared {
                    learn(&mut self.model, &self.table, *slot, round == 0);
                }
            }
            for call in self.pending.iter().filter(|_| round > 0).filter_map(|slot| self.table.calls.get(*slot)) {
                if call.owner.is_none() {
                    self.model.add_background(call.kind);
                }
            }
            self.model.refresh(self.clock);
            ended.iter().for_each(|slot| {
                self.table.inbounds.get_mut(*slot).into_iter().for_each(|inbound| inbound.histories = None);
            });
        }
    }

    /// Log of how likely a call of a kind has no parent, relative to chance.
    pub(super) fn alone(&self, kind: u16) -> f64 {
        let (rate, share) = self.idle.background(kind);
        let most = self.idle.most(kind).min(BACKGROUND * self.model.chance(kind).exp());
        self.model.found(kind).min(most).max(rate).ln() - self.model.chance(kind) - (1.0 - share).max(LEAST).ln()
    }

    /// Plays who made the calls of these requests, which are in order.
    fn game(&mut self, slots: &[Slot], rounds: usize) -> Game {
        let histories = slots.iter().map(|slot| self.histories(*slot)).collect();
        let mut game = Game::new(&self.table, slots, histories, |kind| self.alone(kind));
        game.play(&mut self.table, &mut self.random, rounds);
        game
    }

    /// What a request may have done.
    fn histories(&mut self, slot: Slot) -> Vec<History> {
        let Some(inbound) = self.table.inbounds.get(slot) else { return Vec::new() };
        if let Some((_, histories)) = inbound.histories.as_ref().filter(|(count, _)| *count == inbound.calls.len()) {
            return histories.clone();
        }
        let calls: Vec<&Call> = inbound.calls.iter().filter_map(|slot| self.table.calls.get(*slot)).collect();
        let histories = history::histories(&self.model, inbound, slot, &calls);
        if let Some(inbound) = self.table.inbounds.get_mut(slot).filter(|inbound| inbound.end.is_some()) {
            inbound.histories = Some((inbound.calls.len(), histories.clone()));
        }
        histories
    }

    /// Decides the first calls.
    fn decide(&mut self, count: usize, decided: &mut Vec<Decision>) {
        let block: Vec<Slot> = self.pending.drain(..count).collect();
        self.ripe = self.ripe.saturating_sub(count);
        let game = {
            let mut slots = self.candidates_of(block.iter());
            let calls = slots.iter().filter_map(|slot| self.table.inbounds.get(*slot)).flat_map(|it| &it.calls);
            let around = self.candidates_of(calls);
            slots.extend(around.into_iter().take(AROUND));
            slots.sort_unstable();
            slots.dedup();
            self.game(&slots, sample::ROUNDS)
        };
        for slot in block {
            let decision = self.decision(slot, &game);
            decided.extend(decision);
            let Some(call) = self.table.calls.get_mut(slot) else { continue };
            call.decided = true;
            call.sure = game.shares(slot).find(|(_, share)| *share > SURE).map(|(inbound, _)| inbound);
            for candidate in &call.candidates {
                if let Some(inbound) = self.table.inbounds.get_mut(*candidate) {
                    inbound.puzzles = inbound.puzzles.saturating_sub(1);
                }
            }
            if let Some(inbound) = call.owner.and_then(|owner| self.table.inbounds.get(owner)) {
                self.delays.entry(call.kind).or_default().add(call.start.saturating_sub(inbound.start), 1.0);
            } else {
                self.model.add_background(call.kind);
            }
            self.release(slot);
        }
    }

    /// Requests that may have made one of some calls, in order.
    fn candidates_of<'a>(&self, calls: impl Iterator<Item = &'a Slot>) -> Vec<Slot> {
        let candidates = calls.filter_map(|slot| self.table.calls.get(*slot)).flat_map(|call| &call.candidates);
        let mut slots: Vec<Slot> =
            candidates.copied().filter(|slot| self.table.inbounds.get(*slot).is_some()).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// What the draws say.
    fn decision(&mut self, slot: Slot, game: &Game) -> Option<Decision> {
        let call = self.table.calls.get(slot)?;
        let mut shares: Vec<(Option<ExchangeId>, f64)> = Vec::new();
        let mut none = 1.0;
        for (inbound, share) in game.shares(slot) {
            none -= share;
            shares.push((Some(self.table.inbounds.get(inbound)?.id), share));
        }
        shares.push((None, none.max(0.0)));
        shares.iter_mut().for_each(|(_, share)| *share = share.powf(TEMPER));
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        shares.iter_mut().for_each(|(_, share)| *share /= sum.max(f64::MIN_POSITIVE));
        shares.sort_by(|one, other| other.1.total_cmp(&one.1));
        let (parent, share) = shares.first().copied()?;
        // A model that has seen little is not sure of anything.
        let seen = f64::from(self.model.trained());
        let mut confidence = share.min(1.0) * (1.0 - 0.25 / (seen + 1.0));
        if call.open != 1 {
            // Without an example that is clear by itself, what was learnt may be consistent and wrong.
            let anchors = f64::from(self.anchors);
            confidence = confidence.min(1.0 - 0.5 / (1.0 + anchors * anchors));
            // Where much is left open, the model is a poor one, and what it is sure of is less so.
            self.doubt += (1.0 - share - self.doubt) / MEMORY;
            confidence = confidence.min(1.0 - DOUBT * self.doubt * self.doubt);
            if call.candidates.len() < call.open as usize {
                confidence = confidence.min(UNWEIGHED);
            }
        }
        Some(Decision { call: call.id, parent, confidence, candidates: call.open })
    }

    /// Forgets a call when it matters to nobody any more.
    pub(super) fn release(&mut self, slot: Slot) {
        if let Some(call) = self.table.calls.get(slot).filter(|call| call.decided && call.held == 0) {
            self.calls.remove(&call.id);
            self.table.calls.remove(slot);
        }
    }

    /// Learns from the requests that nothing can be added to, and forgets them.
    fn retire(&mut self, now: BootNs) {
        while let Some((end, slot)) = self.ended.front().copied() {
            let waits = |inbound: &Inbound| inbound.puzzles > 0 || (end + LATE > now && self.ended.len() < ENDED);
            if self.table.inbounds.get(slot).is_some_and(waits) {
                break;
            }
            self.ended.pop_front();
            let lost = self.table.inbounds.get(slot).is_none_or(|inbound| inbound.lost);
            if !lost {
                learn(&mut self.model, &self.table, slot, false);
            }
            let Some(inbound) = self.table.inbounds.remove(slot) else { continue };
            self.anchors = self.anchors.saturating_add(u32::from(!lost && is_anchor(&self.table, &inbound)));
            self.inbounds.remove(&inbound.id);
            for call in inbound.calls {
                self.table.let_go(call, slot);
                self.release(call);
            }
        }
        self.model.age();
        if self.model.is_stale() {
            self.model.refresh(self.clock);
        }
    }
}

/// Whether nobody else can have made the calls of a request, and there are some.
fn is_anchor(table: &Table, inbound: &Inbound) -> bool {
    let mut calls = inbound.calls.iter().filter_map(|slot| table.calls.get(*slot));
    if inbound.shared { calls.any(|call| call.proven) } else { !inbound.calls.is_empty() }
}

/// Adds the steps of a request to a model. A request that ends before its calls are answered is believed only where
/// nothing else could explain it, and calls after its end only where they are known: guessed, they would soon explain
/// everything, above all calls that have no parent.
fn learn(model: &mut Model, table: &Table, slot: Slot, alone: bool) {
    let Some(inbound) = table.inbounds.get(slot) else { return };
    let calls: Vec<&Call> = inbound.calls.iter().filter_map(|slot| table.calls.get(*slot)).collect();
    let mut set = 0;
    let mut guessed = false;
    for (at, call) in calls.iter().enumerate().take(history::CHOICE) {
        let owned = if alone { inbound.end.is_none_or(|end| call.start <= end) } else { call.owner == Some(slot) };
        if owned && !call.gone {
            set |= 1 << at;
            guessed |= inbound.end.is_some_and(|end| call.start > end) && !call.proven;
        }
    }
    let late = !(guessed || inbound.shared || inbound.followed);
    history::learn(model, inbound, &calls, set, !inbound.shared, late);
}
