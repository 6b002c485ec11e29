//! Folds occurrences of one finding: the first is a line at once, then one line a window with a count. If more will be
//! known in a moment of what it is told by, a line waits for that moment.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::hash::Hasher;
use std::num::NonZeroUsize;

use lru::LruCache;
use siphasher::sip::SipHasher13;

use super::bucket::Bucket;
use super::formats::FormatCounts;
use crate::audit::{Code, Found, Severity};
use crate::context::w3c;
use crate::pair::Suspicion;
use crate::record::BootNs;

/// A finding that occurred, with the edge its counts come from.
#[derive(Debug)]
pub struct Occurrence<E> {
    /// What it is told by: the latest call, or one of which more is known.
    pub example: E,
    /// Which rule.
    pub code: Code,
    /// How bad it is there.
    pub severity: Severity,
    /// How the calls of the edge are broken, where others may be as they should.
    pub how: Option<Suspicion>,
    /// Nobody wants to hear of it.
    pub silenced: bool,
    /// How often.
    pub count: u64,
    /// First and last time.
    pub seen: (BootNs, BootNs),
    /// What became of each format, where the edge does not count it yet.
    pub formats: FormatCounts,
}

/// What a finding is told by.
pub trait Tells {
    /// Whether more will be known of it in a moment.
    fn waits(&self) -> bool;

    /// Whether an earlier one tells more.
    fn tells_less(&self, earlier: &Self) -> bool;
}

impl<E: Tells> Occurrence<E> {
    /// Takes in a later one of the same fingerprint. What is told of only some of them is told by one of these.
    pub fn absorb(&mut self, later: Self) {
        self.count += later.count;
        self.seen = (self.seen.0.min(later.seen.0), self.seen.1.max(later.seen.1));
        self.formats.merge(&later.formats);
        (self.code, self.severity, self.how) = (later.code, later.severity, later.how);
        let newly_told = self.silenced && !later.silenced;
        if newly_told || self.silenced == later.silenced && !later.example.tells_less(&self.example) {
            self.example = later.example;
            self.silenced = later.silenced;
        }
    }
}

/// Code, service, inbound method and route, outbound method and route, destination, and the format where it is not W3C's:
/// the same over runs and nodes.
pub fn fingerprint(found: &Found, service: &str, parts: &[&str], destination: &dyn fmt::Display) -> u64 {
    let mut hashed = Hashed(SipHasher13::new_with_keys(0x61_75_64_69_74_6f_72, 1));
    for part in [found.fault.rule.name, service].iter().chain(parts) {
        hashed.part(part);
    }
    // It takes everything.
    _ = write!(hashed, "{destination}");
    hashed.part("");
    if found.format != w3c::NAME {
        hashed.part(found.format);
    }
    hashed.0.finish()
}

/// What is written to it is hashed.
struct Hashed(SipHasher13);

impl Hashed {
    fn part(&mut self, part: &str) {
        self.0.write(part.as_bytes());
        self.0.write_u8(0xff);
    }
}

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Fingerprint and severity: what is bad is not folded into what is not.
pub type Mark = (u64, Severity);

#[derive(Debug)]
struct Window<E> {
    ends: BootNs,
    pending: Option<Occurrence<E>>,
    /// It was over when there was no room for its line.
    held: bool,
    /// Its first line waits until more is known.
    waits: bool,
}

impl<E: Tells> Window<E> {
    fn is_over(&self, now: BootNs) -> bool {
        let is_known = |occurrence: &Occurrence<E>| !occurrence.example.waits();
        self.ends <= now || self.waits && self.pending.as_ref().is_some_and(is_known)
    }
}

/// The windows of all fingerprints.
#[derive(Debug)]
pub struct Fold<E> {
    window: BootNs,
    windows: LruCache<Mark, Window<E>>,
    /// Without windows, what waits until more is known, and until when.
    waiting: VecDeque<(BootNs, Occurrence<E>)>,
    bucket: Bucket,
    next_scan: BootNs,
    /// Fingerprints forgotten because the table was full.
    pub evicted: u64,
    /// Lines that had to wait because there were too many.
    pub held_back: u64,
    /// Occurrences in no line: they waited when their fingerprint was forgotten.
    pub unwritten: u64,
}

/// How often windows are looked at.
const SCAN: BootNs = 1_000_000_000;
/// A line waits no longer than this until more is known.
pub const PATIENCE: BootNs = 2_000_000_000;
/// Lines that wait, where there are no windows.
const WAITING: usize = 1024;

impl<E: Tells> Fold<E> {
    /// Windows of this length (0: no folding, no limit of lines), for at most `limit` fingerprints, and at most so many
    /// lines a second (0: no limit).
    pub fn new(window: BootNs, limit: usize, lines_per_second: u32) -> Self {
        let limit = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        let bucket = Bucket::new(lines_per_second);
        Self {
            window,
            windows: LruCache::new(limit),
            waiting: VecDeque::new(),
            bucket,
            next_scan: 0,
            evicted: 0,
            held_back: 0,
            unwritten: 0,
        }
    }

    /// How many fingerprints are held.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Takes an occurrence; what is to be written now goes to `ready`.
    pub fn add(&mut self, now: BootNs, mark: Mark, occurrence: Occurrence<E>, ready: &mut Vec<Occurrence<E>>) {
        let waits = occurrence.example.waits();
        if self.window == 0 {
            if waits {
                self.waiting.push_back((now.saturating_add(PATIENCE), occurrence));
                if self.waiting.len() > WAITING {
                    ready.extend(self.waiting.pop_front().map(|(_, oldest)| oldest));
                }
            } else {
                ready.push(occurrence);
            }
            return;
        }
        if let Some(window) = self.windows.get_mut(&mark) {
            match &mut window.pending {
                Some(pending) => pending.absorb(occurrence),
                None => window.pending = Some(occurrence),
            }
            return;
        }
        let window = if waits {
            Window { ends: now.saturating_add(PATIENCE), pending: Some(occurrence), held: false, waits }
        } else if self.bucket.take(now) {
            ready.push(occurrence);
            Window { ends: now.saturating_add(self.window), pending: None, held: false, waits }
        } else {
            // It is written as soon as there is room.
            self.held_back += 1;
            Window { ends: now, pending: Some(occurrence), held: true, waits }
        };
        if let Some((_, old)) = self.windows.push(mark, window) {
            self.evicted += 1;
            match old.pending {
                // It would be out already, had it not waited.
                Some(pending) if old.waits && !old.held || self.bucket.take(now) => ready.push(pending),
                Some(pending) => self.unwritten += pending.count,
                None => {}
            }
        }
    }

    /// From now on, windows are of this length, and there are at most so many lines a second.
    pub fn set(&mut self, window: BootNs, lines_per_second: u32) {
        self.window = window;
        self.bucket = Bucket::new(lines_per_second);
    }

    /// Ends the windows that are over.
    pub fn advance(&mut self, now: BootNs, ready: &mut Vec<Occurrence<E>>) {
        let is_over = |(until, occurrence): &mut (BootNs, Occurrence<E>)| *until <= now || !occurrence.example.waits();
        while let Some((_, occurrence)) = self.waiting.pop_front_if(is_over) {
            ready.push(occurrence);
        }
        if now < self.next_scan {
            return;
        }
        self.next_scan = now.saturating_add(SCAN);
        let over = self.windows.iter().filter(|(_, window)| window.is_over(now));
        let mut over: Vec<(BootNs, Mark)> = over.map(|(mark, window)| (window.ends, *mark)).collect();
        // Who waits longest comes first.
        over.sort_unstable();
        for (_, mark) in over {
            let Some(window) = self.windows.peek_mut(&mark) else { continue };
            if window.pending.is_none() {
                self.windows.pop(&mark);
            } else if self.bucket.take(now) {
                ready.extend(window.pending.take());
                window.ends = now.saturating_add(self.window);
                window.held = false;
                window.waits = false;
            } else if !std::mem::replace(&mut window.held, true) {
                self.held_back += 1;
            }
        }
    }

    /// Ends all windows.
    pub fn finish(&mut self, ready: &mut Vec<Occurrence<E>>) {
        ready.extend(self.waiting.drain(..).map(|(_, occurrence)| occurrence));
        ready.extend(self.windows.iter_mut().filter_map(|(_, window)| window.pending.take()));
        self.windows.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::context::w3c::rules::DROPPED;

    const SECOND: BootNs = 1_000_000_000;

    /// A number, and whether more will be known of it.
    #[derive(Clone, Debug)]
    struct Said(u32, Rc<Cell<bool>>);

    impl Tells for Said {
        fn waits(&self) -> bool {
            self.1.get()
        }

        fn tells_less(&self, earlier: &Self) -> bool {
            self.waits() || !self.waits() && earlier.0 > self.0 + 100
        }
    }

    struct World {
        fold: Fold<Said>,
        waits: Rc<Cell<bool>>,
    }

    impl World {
        fn new(window: BootNs) -> Self {
            Self { fold: Fold::new(window, 10, 0), waits: Rc::new(Cell::new(true)) }
        }

        /// Numbers and counts of the lines that are written, if an occurrence waits, or does not.
        fn add(&mut self, now: BootNs, number: u32, waits: bool) -> Vec<(u32, u64)> {
            let waits = if waits { self.waits.clone() } else { Rc::default() };
            let (code, severity) = (Code(&DROPPED), Severity::Error);
            let (seen, formats) = ((now, now), FormatCounts::default());
            let example = Said(number, waits);
            let occurrence =
                Occurrence { example, code, severity, how: None, silenced: false, count: 1, seen, formats };
            let mut ready = Vec::new();
            self.fold.add(now, (1, severity), occurrence, &mut ready);
            said(ready)
        }

        fn advance(&mut self, now: BootNs) -> Vec<(u32, u64)> {
            let mut ready = Vec::new();
            self.fold.advance(now, &mut ready);
            said(ready)
        }
    }

    fn said(ready: Vec<Occurrence<Said>>) -> Vec<(u32, u64)> {
        ready.into_iter().map(|occurrence| (occurrence.example.0, occurrence.count)).collect()
    }

    #[test]
    fn a_line_waits_until_more_is_known() {
        let mut world = World::new(60 * SECOND);
        assert_eq!(world.add(SECOND, 1, true), []);
        assert_eq!(world.add(SECOND, 2, true), []);
        assert_eq!(world.advance(2 * SECOND), []);
        world.waits.set(false);
        assert_eq!(world.advance(3 * SECOND), [(1, 2)]);
        // The next one is due when its window is over.
        world.waits.set(true);
        world.add(4 * SECOND, 3, true);
        assert_eq!(world.advance(62 * SECOND), []);
        assert_eq!(world.advance(64 * SECOND), [(3, 1)]);
    }

    #[test]
    fn it_does_not_wait_for_ever() {
        let mut world = World::new(60 * SECOND);
        world.add(SECOND, 1, true);
        assert_eq!(world.advance(SECOND + PATIENCE), [(1, 1)]);
        let mut world = World::new(60 * SECOND);
        world.add(SECOND, 1, true);
        let mut ready = Vec::new();
        world.fold.finish(&mut ready);
        assert_eq!(said(ready), [(1, 1)]);
    }

    #[test]
    fn what_is_known_already_is_told_at_once_or_instead() {
        let mut world = World::new(60 * SECOND);
        assert_eq!(world.add(SECOND, 1, false), [(1, 1)]);
        world.add(SECOND, 200, false);
        world.add(SECOND, 201, true);
        world.add(SECOND, 50, false);
        assert_eq!(world.advance(62 * SECOND), [(200, 3)]);
        let mut world = World::new(60 * SECOND);
        world.add(SECOND, 1, true);
        world.add(SECOND, 2, false);
        assert_eq!(world.advance(SECOND), [(2, 2)]);
    }

    #[test]
    fn without_windows_each_is_told_and_waits_for_itself() {
        let mut world = World::new(0);
        assert_eq!(world.add(SECOND, 1, true), []);
        assert_eq!(world.add(SECOND, 2, false), [(2, 1)]);
        assert_eq!(world.advance(2 * SECOND), []);
        world.waits.set(false);
        assert_eq!(world.advance(2 * SECOND + 1), [(1, 1)]);
        world.waits.set(true);
        let told: usize = (0..WAITING as u32 + 10).map(|n| world.add(3 * SECOND, n, true).len()).sum();
        assert_eq!(told, 10);
        assert_eq!(world.advance(3 * SECOND + PATIENCE).len(), WAITING);
    }
}
