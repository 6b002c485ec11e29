//! Walks a message head byte by byte, masks what must not travel on, and finds the head's end.
//!
//! Everything after this stage sees only masked bytes, and masking masked bytes changes nothing: a recording therefore
//! replays to what the live run saw. For that, a byte that ends the walk as "not HTTP" is replaced by NUL, which ends it
//! again at the same place; a masked value byte is `x`, which is accepted wherever a value is, and so is what stands for
//! a value that can be compared (see [`super::masking`]). Of a field name, which may turn out to be no name for want of a
//! colon, only what begins the name of a listed field stays; the rest is `_`, which no such name has.

use super::fields::{self, Treatment};
use super::masking::{Hash, MASKED, Masking, ValueMask};
use super::method;

/// Stands for a byte of a field name.
const MASKED_NAME: u8 = b'_';
/// Stands for a byte of a body, or of anything that is not understood.
pub(super) const BLANK: u8 = 0;
/// Longest word that has to be known: a first word, or the name of a listed field.
const WORD_CAP: usize = if fields::LONGEST > method::LONGEST { fields::LONGEST } else { method::LONGEST };

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
    /// The first word, then the current field name.
    word: Word,
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
        self.hash.take()
    }

    /// Masks one byte in place.
    pub(super) fn walk(&mut self, byte: &mut u8, masking: &Masking) -> Verdict {
        match self.place {
            Place::Before | Place::FirstWord => self.first_word(byte),
            Place::TargetStart => self.target_start(byte, masking),
            Place::Scheme(_) | Place::Authority | Place::Path | Place::Query | Place::OddTarget => {
                self.target(byte, masking)
            }
            Place::Version(_) | Place::OddVersion => self.version(byte),
            Place::Status(_) | Place::Reason => self.status(byte),
            Place::LineStart | Place::LineStartCr | Place::Name | Place::Value => self.field(byte, masking),
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

    fn target_start(&mut self, byte: &mut u8, masking: &Masking) -> Verdict {
        self.place = match *byte {
            b' ' | b'\t' => return Verdict::Within,
            b'\n' => return Verdict::NotHttp,
            // Nothing of it is needed, and it may say who the user is.
            _ if self.word.is(b"CONNECT") => Place::Query,
            b'/' | b'*' => Place::Path,
            _ => Place::Scheme(0),
        };
        self.target(byte, masking)
    }

    fn target(&mut self, byte: &mut u8, masking: &Masking) -> Verdict {
        match (*byte, self.place) {
            (b'\n', _) => return Verdict::NotHttp,
            (b' ' | b'\t', place) => {
                self.odd |= matches!(place, Place::Scheme(_) | Place::OddTarget);
                self.hash = self.value.end_word();
                self.value = ValueMask::default();
                self.place = Place::Version(0);
            }
            (b'\r', _) => self.hash = self.value.end_word(),
            (b'?' | b'#', Place::Path | Place::Authority) => {
                self.value = ValueMask::new(Treatment::Pairs(b'&'));
                self.place = Place::Query;
            }
            (_, Place::Query) => self.hash = self.value.walk(byte, masking),
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

    fn field(&mut self, byte: &mut u8, masking: &Masking) -> Verdict {
        match (*byte, self.place) {
            (b'\n', Place::LineStart | Place::LineStartCr) => return Verdict::Complete,
            (b'\n', _) => {
                self.hash = self.value.end_word();
                self.place = Place::LineStart;
            }
            (b'\r', Place::LineStart) => self.place = Place::LineStartCr,
            // A folded line continues the value before it.
            (b' ' | b'\t', Place::LineStart) => self.place = Place::Value,
            (b' ' | b'\t' | b'\r', Place::Value) => self.hash = self.value.end_word(),
            (_, Place::Value) if self.value.keeps() => {}
            (_, Place::Value) => self.hash = self.value.walk(byte, masking),
            (other, Place::LineStart | Place::LineStartCr) => {
                self.word = Word::default();
                self.value = ValueMask::default();
                self.place = Place::Name;
                self.name(byte, other);
            }
            (other, _) => self.name(byte, other),
        }
        Verdict::Within
    }

    fn name(&mut self, byte: &mut u8, value: u8) {
        match value {
            b':' => {
                let treatment = self.word.treatment();
                // What a response says is compared with nothing.
                let plain = self.kind == Kind::Response && treatment != Treatment::Keep;
                self.value = ValueMask::new(if plain { Treatment::Mask } else { treatment });
                self.place = Place::Value;
            }
            b' ' | b'\t' | b'\r' => self.word.space(),
            _ if is_token(value) => {
                if !self.word.push_name(value) {
                    *byte = MASKED_NAME;
                }
            }
            _ => {
                *byte = BLANK;
                self.word.space();
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
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The beginning of a word, kept without allocation.
#[derive(Clone, Debug, Default)]
struct Word {
    bytes: [u8; WORD_CAP],
    len: usize,
    /// White space (or worse) followed the last byte.
    spaced: bool,
    /// …and then another word began, which is the one in `bytes`.
    broken: bool,
    /// It cannot begin the name of a listed field.
    other: bool,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len += 1;
    }

    /// The same for a word of a field line; says whether the byte may stay.
    fn push_name(&mut self, byte: u8) -> bool {
        if std::mem::take(&mut self.spaced) {
            // A lenient server may take the last word for the name, so it has to stay if it looks like one.
            *self = Self { broken: true, ..Self::default() };
        }
        self.push(byte);
        if !self.other {
            self.other = !self.get().is_some_and(fields::can_begin);
        }
        !self.other
    }

    fn space(&mut self) {
        self.spaced = true;
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

    fn treatment(&self) -> Treatment {
        match self.get() {
            Some(name) if !self.broken && !self.other => fields::treatment(name),
            _ => Treatment::Mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::masking::Key;
    use super::*;

    fn mask(text: &str) -> (String, Option<Verdict>) {
        mask_with(text, &Masking::Blank)
    }

    fn mask_with(text: &str, masking: &Masking) -> (String, Option<Verdict>) {
        let mut mask = HeadMask::new();
        let mut bytes = text.as_bytes().to_vec();
        let mut end = None;
        for at in 0..bytes.len() {
            let (before, rest) = bytes.split_at_mut(at);
            let verdict = mask.walk(&mut rest[0], masking);
            if let Some(hash) = mask.take_hash() {
                hash.write(before);
            }
            if matches!(verdict, Verdict::Complete | Verdict::NotHttp) {
                end = Some(verdict);
                break;
            }
        }
        (String::from_utf8(bytes).unwrap(), end)
    }

    fn masks_to(text: &str, expected: &str, end: Verdict) {
        assert_eq!(mask(text), (expected.to_owned(), Some(end)), "{text:?}");
        assert_eq!(mask(expected), (expected.to_owned(), Some(end)), "again: {expected:?}");
        assert_eq!(mask_with(expected, &Masking::Done), (expected.to_owned(), Some(end)), "replayed: {expected:?}");
        let keyed = Masking::Keyed(Key::new([1; 16]));
        let (masked, ended) = mask_with(text, &keyed);
        assert_eq!((masked.len(), ended), (expected.len(), Some(end)), "{masked:?}");
        assert_eq!(mask_with(&masked, &Masking::Done), (masked, ended), "keyed, then replayed");
    }

    #[test]
    fn only_listed_values_stay() {
        masks_to(
            "GET /a/b?key=1&t HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer abc\r\nTraceParent : 00-aa\r\n\r\n",
            "GET /a/b?xxx=x&x HTTP/1.1\r\nHost: h:1\r\nAuthorization: xxxxxx xxx\r\nTraceParent : 00-aa\r\n\r\n",
            Verdict::Complete,
        );
    }

    #[test]
    fn folded_lines_share_the_fate_of_their_field() {
        masks_to(
            "GET / HTTP/1.1\n odd\nCookie: a\n\tb: c\ntracestate: a=1,\n b=2\n\n",
            "GET / HTTP/1.1\n xxx\nCookie: x\n\txx x\ntracestate: a=1,\n b=2\n\n",
            Verdict::Complete,
        );
    }

    #[test]
    fn a_line_folded_onto_the_first_one_is_no_query() {
        let (masked, _) = mask("GET /?a=b HTTP/1.1\n c=d&e\n\n");
        assert_eq!(masked, "GET /?x=x HTTP/1.1\n xxxxx\n\n");
    }

    #[test]
    fn targets() {
        masks_to("GET http://u:p@h/p?q HTTP/1.1\n\r\n", "GET http://xxxxx/p?x HTTP/1.1\n\r\n", Verdict::Complete);
        masks_to("CONNECT u:p/@h:443 HTTP/1.1\n\n", "CONNECT xxxxxxxxxx HTTP/1.1\n\n", Verdict::Complete);
        masks_to("CONNECT /a HTTP/1.1\n\n", "CONNECT xx HTTP/1.1\n\n", Verdict::Complete);
        masks_to("OPTIONS * HTTP/1.0\n\n", "OPTIONS * HTTP/1.0\n\n", Verdict::Complete);
        masks_to("GET hunter2 HTTP/1.1\n", "GET hxxxxxx HTTP/1.1\n", Verdict::NotHttp);
        masks_to("P4", "P\0", Verdict::NotHttp);
        masks_to("GET /?a secret HTTP/1.1\n", "GET /?x xxxxxx xxxxxxxx\n", Verdict::NotHttp);
    }

    #[test]
    fn responses_keep_their_status_only() {
        masks_to(
            "HTTP/1.1 404 Not You\r\nSet-Cookie: s=1\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 404 xxx xxx\r\n__________: xxx\r\nContent-Length: 3\r\n\r\n",
            Verdict::Complete,
        );
        masks_to("HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 2\x000 OK\r\n\r\n", Verdict::NotHttp);
    }

    #[test]
    fn no_word_of_a_body_passes_as_a_method() {
        // The framer blanks what follows.
        masks_to("SEC", "SE\0", Verdict::NotHttp);
        masks_to("GETS", "GET\0", Verdict::NotHttp);
        assert_eq!(mask("UPDATE").0, "UPDATE");
    }

    #[test]
    fn a_line_without_a_colon_keeps_nothing() {
        masks_to(
            "GET / HTTP/1.1\nhunter2\nHost hunter2 hunter2\n\n",
            "GET / HTTP/1.1\nh______\nHost h______ h______\n\n",
            Verdict::Complete,
        );
        let long = "s".repeat(100);
        masks_to(
            &format!("GET / HTTP/1.1\n{long}\nevil: a\n\n"),
            &format!("GET / HTTP/1.1\n{}\ne___: x\n\n", "_".repeat(100)),
            Verdict::Complete,
        );
    }

    #[test]
    fn what_a_lenient_server_may_read_as_an_audited_field_stays() {
        masks_to(
            "GET / HTTP/1.1\nx traceparent: a\ntraceparent 00-a\na@tracestate b\n\n",
            "GET / HTTP/1.1\nx traceparent: x\ntraceparent ____\na\0tracestate _\n\n",
            Verdict::Complete,
        );
    }

    #[test]
    fn names_that_only_resemble_a_kept_one_are_masked() {
        let (masked, _) = mask("GET / HTTP/1.1\r\nhost x: s\r\nhos: s\r\nhostx: s\r\n: s\r\nho@st: s\r\n\r\n");
        assert!(!masked.contains(": s"), "{masked}");
    }
}
