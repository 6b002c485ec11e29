//! A set of words with a value each, walked byte by byte: what a head may hold is looked up while it is under way.

use super::mask::is_token;

/// A place in a [`Trie`]: the words that begin with the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u16);

/// Different bytes that words may have: more than names have, where letters count once.
const WIDTH: usize = 64;
/// The column of bytes that neither a listed word nor any name has: nothing goes on with them.
const NEVER: u8 = 63;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Trie<T> {
    /// By byte: a number for each that is in a word, 0 for others that a name may have, and [`NEVER`] for the rest.
    columns: Box<[u8; 256]>,
    /// By place and column, what comes next. The first place is the root, which comes after nothing: 0 stands for "none".
    next: Vec<[u16; WIDTH]>,
    /// By place, the value of the word that ends there.
    values: Vec<Option<T>>,
}

impl<T: Copy> Trie<T> {
    pub(super) const ROOT: At = At(0);

    /// For words of these bytes; `fold`: in upper and in lower case.
    pub(super) fn new<'a>(words: impl IntoIterator<Item = &'a str>, fold: bool) -> Self {
        let (mut columns, mut width) = (Box::new([0; 256]), 1);
        for byte in words.into_iter().flat_map(str::bytes) {
            let Some(column) = columns.get_mut(usize::from(byte)).filter(|column| **column == 0) else { continue };
            if width < NEVER {
                (*column, width) = (width, width + 1);
            }
        }
        if fold {
            for upper in b'A'..=b'Z' {
                let lower = columns.get(usize::from(upper.to_ascii_lowercase())).copied().unwrap_or(0);
                columns.iter_mut().skip(upper.into()).take(1).for_each(|column| *column = lower);
            }
        }
        for (byte, column) in (0..=u8::MAX).zip(columns.iter_mut()) {
            if *column == 0 && !is_token(byte) {
                *column = NEVER;
            }
        }
        Self { columns, next: vec![[0; WIDTH]], values: vec![None] }
    }

    /// `open`: words that begin with this one have its value; these come last. A trie that is full, at 65,535 bytes, takes no more.
    pub(super) fn insert(&mut self, word: &str, value: T, open: bool) {
        let mut at = Self::ROOT;
        for byte in word.bytes() {
            at = match self.step(at, byte) {
                Some(next) => next,
                None => {
                    let (column, known) = (self.column(byte), self.is_known(byte));
                    let row = self.next.get_mut(usize::from(at.0));
                    let (Ok(new), Some(next), true) =
                        (u16::try_from(self.values.len()), row.and_then(|row| row.get_mut(column)), known)
                    else {
                        return;
                    };
                    *next = new;
                    self.values.push(None);
                    self.next.push([0; WIDTH]);
                    At(new)
                }
            };
        }
        if let Some(row) = self.next.get_mut(usize::from(at.0)).filter(|_| open) {
            row.iter_mut().take(NEVER.into()).for_each(|next| *next = at.0);
        }
        if let Some(known) = self.values.get_mut(usize::from(at.0)) {
            *known = Some(value);
        }
    }

    fn column(&self, byte: u8) -> usize {
        usize::from(self.columns.get(usize::from(byte)).copied().unwrap_or(0)) % WIDTH
    }

    fn is_known(&self, byte: u8) -> bool {
        !matches!(self.column(byte) as u8, 0 | NEVER)
    }

    /// After another byte; `None`: no word begins so.
    pub(super) fn step(&self, at: At, byte: u8) -> Option<At> {
        let row = self.next.get(usize::from(at.0))?;
        row.get(self.column(byte)).filter(|next| **next != 0).map(|next| At(*next))
    }

    /// How many of these bytes a word begins with, and after them.
    #[inline(never)] // See `HeadMask::lines`.
    pub(super) fn walk(&self, bytes: &[u8]) -> (usize, At) {
        let (mut at, mut walked) = (Self::ROOT, 0);
        for byte in bytes {
            let Some(next) = self.step(at, *byte) else { break };
            (at, walked) = (next, walked + 1);
        }
        (walked, at)
    }

    /// The value of the word that ends here; `None`: none does.
    pub(super) fn value(&self, at: At) -> Option<T> {
        self.values.get(usize::from(at.0)).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole_and_open_ones_by_their_beginning() {
        let words = [("b3", 1, false), ("b", 2, false), ("ctx-", 3, true), ("cookie", 4, false)];
        let mut trie = Trie::new(words.iter().map(|(word, ..)| *word), true);
        words.iter().for_each(|(word, value, open)| trie.insert(word, *value, *open));
        let find = |word: &str| {
            let at = word.bytes().try_fold(Trie::<i32>::ROOT, |at, byte| trie.step(at, byte));
            at.map(|at| trie.value(at))
        };
        for (word, value) in [
            ("b", Some(Some(2))),
            ("b3", Some(Some(1))),
            ("ctx-", Some(Some(3))),
            ("ctx-any", Some(Some(3))),
            ("ctx", Some(None)),
            ("", Some(None)),
            ("b4", None),
            ("b33", None),
        ] {
            assert_eq!(find(word), value, "{word}");
        }
    }
}
