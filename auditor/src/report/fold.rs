//! Folds occurrences of one finding: the first is a line at once, then one line a window with a count.

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
    /// Its latest example.
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

impl<E> Occurrence<E> {
    /// Takes in a later one of the same fingerprint. What is told of only some of them is told by one of these.
    pub fn absorb(&mut self, later: Self) {
        self.count += later.count;
        self.seen = (self.seen.0.min(later.seen.0), self.seen.1.max(later.seen.1));
        self.formats.merge(&later.formats);
        (self.code, self.severity, self.how) = (later.code, later.severity, later.how);
        if !later.silenced || self.silenced {
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
}

/// The windows of all fingerprints.
#[derive(Debug)]
pub struct Fold<E> {
    window: BootNs,
    windows: LruCache<Mark, Window<E>>,
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

impl<E> Fold<E> {
    /// Windows of this length (0: no folding, no limit of lines), for at most `limit` fingerprints, and at most so many
    /// lines a second (0: no limit).
    pub fn new(window: BootNs, limit: usize, lines_per_second: u32) -> Self {
        let limit = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        let bucket = Bucket::new(lines_per_second);
        Self { window, windows: LruCache::new(limit), bucket, next_scan: 0, evicted: 0, held_back: 0, unwritten: 0 }
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
        if self.window == 0 {
            ready.push(occurrence);
            return;
        }
        if let Some(window) = self.windows.get_mut(&mark) {
            match &mut window.pending {
                Some(pending) => pending.absorb(occurrence),
                None => window.pending = Some(occurrence),
            }
            return;
        }
        let window = if self.bucket.take(now) {
            ready.push(occurrence);
            Window { ends: now.saturating_add(self.window), pending: None, held: false }
        } else {
            // It is written as soon as there is room.
            self.held_back += 1;
            Window { ends: now, pending: Some(occurrence), held: true }
        };
        if let Some((_, old)) = self.windows.push(mark, window) {
            self.evicted += 1;
            match old.pending {
                Some(pending) if self.bucket.take(now) => ready.push(pending),
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
        if now < self.next_scan {
            return;
        }
        self.next_scan = now.saturating_add(SCAN);
        let over = self.windows.iter().filter(|(_, window)| window.ends <= now);
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
            } else if !std::mem::replace(&mut window.held, true) {
                self.held_back += 1;
            }
        }
    }

    /// Ends all windows.
    pub fn finish(&mut self, ready: &mut Vec<Occurrence<E>>) {
        ready.extend(self.windows.iter_mut().filter_map(|(_, window)| window.pending.take()));
        self.windows.clear();
    }
}
