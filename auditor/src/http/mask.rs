//! Walks a message head byte by byte, masks what must not travel on, and finds the head's end.
//!
//! Everything after this stage sees only masked bytes, and masking masked bytes changes nothing: a recording therefore
//! replays to what the live run saw. For that, a byte that ends the walk as "not HTTP" is replaced by NUL, which ends it
//! again at the same place; a masked value byte is `x`, which is accepted wherever a value is, and so is what stands for
//! a value that can be compared (see [`super::masking`]). Of a field name, which may turn out to be no name for want of a
//! colon, only what begins the name of a listed field stays; the rest is `_`, which no such name has.

use super::fields::{Field, Treatment};
use super::masking::{Hash, MASKED, ValueMask};
use super::method;
use super::policy::{Candidates, Policy};

/// Stands for a byte of a field name.
const MASKED_NAME: u8 = b'_';
/// Stands for a byte of a body, or of anything that is not understood.
pub(super) const BLANK: u8 = 0;

/// Which kind of message a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// A response.
    Response,
}

/// What the walk knows after a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An empty line before the head.
    Before,
    /// The byte belongs to the head.
    Within,
    /// The byte completed the head.
    Complete,
    /// These bytes are no HTTP/1 head.
    NotHttp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    FirstWord,
    TargetStart,
    Scheme(usize),
    Authority,
    Path,
    Query,
    OddTarget,
    Version(usize),
    OddVersion,
    Status(usize),
    Reason,
    LineStart,
    LineStartCr,
    Name,
    Value,
}

/// State of the walk through one head.
#[derive(Clone, Debug)]
pub(super) struct HeadMask {
    place: Place,
    kind: Kind,
    /// The target is of no known form.
    odd: bool,
    /// The first word.
    word: Word,
    /// The current field name.
    name: Option<Name>,
    /// The query, then the value of the current field; a folded line continues it.
    value: ValueMask,
    /// What the word that just ended becomes.
    hash: Option<Hash>,
}

impl HeadMask {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Before,
            kind: Kind::Request,
            odd: false,
            word: Word::default(),
            name: None,
            value: ValueMask::default(),
            hash: None,
        }
    }

    /// Which kind the head is; meaningful once its first line was walked.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The hash that belongs into the bytes before the one that was walked last, once.
    pub(super) fn take_hash(&mut self) -> Option<Hash> {
        if self.hash.is_none() { None } else { self.hash.take() }
    }

    /// Masks one byte in place.
    pub(super) fn walk(&mut self, byte: &mut u8, policy: &Policy) -> Verdict {
        match self.place {
            Place::Before | Place::FirstWord => self.first_word(byte),
            Place::TargetStart => self.target_start(byte, policy),
            Place::Scheme(_) | Place::Authority | Place::Path | Place::Query | Place::OddTarget => {
                self.target(byte, policy)
            }
            Place::Version(_) | Place::OddVersion => self.version(byte),
            Place::Status(_) | Place::Reason => self.status(byte),
            Place::LineStart | Place::LineStartCr | Place::Name | Place::Value => self.field(byte, policy),
        }
    }

    fn first_word(&mut self, byte: &mut u8) -> Verdict {
        match *byte {
            b'\r' | b'\n' if self.place == Place::Before => return Verdict::Before,
            b' ' | b'\t' if self.place == Place::FirstWord => {
                // A word cut short finds no target or version after it.
                self.kind = if self.word.is(b"HTTP/1.1") || self.word.is(b"HTTP/1.0") {
                    self.place = Place::Status(0);
                    Kind::Response
                } else {
                    self.place = Place::TargetStart;
                    Kind::Request
                };
            }
            other if other > b' ' && self.word.can_go_on(other) => {
                self.place = Place::FirstWord;
                self.word.push(other);
            }
            b'\n' | b'\r' => return Verdict::NotHttp,
            _ => {
                *byte = BLANK;
                return Verdict::NotHttp;
            }
        }
        Verdict::Within
    }

    fn target_start(&mut self, byte: &mut u8, policy: &Policy) -> Verdict {
        self.place = match *byte {
            b' ' | b'\t' => return Verdict::Within,
            b'\n' => return Verdict::NotHttp,
            // Nothing of it is needed, and it may say who the user is.
            _ if self.word.is(b"CONNECT") => Place::Query,
            b'/' | b'*' => Place::Path,
            _ => Place::Scheme(0),
        };
        self.target(byte, policy)
    }

    fn target(&mut self, byte: &mut u8, policy: &Policy) -> Verdict {
        match (*byte, self.place) {
            (b'\n', _) => return Verdict::NotHttp,
            (b' ' | b'\t', place) => {
                self.odd |= matches!(place, Place::Scheme(_) | Place::OddTarget);
                self.end_word();
                self.value = ValueMask::default();
                self.place = Place::Version(0);
            }
            (b'\r', _) => self.end_word(),
            (b'?' | b'#', Place::Path | Place::Authority) => {
                self.value = ValueMask::new(Treatment::Pairs(b'&'));
                self.place = Place::Query;
            }
            (_, Place::Query) => self.value_byte(byte, policy),
            (b'/', Place::Authority) => self.place = Place::Path,
            (_, Place::Path) => {}
            (other, Place::Scheme(at)) => match scheme_step(at, other) {
                Some(7) => self.place = Place::Authority,
                Some(next) => self.place = Place::Scheme(next),
                None => {
                    self.place = Place::OddTarget;
                    *byte = MASKED;
                }
            },
            // Who the user is can stand before the host, and that is known only at the `@`: mask both.
            _ => *byte = MASKED,
        }
        Verdict::Within
    }

    fn version(&mut self, byte: &mut u8) -> Verdict {
        match (*byte, self.place) {
            (b'\n', Place::Version(8)) if !self.odd => self.place = Place::LineStart,
            (b'\n', _) => return Verdict::NotHttp,
            (b'\r' | b' ' | b'\t', _) => {}
            (other, Place::Version(at)) if version_accepts(at, other) => self.place = Place::Version(at + 1),
            _ => {
                self.place = Place::OddVersion;
                *byte = MASKED;
            }
        }
        Verdict::Within
    }

    fn status(&mut self, byte: &mut u8) -> Verdict {
        match (*byte, self.place) {
            (b'\n', Place::Reason | Place::Status(3)) => self.place = Place::LineStart,
            (b'\n', _) => return Verdict::NotHttp,
            (b' ' | b'\t', Place::Status(3)) => self.place = Place::Reason,
            (b'\r' | b' ' | b'\t', _) => {}
            (b'0'..=b'9', Place::Status(at @ 0..3)) => self.place = Place::Status(at + 1),
            (_, Place::Reason) => *byte = MASKED,
            _ => {
                *byte = BLANK;
                return Verdict::NotHttp;
            }
        }
        Verdict::Within
    }

    fn field(&mut self, byte: &mut u8, policy: &Policy) -> Verdict {
        match (*byte, self.place) {
            (b'\n', Place::LineStart | Place::LineStartCr) => return Verdict::Complete,
            (b'\n', _) => {
                self.end_word();
                self.place = Place::LineStart;
            }
            (b'\r', Place::LineStart) => self.place = Place::LineStartCr,
            // A folded line continues the value before it.
            (b' ' | b'\t', Place::LineStart) => self.place = Place::Value,
            (b' ' | b'\t' | b'\r', Place::Value) => self.end_word(),
            (_, Place::Value) if self.value.keeps() => {}
            (_, Place::Value) => self.value_byte(byte, policy),
            (other, Place::LineStart | Place::LineStartCr) => {
                self.name = None;
                self.value = ValueMask::default();
                self.place = Place::Name;
                self.name(byte, other, policy);
            }
            (other, _) => self.name(byte, other, policy),
        }
        Verdict::Within
    }

    fn value_byte(&mut self, byte: &mut u8, policy: &Policy) {
        if self.value.walk(byte, policy.masking()) {
            self.end_word();
        }
    }

    fn end_word(&mut self) {
        // It is looked at after every byte: written, and read whole, only when there is one.
        if let Some(hash) = self.value.end_word() {
            self.hash = Some(hash);
        }
    }

    fn name(&mut self, byte: &mut u8, value: u8, policy: &Policy) {
        let name = self.name.get_or_insert_with(|| Name::new(policy));
        match value {
            b':' => {
                let field = name.field(policy).unwrap_or_default();
                // What else a response says is compared with nothing.
                let needed = self.kind == Kind::Request || field.structural;
                self.value = ValueMask::new(if needed { field.treatment } else { Treatment::Mask });
                self.place = Place::Value;
            }
            b' ' | b'\t' | b'\r' => name.spaced = true,
            _ if is_token(value) => {
                if !name.push(value, policy) {
                    *byte = MASKED_NAME;
                }
            }
            _ => {
                *byte = BLANK;
                name.spaced = true;
            }
        }
    }
}

/// The next index into `http://` (7: done), where the `s` of `https` may stand at 4.
fn scheme_step(at: usize, byte: u8) -> Option<usize> {
    match (at, byte.to_ascii_lowercase()) {
        (0, b'h') => Some(1),
        (1 | 2, b't') => Some(at + 1),
        (3, b'p') => Some(4),
        (4, b's') => Some(8),
        (4 | 8, b':') => Some(5),
        (5, b'/') => Some(6),
        (6, b'/') => Some(7),
        _ => None,
    }
}

fn version_accepts(at: usize, byte: u8) -> bool {
    match at {
        0..5 => b"HTTP/".get(at) == Some(&byte),
        5 | 7 => byte.is_ascii_digit(),
        6 => byte == b'.',
        _ => false,
    }
}

/// RFC 9110 `tchar`.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The beginning of a word, kept without allocation.
#[derive(Clone, Debug, Default)]
struct Word {
    bytes: [u8; method::LONGEST],
    len: usize,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len += 1;
    }

    /// Whether a head can begin with this word and `byte`.
    fn can_go_on(&self, byte: u8) -> bool {
        let mut longer = self.clone();
        longer.push(byte);
        longer.get().is_some_and(method::can_begin)
    }

    fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }

    fn is(&self, other: &[u8]) -> bool {
        self.get() == Some(other)
    }
}

/// The name of a field, under way.
#[derive(Clone, Debug)]
struct Name {
    candidates: Candidates,
    /// White space (or worse) followed the last byte.
    spaced: bool,
    /// …and then another word began, which is the one that `candidates` are for.
    broken: bool,
}

impl Name {
    fn new(policy: &Policy) -> Self {
        Self { candidates: policy.candidates(), spaced: false, broken: false }
    }

    /// Says whether the byte may stay.
    fn push(&mut self, byte: u8, policy: &Policy) -> bool {
        if self.spaced {
            // A lenient server may take the last word for the name, so it has to stay if it looks like one.
            *self = Self { broken: true, ..Self::new(policy) };
        }
        if self.candidates.any() {
            policy.narrow(&mut self.candidates, byte);
        }
        self.candidates.any()
    }

    fn field(&self, policy: &Policy) -> Option<Field> {
        if self.broken { None } else { policy.named(&self.candidates) }
    }
}

#[cfg(test)]
mod tests;
