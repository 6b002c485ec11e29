//! The requests a class of calls could have come from, in one process or on one thread, and how fresh they are.

use std::collections::BTreeSet;

use super::clock::{Clock, State};
use super::rhythm::Spacing;
use crate::exchange::ExchangeId;
use crate::record::BootNs;

/// How many calls of one class a request may make before it stops being fresh. Nobody tells us whether a service makes
/// one call a request or ten, so each supposition runs in a lane of its own.
pub(super) const CAPACITY: [u32; LANES] = [1, 2, 3, u32::MAX];
/// Number of lanes.
pub(super) const LANES: usize = 4;

/// What is known of the context of a request that could be a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// It carried a valid one.
    Valid,
    /// It carried none.
    Absent,
    /// Malformed, not wholly seen, older than a loss, or exempt: no verdict may rest on it.
    Other,
}

/// Open requests by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    valid: u32,
    absent: u32,
    other: u32,
}

impl Counts {
    pub(super) fn total(self) -> u32 {
        self.valid + self.absent + self.other
    }

    pub(super) fn only(self, kind: Kind) -> bool {
        self.total() > 0 && self.total() == self.of(kind)
    }

    /// None of them is of another kind.
    pub(super) fn are_valid(self) -> bool {
        self.total() == self.valid
    }

    /// Nothing is known any more of what is open.
    pub(super) fn taint(&mut self) {
        *self = Self { valid: 0, absent: 0, other: self.total() };
    }

    pub(super) fn add(&mut self, kind: Kind) {
        *self.slot(kind) += 1;
    }

    pub(super) fn remove(&mut self, kind: Kind) {
        let slot = self.slot(kind);
        *slot = slot.saturating_sub(1);
    }

    fn of(self, kind: Kind) -> u32 {
        match kind {
            Kind::Valid => self.valid,
            Kind::Absent => self.absent,
            Kind::Other => self.other,
        }
    }

    fn slot(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Valid => &mut self.valid,
            Kind::Absent => &mut self.absent,
            Kind::Other => &mut self.other,
        }
    }
}

/// One supposition on the calls a request may make.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) clock: Clock,
    fresh: u32,
    /// A call was counted since the lane was last without a fresh request. The next ones would count the same
    /// coincidence again: a burst of background calls inside one busy moment is one piece of evidence, not ten.
    spent: bool,
}

/// A class's view of a process or of a thread.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    want: Kind,
    counts: Counts,
    pub(super) lanes: [Lane; LANES],
    /// Open requests of the wanted kind without a call of the class.
    pub(super) unused: BTreeSet<ExchangeId>,
    spacing: Spacing,
    silent_until: BootNs,
    /// Until when a request that could not be a parent may still be at work after its end.
    unclear_until: BootNs,
}

impl Scope {
    /// A view that begins now, with so many requests open; `unused` are those of the wanted kind, or the latest of them.
    pub(super) fn new(now: BootNs, want: Kind, counts: Counts, unused: BTreeSet<ExchangeId>, history: &Clock) -> Self {
        let fresh = counts.of(want);
        let mut clock = history.joined();
        clock.touch(now);
        let lanes = std::array::from_fn(|_| Lane { clock: clock.clone(), fresh, spent: false });
        Self { want, counts, lanes, unused, spacing: Spacing::default(), silent_until: 0, unclear_until: 0 }
    }

    /// Until then a call may come from a request that has ended, and nobody can tell: neither calls nor time count.
    pub(super) fn unclear(&mut self, now: BootNs, until: BootNs) {
        self.settle(now);
        self.unclear_until = self.unclear_until.max(until);
    }

    /// Until when neither calls nor time count.
    pub(super) fn blind_until(&self) -> BootNs {
        self.silent_until.max(self.unclear_until)
    }

    /// Whether a call could come from a request that is not under test.
    pub(super) fn is_neutral(&self) -> bool {
        self.counts.total() > 0 && !self.counts.only(self.want)
    }

    /// Accounts for the time up to `now`.
    pub(super) fn settle(&mut self, now: BootNs) {
        let neutral = !self.counts.only(self.want);
        let blind_until = self.blind_until();
        let idle = self.counts.total() == 0;
        for lane in &mut self.lanes {
            let state = match (idle, neutral, lane.fresh) {
                (true, _, _) => State::Idle,
                (_, true, _) => State::Neutral,
                (_, _, 0) => State::Used,
                _ => State::Fresh,
            };
            lane.clock.advance(now.min(blind_until), State::Neutral);
            lane.clock.advance(now, state);
        }
    }

    pub(super) fn opened(&mut self, now: BootNs, id: ExchangeId, kind: Kind) {
        self.settle(now);
        self.counts.add(kind);
        if kind == self.want {
            self.unused.insert(id);
        }
        for lane in &mut self.lanes {
            lane.clock.touch(now);
            if kind == self.want {
                lane.clock.cycles += 1;
                lane.fresh += 1;
            }
        }
    }

    /// `used`: calls of the class this request has made.
    pub(super) fn closed(&mut self, now: BootNs, id: ExchangeId, kind: Kind, used: u32) {
        self.settle(now);
        self.counts.remove(kind);
        self.unused.remove(&id);
        for (lane, capacity) in self.lanes.iter_mut().zip(CAPACITY) {
            lane.clock.touch(now);
            if kind == self.want && used < capacity {
                lane.leave();
            }
        }
    }

    /// The request made its `used`-th call of the class.
    pub(super) fn assigned(&mut self, id: ExchangeId, used: u32) {
        self.unused.remove(&id);
        for (lane, capacity) in self.lanes.iter_mut().zip(CAPACITY) {
            if used == capacity {
                lane.leave();
            }
        }
    }

    /// A call of the class is made: per lane, whether it finds a fresh request (`None`: says nothing).
    pub(super) fn look(&mut self, now: BootNs) -> [Option<bool>; LANES] {
        self.settle(now);
        let usable = !self.is_neutral();
        let mut found = [None; LANES];
        let silent = now < self.blind_until();
        self.spacing.beat(now);
        self.silent_until = self.spacing.silent_until();
        if silent {
            return found;
        }
        for (lane, found) in self.lanes.iter_mut().zip(&mut found) {
            lane.clock.touch(now);
            lane.clock.mark();
            if usable && lane.fresh == 0 {
                *found = Some(false);
            } else if usable && !lane.spent {
                *found = Some(true);
                lane.spent = true;
            }
        }
        found
    }

    /// Nothing is known any more of what is open.
    pub(super) fn taint(&mut self, now: BootNs) {
        self.settle(now);
        self.counts.taint();
        self.unused.clear();
        for lane in &mut self.lanes {
            lane.fresh = 0;
            lane.spent = false;
        }
    }
}

impl Lane {
    fn leave(&mut self) {
        self.fresh = self.fresh.saturating_sub(1);
        if self.fresh == 0 {
            self.spent = false;
        }
    }
}
