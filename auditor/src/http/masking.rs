//! Replaces the values that a request may hand on to its calls, so that they can be compared and not read.
//!
//! Of a word of such a value (an id, a token, the value of a parameter or of a cookie) every byte becomes `x`, but for
//! the last eleven: these hold its hash under a key that lives as long as the run and is written nowhere. Equal words
//! have equal replacements, whatever field they stand in, and a recording tells no more than that. The hash is of the
//! whole word: one that grows along with the word would tell, byte by byte, how far a guess is right to whoever can
//! send a request of their own and read the recording.
//!
//! The replacement is written when the word ends, and what went with an earlier record cannot be written any more: of a
//! word whose hash does not fit behind the border between two records nothing stays.

use std::hash::Hasher;

use memchr::{memchr, memchr3};
use siphasher::sip::SipHasher24;

use super::fields::Treatment;
use super::replace::{self, is, is_within};

/// Stands for a byte of a value, a query or a reason phrase. No hash contains it.
pub(super) const MASKED: u8 = b'x';
/// What a hash is written in: nothing that separates words anywhere.
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwyz-_.";
/// Bytes of a hash: 64 bits, six in each.
const HASH_LEN: usize = 11;
/// A shorter word says nothing: too many have it.
pub(super) const WORD_MIN: usize = 4;
/// Words that many requests have, or that say what the next one is.
const TRIVIAL: [&[u8]; 10] =
    [b"true", b"false", b"null", b"none", b"undefined", b"unknown", b"basic", b"bearer", b"digest", b"token"];
/// Bytes of a word that comes byte by byte that are hashed at once; no trivial word is as long.
const CHUNK: usize = 16;

/// A secret of one run, from the live source. It is never stored, nor shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    /// From random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What becomes of the values that a request may hand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Masking {
    /// Nothing of them stays, so that nothing can be compared.
    #[default]
    Blank,
    /// Replacements under this key: the records come from the kernel.
    Keyed(Key),
    /// That was done before: the records come from a recording.
    Done,
}

/// The walk through a value that does not stay readable.
#[derive(Clone, Debug, Default)]
pub(super) struct ValueMask {
    treatment: Treatment,
    /// Of a pair: the name is over.
    named: bool,
    word: Option<HashedWord>,
}

impl ValueMask {
    pub(super) fn new(treatment: Treatment) -> Self {
        Self { treatment, named: false, word: None }
    }

    pub(super) fn keeps(&self) -> bool {
        self.treatment == Treatment::Keep
    }

    pub(super) fn masks(&self) -> bool {
        self.treatment == Treatment::Mask
    }

    /// Masks the rest of a line of the value, where none of it went before. The same as [`Self::walk`] for each byte.
    pub(super) fn line(&mut self, bytes: &mut [u8], masking: &Masking) {
        match self.treatment {
            Treatment::Keep => {}
            Treatment::Mask => mask_words(bytes),
            Treatment::Words => hash_words(bytes, masking),
            Treatment::Pairs(separator) => {
                let mut rest = Some(bytes);
                while let Some(bytes) = rest {
                    let (pair, others) = split(bytes, memchr(separator, bytes));
                    let (name, value) = split(pair, memchr(b'=', pair));
                    mask_words(name);
                    self.named = value.is_some();
                    hash_words(value.unwrap_or_default(), masking);
                    rest = others;
                }
            }
        }
    }

    /// Masks a byte of the value, white space excepted. Says whether it ends a word, as white space does.
    pub(super) fn walk(&mut self, byte: &mut u8, masking: &Masking) -> bool {
        let is_word = match self.treatment {
            Treatment::Keep => return false,
            Treatment::Mask => false,
            Treatment::Words => true,
            Treatment::Pairs(separator) if *byte == separator => {
                self.named = false;
                return true;
            }
            Treatment::Pairs(_) if *byte == b'=' && !self.named => {
                self.named = true;
                return false;
            }
            Treatment::Pairs(_) => self.named,
        };
        match masking {
            // Whatever it is, masking it once more changes nothing.
            Masking::Done if is_word && may_be_masked(*byte) != 0 => return false,
            Masking::Keyed(key) if is_word => self.word.get_or_insert_with(|| HashedWord::new(key)).push(*byte),
            _ => {}
        }
        *byte = MASKED;
        false
    }

    /// The word, if one is under way, is over.
    pub(super) fn end_word(&mut self) -> Option<Hash> {
        self.word.take()?.hash()
    }
}

/// A word under way.
#[derive(Clone, Debug)]
struct HashedWord {
    hasher: SipHasher24,
    length: usize,
    /// What is not hashed yet: the hasher is slow byte by byte.
    chunk: [u8; CHUNK],
}

impl HashedWord {
    fn new(key: &Key) -> Self {
        Self { hasher: SipHasher24::new_with_key(&key.0), length: 0, chunk: [0; CHUNK] }
    }

    fn push(&mut self, byte: u8) {
        let at = self.length % CHUNK;
        self.chunk.iter_mut().skip(at).take(1).for_each(|place| *place = byte);
        self.length += 1;
        if self.length.is_multiple_of(CHUNK) {
            self.hasher.write(&self.chunk);
        }
    }

    fn hash(mut self) -> Option<Hash> {
        let rest = self.chunk.get(..self.length % CHUNK).unwrap_or_default();
        self.hasher.write(rest);
        (self.length >= CHUNK || is_telling(rest))
            .then(|| Hash { bits: self.hasher.finish(), length: self.length.min(HASH_LEN) })
    }
}

/// The bytes before `at`, and those after it if there is one.
fn split(bytes: &mut [u8], at: Option<usize>) -> (&mut [u8], Option<&mut [u8]>) {
    let (before, after) = bytes.split_at_mut(at.unwrap_or(bytes.len()));
    (before, after.get_mut(1..))
}

/// White space within a line, and what ends it with a line feed.
fn is_blank(byte: u8) -> u8 {
    is(byte, b' ') | is(byte, b'\t') | is(byte, b'\r')
}

/// Masks all that is not white space.
fn mask_words(bytes: &mut [u8]) {
    replace::others(bytes, MASKED, is_blank);
}

/// Replaces words that can be compared.
fn hash_words(mut bytes: &mut [u8], masking: &Masking) {
    let key = match masking {
        Masking::Keyed(key) => key,
        Masking::Blank => return mask_words(bytes),
        Masking::Done => {
            return replace::others(bytes, MASKED, |byte| may_be_masked(byte) | is_blank(byte));
        }
    };
    while !bytes.is_empty() {
        let end = memchr3(b' ', b'\t', b'\r', bytes).unwrap_or(bytes.len());
        let (word, rest) = bytes.split_at_mut(end);
        let hash = Hash::of(word, key);
        word.fill(MASKED);
        if let Some(hash) = hash {
            hash.write(word);
        }
        bytes = rest.get_mut(1..).unwrap_or_default();
    }
}

/// What the last bytes of a word become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    bits: u64,
    length: usize,
}

impl Hash {
    /// Of a word; `None`: nothing of it stays.
    fn of(word: &[u8], key: &Key) -> Option<Self> {
        is_telling(word).then(|| {
            let mut hasher = SipHasher24::new_with_key(&key.0);
            hasher.write(word);
            Self { bits: hasher.finish(), length: word.len().min(HASH_LEN) }
        })
    }

    /// How many bytes those are.
    pub(super) fn len(self) -> usize {
        self.length
    }

    /// Writes it to the end of the bytes that end with the word.
    pub(super) fn write(self, bytes: &mut [u8]) {
        let mut bits = self.bits;
        for byte in bytes.iter_mut().rev().take(self.length) {
            *byte = ALPHABET.get((bits & 63) as usize).copied().unwrap_or(MASKED);
            bits >>= 6;
        }
    }
}

/// Whether a masked word may have it: of the alphabet, or what stands for any other byte.
fn may_be_masked(byte: u8) -> u8 {
    let letter = is_within(byte | 0x20, b'a', 26);
    letter | is_within(byte, b'0', 10) | is(byte, b'-') | is(byte, b'_') | is(byte, b'.')
}

/// Whether a word in clear says something: it is not so short, or so common, that many have it.
pub(super) fn is_telling(word: &[u8]) -> bool {
    word.len() >= CHUNK || word.len() >= WORD_MIN && !TRIVIAL.iter().any(|trivial| trivial.eq_ignore_ascii_case(word))
}

/// Whether a masked word can be compared.
pub(super) fn is_comparable(word: &[u8]) -> bool {
    word.len() >= WORD_MIN && word.last() != Some(&MASKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(word: &str, key: u8) -> String {
        let mut bytes = word.as_bytes().to_vec();
        let mut mask = ValueMask::new(Treatment::Words);
        let masking = Masking::Keyed(Key::new([key; 16]));
        for byte in &mut bytes {
            assert!(!mask.walk(byte, &masking));
        }
        if let Some(hash) = mask.end_word() {
            hash.write(&mut bytes);
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_equal_words_under_one_key_look_equal() {
        let word = "6f1c1c1e-9d1b-4b3a-8e55-0a4a4f5d2c11";
        let mask = masked(word, 1);
        assert_eq!(mask, masked(word, 1));
        assert_eq!((mask.len(), mask.get(..25)), (word.len(), Some("x".repeat(25).as_str())));
        assert!(mask.get(25..).is_some_and(|hash| !hash.contains('x') && is_comparable(mask.as_bytes())));
        for other in [masked(word, 2), masked("6f1c1c1e-9d1b-4b3a-8e55-0a4a4f5d2c12", 1), masked(&word[1..], 1)] {
            assert_ne!(other.get(other.len() - HASH_LEN..), mask.get(25..));
        }
    }

    #[test]
    fn a_common_beginning_does_not_show() {
        let (one, other) = (masked("hunter2hunter2a", 1), masked("hunter2hunter2b", 1));
        let same = one.bytes().zip(other.bytes()).skip(4).filter(|(a, b)| a == b).count();
        assert!(same <= 2, "{one} {other}");
    }

    #[test]
    fn trivial_words_leave_nothing() {
        for word in ["", "1", "abc", "TRUE", "null", "Bearer", "undefined"] {
            assert_eq!(masked(word, 1), "x".repeat(word.len()));
            assert!(!is_comparable(masked(word, 1).as_bytes()));
        }
        assert!(TRIVIAL.iter().all(|word| word.len() < CHUNK));
        assert!(is_comparable(masked("abcd", 1).as_bytes()));
    }

    #[test]
    fn the_alphabet_is_safe() {
        let mut letters = ALPHABET.to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!((letters.len(), letters.contains(&MASKED)), (64, false));
        assert!(!letters.iter().any(|byte| b" \t\r\n\0&=;,:?#/\"".contains(byte)));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Masking::Keyed(Key::new([7; 16]))), "Keyed(Key(..))");
    }
}
