//! Whether the daemon is woken for records, or looks for them by itself.
//!
//! The kernel wakes it for a record that finds the ring buffer read to its end. On a busy node that is a record of every
//! look, and the audited service pays for it: its request waits for an interrupt and for a process that only goes back to
//! sleep. So while most looks find something nobody wakes the daemon, and it looks whenever it has rested.

use std::time::{Duration, Instant};

/// Looks that found something, over those that did not, from which on it looks by itself; at none it does so no longer.
const BUSY: u8 = 8;

/// What the last looks found.
#[derive(Debug, Default)]
pub(super) struct Looks {
    score: u8,
    last: Option<Instant>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It is woken.
    #[default]
    Woken,
    /// It looks by itself.
    Polls,
    /// It is woken from now on; but who asked just before delivers without that, so it looks once more.
    Settles,
}

impl Looks {
    /// Whether to look without being woken.
    pub(super) fn polls(&self) -> bool {
        self.state != State::Woken
    }

    /// It looked, and `found` something. A look soon after the one before, within `soon`, shows that there is much to find.
    /// Says what is new: whether it is to be left to look by itself.
    pub(super) fn looked(&mut self, now: Instant, found: bool, soon: Duration) -> Option<bool> {
        let is_soon = self.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) <= soon);
        self.score = match (found, is_soon || self.polls()) {
            (true, true) => self.score.saturating_add(1).min(BUSY),
            // Who comes late by himself was busy, or had no processor; who is woken late was not needed.
            (true, false) => 0,
            (false, _) => self.score.saturating_sub(1),
        };
        match self.state {
            State::Woken if self.score == BUSY => self.state = State::Polls,
            State::Polls if self.score == 0 => self.state = State::Settles,
            State::Settles => {
                self.state = State::Woken;
                return None;
            }
            _ => return None,
        }
        Some(self.state == State::Polls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(4);

    #[test]
    fn what_comes_late_by_itself_is_no_quiet() {
        let (mut state, mut now) = (Looks::default(), Instant::now());
        assert_eq!(looks(&mut state, &mut now, 9, Duration::from_millis(2), 1000), [true]);
        assert!(looks(&mut state, &mut now, 9, Duration::from_millis(20), 1000).is_empty());
        assert!(state.polls());
    }

    /// What `count` looks say, so far apart, every `nth` of which finds nothing.
    fn looks(looks: &mut Looks, begin: &mut Instant, count: u32, apart: Duration, nth: u32) -> Vec<bool> {
        let look = |n| {
            *begin += apart;
            looks.looked(*begin, n % nth != 0, SOON)
        };
        (1..=count).filter_map(look).collect()
    }

    #[test]
    fn it_looks_by_itself_while_there_is_much_to_find() {
        let (mut state, mut now) = (Looks::default(), Instant::now());
        assert!(looks(&mut state, &mut now, 100, Duration::from_millis(10), 1000).is_empty(), "few records");
        assert_eq!(looks(&mut state, &mut now, 100, Duration::from_millis(2), 3), [true]);
        assert!(state.polls());
        assert_eq!(looks(&mut state, &mut now, 20, Duration::from_millis(2), 1), [false], "none");
        assert!(!state.polls());
    }

    #[test]
    fn it_looks_once_more_before_it_waits_to_be_woken() {
        let (mut state, mut now) = (Looks::default(), Instant::now());
        looks(&mut state, &mut now, 9, Duration::from_millis(2), 1000);
        assert_eq!(looks(&mut state, &mut now, u32::from(BUSY), Duration::from_millis(2), 1), [false]);
        assert!(state.polls(), "not yet");
        assert_eq!(state.looked(now, true, SOON), None);
        assert!(!state.polls());
    }
}
