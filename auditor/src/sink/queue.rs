//! Lines that wait for one output, bounded. The capture only ever looks whether there is room.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It waits.
    Taken,
    /// There is no room.
    Full,
    /// Nobody takes lines any more.
    Ended,
}

/// What the output is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Write these.
    Lines(Vec<Arc<str>>),
    /// Nothing, but somebody called [`Queue::reopen`].
    Woken,
    /// Nothing any more.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Arc<str>>,
    /// No more lines come; what waits is to be written until then.
    closed: Option<Instant>,
    ended: bool,
    reopen: bool,
}

/// A bounded queue between the pipeline and the thread of an output.
#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    state: Mutex<State>,
    /// Something came for the output.
    came: Condvar,
    /// The output took something, or has ended.
    went: Condvar,
}

impl Queue {
    /// For this many lines.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), came: Condvar::new(), went: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a line wait, if there is room.
    pub(super) fn offer(&self, line: &Arc<str>) -> Offered {
        let mut state = self.state();
        if state.ended {
            return Offered::Ended;
        }
        if state.lines.len() >= self.limit {
            return Offered::Full;
        }
        state.lines.push_back(Arc::clone(line));
        drop(state);
        self.came.notify_one();
        Offered::Taken
    }

    /// Waits, at most so long, until there may be room.
    pub(super) fn wait_for_room(&self, timeout: Duration) {
        let state = self.state();
        if state.lines.len() >= self.limit && !state.ended {
            drop(self.went.wait_timeout(state, timeout));
        }
    }

    /// Waits for lines and takes at most so many.
    pub(super) fn take(&self, most: usize) -> Taken {
        let mut state = self.state();
        loop {
            if state.reopen {
                return Taken::Woken;
            }
            if !state.lines.is_empty() {
                let count = most.min(state.lines.len());
                let lines = state.lines.drain(..count).collect();
                drop(state);
                self.went.notify_all();
                return Taken::Lines(lines);
            }
            if state.closed.is_some() {
                return Taken::Closed;
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes more lines until there are so many of them, or so much time has passed.
    pub(super) fn fill(&self, lines: &mut Vec<Arc<str>>, most: usize, linger: Duration) {
        let until = Instant::now() + linger;
        let mut state = self.state();
        loop {
            let count = most.saturating_sub(lines.len()).min(state.lines.len());
            lines.extend(state.lines.drain(..count));
            let left = until.saturating_duration_since(Instant::now());
            if lines.len() >= most || left.is_zero() || state.closed.is_some() {
                break;
            }
            state = self.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.went.notify_all();
    }

    /// Waits that long, or until the queue is closed or woken.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        while state.closed.is_none() && !state.reopen {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether somebody asked to open the output anew; asked once, answered once.
    pub(super) fn reopen_wanted(&self) -> bool {
        std::mem::take(&mut self.state().reopen)
    }

    /// Asks to open the output anew.
    pub(super) fn reopen(&self) {
        self.state().reopen = true;
        self.came.notify_all();
    }

    /// No more lines come. What waits is worth trying until then.
    pub(super) fn close(&self, until: Instant) {
        self.state().closed = Some(until);
        self.came.notify_all();
    }

    /// When to give up, once no more lines come.
    pub(super) fn closed(&self) -> Option<Instant> {
        self.state().closed
    }

    /// Nobody takes lines any more; says how many waited.
    pub(super) fn end(&self) -> usize {
        let mut state = self.state();
        state.ended = true;
        let left = std::mem::take(&mut state.lines).len();
        drop(state);
        self.went.notify_all();
        left
    }

    /// Waits until nobody takes lines any more, but not longer than that.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.state();
        while !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.went.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Whether nobody takes lines any more.
    pub(super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// How many lines wait.
    pub(super) fn len(&self) -> usize {
        self.state().lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn bounded_and_in_order() {
        let queue = Queue::new(2);
        assert_eq!(
            ["a", "b", "c"].map(|text| queue.offer(&line(text))),
            [Offered::Taken, Offered::Taken, Offered::Full]
        );
        assert_eq!(queue.take(1), Taken::Lines(vec![line("a")]));
        assert_eq!(queue.offer(&line("d")), Offered::Taken);
        queue.close(Instant::now());
        assert_eq!(queue.take(9), Taken::Lines(vec![line("b"), line("d")]));
        assert_eq!(queue.take(9), Taken::Closed);
        assert_eq!(queue.end(), 0);
        assert_eq!(queue.offer(&line("e")), Offered::Ended);
    }

    #[test]
    fn waiting_ends_when_asked() {
        let queue = Arc::new(Queue::new(1));
        let other = Arc::clone(&queue);
        let taker = std::thread::spawn(move || {
            let woken = other.take(1);
            let wanted = other.reopen_wanted();
            other.pause(Duration::from_secs(60));
            (woken, wanted, other.take(1), other.end())
        });
        queue.reopen();
        while queue.state().reopen {
            std::thread::yield_now();
        }
        queue.close(Instant::now());
        assert_eq!(taker.join().unwrap(), (Taken::Woken, true, Taken::Closed, 0));
        assert!(queue.wait_for_end(Duration::from_secs(60)));
    }
}
