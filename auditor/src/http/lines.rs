//! Where the lines are that somebody needs of a head, noted while it is masked: it is not searched for them again.

use super::fields::Field;

/// The lines of the head at hand. Used for one head after the other, so that none needs memory of its own.
#[derive(Debug, Default)]
pub struct Noted(Vec<At>);

/// Where a line is in its head.
#[derive(Clone, Copy, Debug)]
struct At {
    begin: usize,
    colon: usize,
    end: usize,
    field: Field,
}

impl Noted {
    /// Another head begins.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A line begins here, and has its colon and its line feed there.
    pub(super) fn push(&mut self, begin: usize, colon: usize, end: usize, field: Field) {
        self.0.push(At { begin, colon, end, field });
    }

    /// Names and values.
    pub(super) fn lines<'a>(&self, head: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8], Field)> {
        self.0.iter().map(move |at| {
            let name = head.get(at.begin..at.colon).unwrap_or_default();
            (name, head.get(at.colon + 1..at.end).unwrap_or_default().trim_ascii(), at.field)
        })
    }
}
