//! Puts the ring buffer's records in order and says where some are missing.
//!
//! The kernel numbers a record just before it reserves its place, so two CPUs may swap neighbours, and a reservation
//! that failed leaves a hole. A record that is ahead waits until the hole fills, or until the window or a whole tick
//! passes; then the hole is [`Ordered::Lost`]. Records without a number pass at once: a process must be described
//! before its first data record, and that one may be waiting.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

use std::collections::BTreeMap;

use crate::record::{BootNs, Record};

/// What leaves this stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Ordered {
    /// The next record.
    Record(Record),
    /// Records are missing here.
    Lost {
        /// How many.
        count: u64,
        /// Time of the record after the hole: the same live and on replay.
        time: BootNs,
    },
}

/// Bounds of the reordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records that may wait for a hole to fill.
    pub held_records: usize,
    /// Captured bytes that may wait for a hole to fill.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { held_records: 64, held_bytes: 1 << 20 }
    }
}

impl Limits {
    /// For a recording: it is written in order, so a hole in it will never fill, and waiting would let a tick overtake
    /// the records that came before it in the live run.
    pub const RECORDING: Self = Self { held_records: 0, held_bytes: 0 };
}

/// What this stage counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Numbered records that came in.
    pub records: u64,
    /// Records that had to wait for an earlier one.
    pub reordered: u64,
    /// Records that came twice, or after their hole was given up; dropped.
    pub late: u64,
    /// Numbers that never came.
    pub lost: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Stream {
    limits: Limits,
    /// The number that must come next. Numbering starts at 1; a recording cut at the front has lost the rest.
    next: u64,
    held: BTreeMap<u64, Record>,
    held_bytes: usize,
    /// `next` at the previous tick, when something waited for it then.
    awaited_at_tick: Option<u64>,
    counters: Counters,
}

impl Stream {
    /// Nothing seen yet.
    pub fn new(limits: Limits) -> Self {
        let (held, counters) = (BTreeMap::new(), Counters::default());
        Self { limits, next: 1, held, held_bytes: 0, awaited_at_tick: None, counters }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes a record as it arrives and hands on whatever is now in order.
    pub fn push(&mut self, record: Record, out: &mut impl FnMut(Ordered)) {
        let Some(seq) = record.seq() else {
            if matches!(record, Record::Tick(_)) {
                self.tick(out);
            }
            return out(Ordered::Record(record));
        };
        self.counters.records += 1;
        if seq < self.next || self.held.contains_key(&seq) {
            self.counters.late += 1;
        } else if seq == self.next {
            self.next = seq.saturating_add(1);
            out(Ordered::Record(record));
            self.release(out);
        } else {
            self.counters.reordered += 1;
            self.held_bytes += captured(&record);
            self.held.insert(seq, record);
            while self.held.len() > self.limits.held_records || self.held_bytes > self.limits.held_bytes {
                self.give_up(out);
            }
        }
    }

    /// The source ended: nothing more will fill a hole.
    pub fn finish(&mut self, out: &mut impl FnMut(Ordered)) {
        while !self.held.is_empty() {
            self.give_up(out);
        }
    }

    /// A hole that was there a tick ago will not fill: the kernel side is long past it.
    fn tick(&mut self, out: &mut impl FnMut(Ordered)) {
        if self.awaited_at_tick == Some(self.next) {
            self.give_up(out);
        }
        self.awaited_at_tick = (!self.held.is_empty()).then_some(self.next);
    }

    /// Declares the first hole lost and hands on what waited for it.
    fn give_up(&mut self, out: &mut impl FnMut(Ordered)) {
        let Some((&seq, record)) = self.held.first_key_value() else { return };
        let count = seq.saturating_sub(self.next);
        self.counters.lost = self.counters.lost.saturating_add(count);
        out(Ordered::Lost { count, time: record.time() });
        self.next = seq;
        self.release(out);
    }

    fn release(&mut self, out: &mut impl FnMut(Ordered)) {
        while let Some(record) = self.held.remove(&self.next) {
            self.next = self.next.saturating_add(1);
            self.held_bytes = self.held_bytes.saturating_sub(captured(&record));
            out(Ordered::Record(record));
        }
    }
}

fn captured(record: &Record) -> usize {
    match record {
        Record::Data(data) => data.bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Close, SocketId, Tick};
    use auditor_ebpf::wire;

    fn close(seq: u64) -> Record {
        Record::Close(Close { seq, time: seq, socket: SocketId { sock: 1, inode: 1 }, eof: false })
    }

    fn tick(time: u64) -> Record {
        Record::Tick(Tick { time, counters: [0; wire::COUNTERS] })
    }

    /// Numbers as they leave; `-n` is a loss of n, 0 a tick.
    fn run(limits: Limits, records: impl IntoIterator<Item = Record>) -> (Vec<i64>, Counters) {
        let mut stream = Stream::new(limits);
        let mut left = Vec::new();
        let mut out = |ordered: Ordered| {
            left.push(match ordered {
                Ordered::Record(record) => record.seq().map_or(0, |seq| seq as i64),
                Ordered::Lost { count, .. } => (count as i64).wrapping_neg(),
            });
        };
        for record in records {
            stream.push(record, &mut out);
        }
        stream.finish(&mut out);
        (left, stream.counters())
    }

    #[test]
    fn swapped_neighbours_are_put_in_order() {
        let (left, counters) = run(Limits::default(), [1, 3, 2, 5, 6, 4, 7].map(close));
        assert_eq!(left, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((counters.reordered, counters.lost, counters.late), (3, 0, 0));
    }

    #[test]
    fn a_hole_is_lost_after_the_window() {
        let limits = Limits { held_records: 2, ..Limits::default() };
        let (left, counters) = run(limits, [1, 4, 5, 6, 7].map(close));
        assert_eq!(left, [1, -2, 4, 5, 6, 7]);
        assert_eq!(counters.lost, 2);
    }

    #[test]
    fn a_hole_is_lost_after_a_whole_tick_and_not_before() {
        let (left, _) = run(Limits::default(), [close(1), close(3), tick(1), close(4), tick(2), close(5)]);
        assert_eq!(left, [1, 0, -1, 3, 4, 0, 5]);
    }

    #[test]
    fn a_newer_hole_gets_its_own_tick() {
        let (left, _) = run(Limits::default(), [close(2), tick(1), close(1), close(4), tick(2), close(3), tick(3)]);
        assert_eq!(left, [0, 1, 2, 0, 3, 4, 0]);
    }

    #[test]
    fn late_and_duplicate_records_are_dropped_and_counted() {
        let (left, counters) = run(Limits::RECORDING, [1, 1, 3, 2, 0, 4].map(close));
        assert_eq!(left, [1, -1, 3, 4]);
        assert_eq!(counters.late, 3);
        let (left, counters) = run(Limits::default(), [1, 3, 3, 2].map(close));
        assert_eq!((left, counters.late), (vec![1, 2, 3], 1));
    }

    #[test]
    fn a_recording_cut_at_the_front_has_lost_its_front() {
        let (left, _) = run(Limits::RECORDING, [5, 6].map(close));
        assert_eq!(left, [-4, 5, 6]);
    }

    #[test]
    fn the_end_of_the_numbering_is_survived() {
        let (left, _) = run(Limits::default(), [u64::MAX, 1, u64::MAX - 1].map(close));
        assert_eq!(left.len(), 4);
    }
}
