//! Draws who made which calls in proportion to how likely that is, and counts who made what.
//!
//! Every request has one of its histories; no call is in two. Gibbs sampling: in turn, two requests that compete for a
//! call choose their histories anew, together, given those of the others. So calls are exchanged one for one, or many
//! at once, or left to nobody.

use std::collections::BTreeMap;

use super::history::{History, Set, bits};
use super::random::Random;
use super::table::{Slot, Table};

/// Rounds, the first of them to forget where it started; of how many one matters to pairs that are clear.
pub(super) const ROUNDS: usize = 14;
const FORGET: usize = 3;
const CLEAR: usize = 4;
const SURE: f64 = 0.9995;
/// Histories of a request between which it chooses at a time.
const CHOICE: usize = 24;
/// Requests that compete for a call, and how much less likely (natural logarithm) than the first the last may be.
const RIVALS: usize = 6;
const UNLIKELY: f64 = 12.0;

/// A request.
#[derive(Clone, Debug)]
struct Player {
    slot: Slot,
    /// Place among the pieces of each of its calls; none for those that are not in play.
    calls: Vec<Option<usize>>,
    histories: Vec<History>,
    /// Their sets, likeliest first by themselves.
    firsts: Vec<Set>,
    chosen: Set,
}

/// A call.
#[derive(Clone, Debug)]
struct Piece {
    slot: Slot,
    owner: Option<usize>,
    /// Logarithm of how likely it is that nobody made it.
    alone: f64,
    /// By player: probability when it was last drawn, and the sum over the rounds.
    shares: Vec<(usize, f64, f64)>,
}

impl Piece {
    fn share(&mut self, player: usize) -> Option<&mut f64> {
        if !self.shares.iter().any(|share| share.0 == player) {
            self.shares.push((player, 0.0, 0.0));
        }
        self.shares.iter_mut().find(|share| share.0 == player).map(|share| &mut share.1)
    }
}

/// Two requests that compete, or one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    players: (usize, usize),
    clear: bool,
}

/// Requests and the calls that they can have made.
#[derive(Clone, Debug, Default)]
pub(super) struct Game {
    players: Vec<Player>,
    pieces: Vec<Piece>,
    places: BTreeMap<Slot, usize>,
    options: [Vec<Choice>; 2],
}

/// A history that a request may choose now, with its calls as a set of those of the other one.
#[derive(Clone, Copy, Debug)]
struct Choice {
    set: Set,
    theirs: Set,
    weight: f64,
    share: f64,
}

impl Game {
    /// Adds requests; `histories` in the order of `slots`, `alone` the probability that nobody made a call.
    pub(super) fn new(table: &Table, slots: &[Slot], histories: Vec<Vec<History>>, alone: impl Fn(u16) -> f64) -> Self {
        let mut game = Self::default();
        for (slot, histories) in slots.iter().zip(histories) {
            let Some(inbound) = table.inbounds.get(*slot) else { continue };
            let possible = histories.iter().fold(0, |possible, history| possible | history.set);
            let mut blocked = 0;
            let mut calls = Vec::new();
            for (at, call_slot) in inbound.calls.iter().enumerate() {
                let call = table.calls.get(*call_slot).filter(|_| possible >> at & 1 == 1);
                let outside = |owner: Slot| slots.binary_search(&owner).is_err();
                let piece = call.and_then(|call| {
                    if call.gone || call.owner.is_some_and(outside) || (call.proven && call.owner != Some(*slot)) {
                        blocked |= 1 << at;
                        return None;
                    }
                    let pieces = &mut game.pieces;
                    Some(*game.places.entry(*call_slot).or_insert_with(|| {
                        let alone = alone(call.kind);
                        pieces.push(Piece { slot: *call_slot, owner: None, alone, shares: Vec::new() });
                        pieces.len() - 1
                    }))
                });
                calls.push(piece);
            }
            let mut free: Vec<History> = histories.into_iter().filter(|history| history.set & blocked == 0).collect();
            let firsts = free.iter().map(|history| history.set).collect();
            for history in &mut free {
                let alone = |at: usize| Some(game.pieces.get((*calls.get(at)?)?)?.alone);
                history.weight -= bits(history.set).filter_map(alone).sum::<f64>();
            }
            free.sort_by(|one, other| other.weight.total_cmp(&one.weight));
            game.players.push(Player { slot: *slot, calls, histories: free, firsts, chosen: 0 });
        }
        game
    }

    /// Plays, and writes down who made what in the end.
    pub(super) fn play(&mut self, table: &mut Table, random: &mut Random, rounds: usize) {
        let mut pairs = self.pairs();
        self.begin();
        for round in 0..rounds {
            for pair in &mut pairs {
                if !(pair.clear && round > FORGET && round % CLEAR != 0) {
                    pair.clear = self.draw(pair.players, random) > SURE;
                }
            }
            if round >= FORGET.min(rounds - 1) {
                for share in self.pieces.iter_mut().flat_map(|piece| &mut piece.shares) {
                    share.2 += share.1;
                }
            }
        }
        for piece in &self.pieces {
            if let Some(call) = table.calls.get_mut(piece.slot) {
                call.owner = piece.owner.and_then(|owner| self.players.get(owner)).map(|player| player.slot);
            }
        }
    }

    /// Who made a call, with probabilities.
    pub(super) fn shares(&self, slot: Slot) -> impl Iterator<Item = (Slot, f64)> {
        let piece = self.places.get(&slot).and_then(|at| self.pieces.get(*at));
        let share =
            |share: &(usize, f64, f64)| Some((self.players.get(share.0)?.slot, share.2 / (ROUNDS - FORGET) as f64));
        piece.into_iter().flat_map(|piece| &piece.shares).filter_map(share)
    }

    /// Those that compete, and those that are alone.
    fn pairs(&self) -> Vec<Pair> {
        let mut rivals: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.pieces.len()];
        for (place, player) in self.players.iter().enumerate() {
            let Some(best) = player.histories.first().map(|history| history.weight) else { continue };
            let mut gains = vec![(0.0f64, 0.0f64); player.calls.len()];
            for history in &player.histories {
                let share = (history.weight - best).exp();
                for (at, (with, without)) in gains.iter_mut().enumerate() {
                    *(if history.set >> at & 1 == 1 { with } else { without }) += share;
                }
            }
            for (piece, (with, without)) in player.calls.iter().zip(gains) {
                if let Some(rivals) = piece.and_then(|piece| rivals.get_mut(piece)).filter(|_| with > 0.0) {
                    rivals.push((place, with.ln() - without.max(1e-9).ln()));
                }
            }
        }
        let mut pairs: Vec<Pair> = Vec::new();
        let mut lonely = vec![true; self.players.len()];
        for rivals in &mut rivals {
            rivals.sort_by(|one, other| other.1.total_cmp(&one.1));
            rivals.truncate(RIVALS);
            let Some(most) = rivals.first().map(|rival| rival.1) else { continue };
            rivals.retain(|rival| rival.1 > most - UNLIKELY);
            for (at, one) in rivals.iter().enumerate() {
                for other in rivals.iter().skip(at + 1) {
                    pairs.push(Pair { players: (one.0.min(other.0), one.0.max(other.0)), clear: false });
                    for player in [one.0, other.0] {
                        lonely.get_mut(player).into_iter().for_each(|lonely| *lonely = false);
                    }
                }
            }
        }
        let lonely = lonely.iter().enumerate().filter(|(_, lonely)| **lonely);
        pairs.extend(lonely.map(|(player, _)| Pair { players: (player, player), clear: false }));
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Everyone in turn takes the likeliest of what is left.
    fn begin(&mut self) {
        for player in 0..self.players.len() {
            let Some(free) = self.free(player, player) else { continue };
            let Some(it) = self.players.get(player) else { continue };
            if let Some(set) = it.firsts.iter().copied().find(|set| set & !free == 0) {
                self.give(player, set);
            }
        }
    }

    fn give(&mut self, player: usize, set: Set) {
        let Some(it) = self.players.get_mut(player) else { return };
        it.chosen = set;
        for at in bits(set) {
            let piece = it.calls.get(at).copied().flatten();
            if let Some(piece) = piece.and_then(|piece| self.pieces.get_mut(piece)) {
                piece.owner = Some(player);
            }
        }
    }

    fn take(&mut self, player: usize) {
        let Some(it) = self.players.get_mut(player) else { return };
        for at in bits(std::mem::take(&mut it.chosen)) {
            let piece = it.calls.get(at).copied().flatten();
            if let Some(piece) = piece.and_then(|piece| self.pieces.get_mut(piece)) {
                piece.owner = None;
            }
        }
    }

    /// Calls that a request could have if `other` gave up its own.
    fn free(&self, player: usize, other: usize) -> Option<Set> {
        let mut free = 0;
        for (at, piece) in self.players.get(player)?.calls.iter().enumerate() {
            let owner = piece.and_then(|piece| self.pieces.get(piece)).map(|piece| piece.owner);
            if owner.is_some_and(|owner| owner.is_none_or(|owner| owner == player || owner == other)) {
                free |= 1 << at;
            }
        }
        Some(free)
    }

    /// Two choose anew; returns the probability of what is likeliest.
    fn draw(&mut self, (one, other): (usize, usize), random: &mut Random) -> f64 {
        let mut options = std::mem::take(&mut self.options);
        let [mine, theirs] = &mut options;
        self.list(one, other, mine);
        self.list(other, one, theirs);
        if one == other {
            theirs.clear();
            theirs.push(Choice { set: 0, theirs: 0, weight: 0.0, share: 0.0 });
        }
        let most = |options: &[Choice]| options.first().map_or(0.0, |option| option.weight);
        let (best, their_best) = (most(mine), most(theirs));
        mine.iter_mut().for_each(|option| option.weight = (option.weight - best).exp());
        theirs.iter_mut().for_each(|option| option.weight = (option.weight - their_best).exp());
        let mut total = 0.0;
        let mut highest = 0.0f64;
        for my in mine.iter_mut() {
            for their in theirs.iter_mut().filter(|their| their.theirs & my.set == 0) {
                let weight = my.weight * their.weight;
                total += weight;
                highest = highest.max(weight);
                my.share += weight;
                their.share += weight;
            }
        }
        if total > 0.0 {
            let mut left = random.unit() * total;
            let mut chosen = None;
            'draw: for my in mine.iter() {
                if left > my.share {
                    left -= my.share;
                    continue;
                }
                for their in theirs.iter().filter(|their| their.theirs & my.set == 0) {
                    chosen = Some((my.set, their.set));
                    left -= my.weight * their.weight;
                    if left <= 0.0 {
                        break 'draw;
                    }
                }
            }
            for (player, options) in [(one, &*mine), (other, &*theirs)] {
                self.count(player, options, total, true);
            }
            for (player, options) in [(one, &*mine), (other, &*theirs)] {
                self.count(player, options, total, false);
            }
            if let Some((my, their)) = chosen {
                self.take(one);
                self.take(other);
                self.give(one, my);
                if one != other {
                    self.give(other, their);
                }
            }
        }
        self.options = options;
        highest / total
    }

    /// What a request may choose while all but `other` keep what they have.
    fn list(&self, player: usize, other: usize, options: &mut Vec<Choice>) {
        options.clear();
        let (Some(free), Some(it), Some(them)) =
            (self.free(player, other), self.players.get(player), self.players.get(other))
        else {
            return;
        };
        let allowed = it.histories.iter().filter(|history| history.set & !free == 0).take(CHOICE);
        options.extend(allowed.map(|history| Choice {
            set: history.set,
            theirs: 0,
            weight: history.weight,
            share: 0.0,
        }));
        for (at, piece) in it.calls.iter().enumerate().filter_map(|(at, piece)| Some((at, (*piece)?))) {
            if let Some(there) = them.calls.iter().position(|other| *other == Some(piece)) {
                for option in options.iter_mut().filter(|option| option.set >> at & 1 == 1) {
                    option.theirs |= 1 << there;
                }
            }
        }
    }

    /// Notes how likely a request made its calls, or forgets who is said to have.
    fn count(&mut self, player: usize, options: &[Choice], total: f64, forget: bool) {
        let Some(it) = self.players.get(player) else { return };
        let union = options.iter().fold(it.chosen, |union, option| union | option.set);
        for at in bits(union) {
            let piece = it.calls.get(at).copied().flatten().and_then(|piece| self.pieces.get_mut(piece));
            let Some(piece) = piece else { continue };
            if forget {
                piece.shares.iter_mut().for_each(|share| share.1 = 0.0);
            } else if let Some(share) = piece.share(player) {
                let with = options.iter().filter(|option| option.set >> at & 1 == 1);
                *share += with.map(|option| option.share).sum::<f64>() / total;
            }
        }
    }
}
