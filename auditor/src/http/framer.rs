//! Where the heads and bodies are in one direction of one connection.
//!
//! Positions make this exact: body operations are not shipped, they only advance the position of the next record.

use std::ops::Range;

use auditor_ebpf::wire;

use super::Body;
use super::chunked::{Chunked, Next};
use super::lines::Noted;
use super::mask::{BLANK, HeadMask, Kind, Verdict};
use super::policy::Policy;

/// What a record's position says of the bytes since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first record of this direction.
    First,
    /// It continues where the last one ended, or skips bytes of a body. `ended`: a body of known length was skipped to
    /// its end.
    Continues {
        /// See above.
        ended: bool,
    },
    /// Bytes of unknown content were not seen, or the order is broken. `ended` as above.
    Gap {
        /// See above.
        ended: bool,
    },
}

/// What [`Framer::step`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The bytes are used up.
    Exhausted,
    /// A head is complete: read it with [`Framer::head`] before anything else is walked, and then call
    /// [`Framer::follow`].
    Head(Kind),
    /// The head under way reached the cap: as for `Head`, but it is only the beginning.
    Truncated(Kind),
    /// A body of known length, or a chunked one, ended.
    BodyEnd,
    /// Where a head was due there is something else; the end of it is unknown.
    NotHttp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages, or within a head.
    Head,
    /// In a body: so many bytes are left.
    Length(u64),
    Chunked(Chunked),
    /// Anything until told otherwise.
    Unknown,
}

/// See the module.
#[derive(Debug)]
pub struct Framer {
    state: State,
    /// Position of the first byte not yet walked.
    next: Option<u64>,
    mask: HeadMask,
    /// The head under way, as far as it went with earlier records.
    head: Vec<u8>,
    /// Where in the record at hand the head begins or goes on, and how far it was walked.
    here: Range<usize>,
}

impl Default for Framer {
    fn default() -> Self {
        Self { state: State::Unknown, next: None, mask: HeadMask::new(), head: Vec::new(), here: 0..0 }
    }
}

impl Framer {
    /// Whether any record was seen.
    pub fn is_positioned(&self) -> bool {
        self.next.is_some()
    }

    /// Whether the end of what is under way is unknown, so that only [`Framer::begin`] leads on.
    pub fn is_lost(&self) -> bool {
        self.state == State::Unknown
    }

    /// Whether it is in a body whose framing is known.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }

    /// Whether part of a head was seen.
    pub fn has_partial_head(&self) -> bool {
        self.state == State::Head && !self.head.is_empty()
    }

    /// The head collected so far, masked. `bytes`: those of the record at hand, if it ends there.
    pub fn head<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        if self.head.is_empty() { bytes.get(self.here.clone()).unwrap_or_default() } else { &self.head }
    }

    /// Whether the lines of the head that was just reported as complete are noted.
    pub fn is_noted(&self) -> bool {
        self.head.is_empty() && self.mask.is_straight()
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.head.capacity()
    }

    /// A head may begin with the next byte.
    pub fn begin(&mut self) {
        self.enter(State::Head);
    }

    /// Sight was lost: the end of what is under way is unknown.
    pub fn lose(&mut self) {
        self.enter(State::Unknown);
    }

    /// What follows the head that was just reported.
    pub fn follow(&mut self, body: Body) {
        self.enter(match body {
            Body::Length(0) => State::Head,
            Body::Length(left) => State::Length(left),
            Body::Chunked => State::Chunked(Chunked::BEGIN),
            Body::Unknown => State::Unknown,
        });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.mask = HeadMask::new();
        self.here = 0..0;
        // Idle connections hold no memory.
        self.head = Vec::new();
    }

    /// A record begins at `position`: accounts for the bytes between the last one and it.
    pub fn arrive(&mut self, position: u64, counted: bool) -> Arrival {
        let Some(next) = self.next else {
            self.next = Some(position);
            return Arrival::First;
        };
        let distance = if counted {
            i64::try_from(position.wrapping_sub(next)).ok().map(|forward| forward.unsigned_abs())
        } else {
            self.unwrap_distance((position as u32).wrapping_sub(next as u32))
        };
        // A record beyond 2^32 keeps the numbering of the last one only modulo 2^32, which is all that is compared.
        let Some(distance) = distance else {
            self.next = Some(position);
            self.lose();
            return Arrival::Gap { ended: false };
        };
        let arrival = self.skip(distance);
        self.next = Some(position);
        arrival
    }

    /// How far ahead a position modulo 2^32 is; `None` when it is behind.
    fn unwrap_distance(&self, distance: u32) -> Option<u64> {
        let distance64 = u64::from(distance);
        let left = match self.state {
            State::Length(left) | State::Chunked(Chunked::Data(left)) => left,
            // However long a body of unknown length is, it cannot have gone back.
            State::Unknown => return Some(distance64),
            _ => 0,
        };
        if left > u64::from(u32::MAX) && left & u64::from(u32::MAX) == distance64 && distance != 0 {
            // A body longer than the numbering: most likely its end, since nothing within it looks like a head.
            return Some(left);
        }
        let ahead = distance64 <= left || left > i32::MAX as u64 || distance <= i32::MAX as u32;
        ahead.then_some(distance64)
    }

    /// The record at hand begins with so many bytes that are no message.
    pub fn pass(&mut self, count: usize) {
        self.next = self.next.map(|next| next.wrapping_add(count as u64));
    }

    /// Bytes crossed that were not shipped.
    pub fn skip(&mut self, count: u64) -> Arrival {
        if count == 0 {
            return Arrival::Continues { ended: false };
        }
        self.next = self.next.map(|next| next.wrapping_add(count));
        match self.state {
            State::Head => {
                self.lose();
                Arrival::Gap { ended: false }
            }
            State::Length(left) if count < left => {
                self.state = State::Length(left - count);
                Arrival::Continues { ended: false }
            }
            State::Length(left) if count == left => {
                self.begin();
                Arrival::Continues { ended: true }
            }
            State::Length(_) => {
                self.lose();
                Arrival::Gap { ended: true }
            }
            State::Chunked(Chunked::Data(left)) if count <= left => {
                let chunked = if count == left { Chunked::DataEnd } else { Chunked::Data(left - count) };
                self.state = State::Chunked(chunked);
                Arrival::Continues { ended: false }
            }
            State::Chunked(_) => {
                self.lose();
                Arrival::Continues { ended: false }
            }
            State::Unknown => Arrival::Continues { ended: false },
        }
    }

    /// Walks and masks `bytes` from `at` on, until something is to be told.
    pub fn step(&mut self, bytes: &mut [u8], at: &mut usize, policy: &Policy, noted: &mut Noted) -> Step {
        let before = *at;
        let step = self.walk(bytes, at, policy, noted);
        self.next = self.next.map(|next| next.wrapping_add((*at - before) as u64));
        step
    }

    fn walk(&mut self, bytes: &mut [u8], at: &mut usize, policy: &Policy, noted: &mut Noted) -> Step {
        loop {
            let rest = bytes.get_mut(*at..).unwrap_or_default();
            match self.state {
                State::Unknown => {
                    rest.fill(BLANK);
                    *at += rest.len();
                    return Step::Exhausted;
                }
                State::Length(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest.get_mut(..here).unwrap_or_default().fill(BLANK);
                    *at += here;
                    let left = left - here as u64;
                    if left > 0 {
                        self.state = State::Length(left);
                        return Step::Exhausted;
                    }
                    self.begin();
                    return Step::BodyEnd;
                }
                State::Chunked(chunked) => {
                    let Some(byte) = rest.first_mut() else { return Step::Exhausted };
                    *at += 1;
                    match chunked.walk(byte) {
                        Next::At(chunked) => self.state = State::Chunked(chunked),
                        Next::Broken => self.lose(),
                        Next::Complete => {
                            self.begin();
                            return Step::BodyEnd;
                        }
                    }
                }
                State::Head => {
                    let begin = *at;
                    let room = wire::HEAD_CAP - self.head.len();
                    let end = bytes.len().min(begin + room);
                    let verdict = self.mask.walk(bytes.get_mut(..end).unwrap_or_default(), at, policy, noted);
                    self.here = begin..*at;
                    match verdict {
                        Verdict::Before => {}
                        Verdict::Complete => {
                            // As a rule it is in one record, and is read there.
                            if !self.head.is_empty() {
                                self.keep(bytes);
                            }
                            return Step::Head(self.mask.kind());
                        }
                        Verdict::NotHttp => {
                            self.lose();
                            return Step::NotHttp;
                        }
                        Verdict::Within => {
                            self.keep(bytes);
                            if self.head.len() >= wire::HEAD_CAP {
                                return Step::Truncated(self.mask.kind());
                            }
                            return Step::Exhausted;
                        }
                    }
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes.get(self.here.clone()).unwrap_or_default());
    }

    /// The rest of the head under way will not be shipped.
    pub fn cut(&self) -> Step {
        Step::Truncated(self.mask.kind())
    }
}
