//! Walks a message head byte by byte, masks what must not travel on, and finds the head's end.
//!
//! Everything after this stage sees only masked bytes, and masking masked bytes changes nothing: a recording therefore
//! replays to what the live run saw. For that, a byte that ends the walk as "not HTTP" is replaced by NUL, which ends it
//! again at the same place; a masked value byte is `x`, which is accepted wherever a value is, and so is what stands for
//! a value that can be compared (see [`super::masking`]). Of a field name, which may turn out to be no name for want of a
//! colon, only what begins the name of a listed field stays; the rest is `_`, which no such name has.

use memchr::memchr;

use super::fields::{Field, Treatment};
use super::first_line::{self, FirstLine};
use super::lines::Noted;
use super::masking::{Hash, MASKED, ValueMask};
use super::method::FirstWord;
use super::policy::{self, Policy};
use super::trie::{At, Trie};

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
    /// Of a segment of the path.
    Parameters,
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
    /// The first word, as far as it was walked.
    word: At,
    /// The current field name.
    name: Name,
    /// The query, then the value of the current field; a folded line continues it.
    value: ValueMask,
    /// What the word that just ended becomes.
    hash: Option<Hash>,
    /// All of it is in one record, with a field on every line: then the lines are noted.
    straight: bool,
}

impl HeadMask {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Before,
            kind: Kind::Request,
            odd: false,
            word: Trie::<FirstWord>::ROOT,
            name: Name::BEGIN,
            value: ValueMask::default(),
            hash: None,
            straight: true,
        }
    }

    /// Which kind the head is; meaningful once its first line was walked.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the lines that are needed are noted, once the head is complete.
    pub(super) fn is_straight(&self) -> bool {
        self.straight
    }

    /// Walks and masks `bytes` from `at` on, until there is more to say than that they belong to the head.
    ///
    /// Lines that are as they should be, and in the record as a whole, are taken as a whole; of any other one every byte.
    pub(super) fn walk(&mut self, bytes: &mut [u8], at: &mut usize, policy: &Policy, noted: &mut Noted) -> Verdict {
        let begin = *at;
        noted.clear();
        self.straight &= self.place == Place::Before;
        if self.place == Place::Before
            && let Some((first, length)) = first_line::read(bytes.get_mut(begin..).unwrap_or_default(), policy)
        {
            self.kind = if matches!(first, FirstLine::Request { .. }) { Kind::Request } else { Kind::Response };
            self.place = Place::LineStart;
            noted.begin(first);
            *at += length;
        }
        loop {
            if self.place == Place::LineStart {
                let rest = bytes.get_mut(*at..).unwrap_or_default();
                *at += self.lines(rest, *at - begin, policy, noted);
                let end = match bytes.get(*at..) {
                    Some([b'\n', ..]) => 1,
                    Some([b'\r', b'\n', ..]) => 2,
                    _ => 0,
                };
                *at += end;
                if end > 0 {
                    return Verdict::Complete;
                }
            }
            // Of a line that began in an earlier record; of one with words, that may be in the middle of one.
            if self.place == Place::Value && (self.value.keeps() || self.value.masks()) {
                let rest = bytes.get_mut(*at..).unwrap_or_default();
                let end = memchr(b'\n', rest).unwrap_or(rest.len());
                self.value.line(rest.get_mut(..end).unwrap_or_default(), policy.masking());
                *at += end;
            }
            let Some((before, [byte, ..])) = bytes.split_at_mut_checked(*at) else { return Verdict::Within };
            *at += 1;
            let verdict = self.step(byte, policy);
            // What of the word went with an earlier record is beyond reach: then all of it stays masked.
            if let Some(hash) = self.hash.take()
                && before.len() >= hash.len()
            {
                hash.write(before);
            }
            if verdict != Verdict::Within {
                return verdict;
            }
        }
    }

    /// Masks whole lines of fields, as long as they are as they should be; says how many bytes. The same as [`Self::step`]
    /// for each.
    #[inline(never)] // As the first line: together they run out of registers.
    fn lines(&mut self, bytes: &mut [u8], before: usize, policy: &Policy, noted: &mut Noted) -> usize {
        let mut at = 0;
        while let Some(line) = bytes.get_mut(at..)
            && let Some(policy::Name { length, known, field }) = policy.name(line)
            && let Some((name, [_, value @ ..])) = line.split_at_mut_checked(length)
            && let Some(end) = memchr(b'\n', value)
        {
            name.get_mut(known..).unwrap_or_default().fill(MASKED_NAME);
            let field = field.filter(|field| self.needs(field));
            let value = value.get_mut(..end).unwrap_or_default();
            self.value = ValueMask::new(field.unwrap_or_default().treatment);
            self.value.line(value, policy.masking());
            if let Some(field) = field {
                let (begin, value) = (before + at, value.trim_ascii_end());
                let value_end = begin + length + 1 + value.len();
                noted.push(begin..begin + length, value_end - value.trim_ascii_start().len()..value_end, field);
            }
            at += length + 1 + end + 1;
        }
        at
    }

    /// What else a response says is compared with nothing.
    fn needs(&self, field: &Field) -> bool {
        self.kind == Kind::Request || field.structural.is_some()
    }

    /// Masks one byte in place.
    #[cold]
    #[inline(never)]
    fn step(&mut self, byte: &mut u8, policy: &Policy) -> Verdict {
        match self.place {
            Place::Before | Place::FirstWord => self.first_word(byte, policy),
            Place::TargetStart => self.target_start(byte, policy),
            Place::Scheme(_) | Place::Authority | Place::Path | Place::Parameters | Place::Query | Place::OddTarget => {
                self.target(byte, policy)
            }
            Place::Version(_) | Place::OddVersion => self.version(byte),
            Place::Status(_) | Place::Reason => self.status(byte),
            Place::LineStart | Place::LineStartCr | Place::Name | Place::Value => self.field(byte, policy),
        }
    }

    fn first_word(&mut self, byte: &mut u8, policy: &Policy) -> Verdict {
        let words = policy.first_words();
        match *byte {
            b'\r' | b'\n' if self.place == Place::Before => return Verdict::Before,
            b' ' | b'\t' if self.place == Place::FirstWord => {
                // A word cut short finds no target or version after it.
                self.kind = if words.value(self.word) == Some(FirstWord::Version) {
                    self.place = Place::Status(0);
                    Kind::Response
                } else {
                    self.place = Place::TargetStart;
                    Kind::Request
                };
            }
            b'\n' | b'\r' => return Verdict::NotHttp,
            other => match words.step(self.word, other) {
                Some(word) => {
                    self.place = Place::FirstWord;
                    self.word = word;
                }
                None => {
                    *byte = BLANK;
                    return Verdict::NotHttp;
                }
            },
        }
        Verdict::Within
    }

    fn target_start(&mut self, byte: &mut u8, policy: &Policy) -> Verdict {
        self.place = match *byte {
            b' ' | b'\t' => return Verdict::Within,
            b'\n' => return Verdict::NotHttp,
            // Nothing of it is needed, and it may say who the user is.
            _ if policy.first_words().value(self.word) == Some(FirstWord::Connect) => Place::Query,
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
            (b'?' | b'#', Place::Path | Place::Parameters | Place::Authority) => {
                self.value = ValueMask::new(Treatment::Pairs(b'&'));
                self.place = Place::Query;
            }
            (_, Place::Query) => self.value_byte(byte, policy),
            (b'/', Place::Authority | Place::Parameters) => self.place = Place::Path,
            (b';', Place::Path) => self.place = Place::Parameters,
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
            (b' ' | b'\t', Place::LineStart) => {
                self.straight = false;
                self.place = Place::Value;
            }
            (b' ' | b'\t' | b'\r', Place::Value) => self.end_word(),
            (_, Place::Value) if self.value.keeps() => {}
            (_, Place::Value) => self.value_byte(byte, policy),
            (other, Place::LineStart | Place::LineStartCr) => {
                self.straight = false;
                self.name = Name::BEGIN;
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
        match value {
            b':' => {
                let field = self.name.field(policy).filter(|field| self.needs(field));
                self.value = ValueMask::new(field.unwrap_or_default().treatment);
                self.place = Place::Value;
            }
            b' ' | b'\t' | b'\r' => self.name.spaced = true,
            _ if is_token(value) => {
                if !self.name.push(value, policy) {
                    *byte = MASKED_NAME;
                }
            }
            _ => {
                *byte = BLANK;
                self.name.spaced = true;
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
    #[allow(clippy::indexing_slicing, reason = "the compiler does it")]
    static TOKENS: [bool; 256] = {
        let mut tokens = [false; 256];
        let mut byte = 0;
        while byte < tokens.len() {
            let sign =
                matches!(byte as u8, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
            tokens[byte] = sign || (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        tokens
    };
    TOKENS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The name of a field, under way.
#[derive(Clone, Debug)]
struct Name {
    /// `None`: it is none that is listed.
    at: Option<At>,
    /// White space (or worse) followed the last byte.
    spaced: bool,
    /// …and then another word began, which is the one that `at` is for.
    broken: bool,
}

impl Name {
    const BEGIN: Self = Self { at: Some(Policy::NAME), spaced: false, broken: false };

    /// Says whether the byte may stay.
    fn push(&mut self, byte: u8, policy: &Policy) -> bool {
        if self.spaced {
            // A lenient server may take the last word for the name, so it has to stay if it looks like one.
            *self = Self { broken: true, ..Self::BEGIN };
        }
        self.at = self.at.and_then(|at| policy.narrow(at, byte));
        self.at.is_some()
    }

    fn field(&self, policy: &Policy) -> Option<Field> {
        if self.broken { None } else { policy.named(self.at?) }
    }
}

#[cfg(test)]
mod tests;
