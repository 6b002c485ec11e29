//! Where what somebody needs of a head is, noted while it is masked: it is not searched for again.

use std::ops::Range;

use super::fields::Field;
use super::first_line::FirstLine;

/// What is noted of the head at hand. Used for one head after the other, so that none needs memory of its own.
#[derive(Debug, Default)]
pub struct Noted {
    first: Option<FirstLine>,
    lines: Vec<At>,
}

/// Where a line is in its head.
#[derive(Clone, Debug)]
struct At {
    name: Range<usize>,
    value: Range<usize>,
    field: Field,
}

/// The line of a listed field, put straight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) name: &'a [u8],
    /// Without white space around it.
    pub(super) value: &'a [u8],
    pub(super) field: Field,
}

impl Noted {
    /// Another head begins.
    pub(super) fn clear(&mut self) {
        self.first = None;
        self.lines.clear();
    }

    /// The first line is this.
    pub(super) fn begin(&mut self, first: FirstLine) {
        self.first = Some(first);
    }

    /// A line has its name here, and its value there, without white space around them.
    pub(super) fn push(&mut self, name: Range<usize>, value: Range<usize>, field: Field) {
        self.lines.push(At { name, value, field });
    }

    /// `None`: it is there, but not as it should be.
    pub(super) fn first(&self) -> Option<&FirstLine> {
        self.first.as_ref()
    }

    pub(super) fn lines<'a>(&'a self, head: &'a [u8]) -> impl Iterator<Item = Line<'a>> + Clone {
        self.lines.iter().map(move |at| Line {
            name: head.get(at.name.clone()).unwrap_or_default(),
            value: head.get(at.value.clone()).unwrap_or_default(),
            field: at.field,
        })
    }
}
