//! Calls that go past the instrumentation of a process which sets parent-ids of its own.
//!
//! A process may choose for each request whether it makes a span, so only calls of one kind count none of which ever gets a
//! new parent-id, while those of other kinds do. Sampled traces and others are counted apart: to make no span for a trace
//! that nobody records is a choice.

/// Calls of the process with a new parent-id that make it certain that it sets them. One can be taken for another, if the
/// request that it copies was not seen.
const ENOUGH: u32 = 8;
/// Copies that make it certain that calls of a kind are never updated: at random half of the time, they would be here once
/// in 65,536 times.
const ALWAYS: u32 = 16;

/// Calls that went on with the trace of their request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Updates {
    updated: u32,
    copied: u32,
}

impl Updates {
    pub(super) fn add(&mut self, updated: bool) {
        let count = if updated { &mut self.updated } else { &mut self.copied };
        *count = count.saturating_add(1);
    }

    /// As a rule they have a new parent-id.
    pub(super) fn are_usual(self) -> bool {
        self.updated >= ENOUGH && self.updated >= self.copied
    }

    /// They never have.
    pub(super) fn are_missing(self) -> bool {
        self.updated == 0 && self.copied >= ALWAYS
    }
}

#[cfg(test)]
mod tests {
    use super::super::{History, Limits};

    /// Whether copies are odd in calls of a kind with so many new parent-ids and copies, and so many of another kind.
    fn odd(this: (u32, u32), other: (u32, u32)) -> bool {
        let mut history = History::new(Limits::default());
        for (kind, (updated, copied)) in [(1, this), (2, other)] {
            (0..updated).for_each(|_| history.went_on((1, kind), true, true));
            (0..copied).for_each(|_| history.went_on((1, kind), true, false));
        }
        assert!(!history.is_odd((1, 1), false) && !history.is_odd((2, 1), true));
        history.is_odd((1, 1), true)
    }

    #[test]
    fn to_copy_is_odd_where_calls_of_other_kinds_are_updated() {
        assert!(odd((0, 16), (16, 0)) && odd((0, 1000), (1100, 100)));
        // A proxy; mostly one; too few; sometimes updated, as a process that chooses does.
        for (this, other) in
            [((0, 100), (0, 100)), ((0, 100), (99, 0)), ((0, 15), (100, 0)), ((0, 16), (7, 0)), ((1, 99), (100, 0))]
        {
            assert!(!odd(this, other), "{this:?} {other:?}");
        }
    }
}
