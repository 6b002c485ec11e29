//! What a request may have in common with the calls made for it: hashes of the values it carries.
//!
//! Most values are masked already, so equal hashes mean equal words. Those of audited fields are in clear, and are equal to
//! each other only: nothing that a recording holds could tell that one is the same as a masked word. So are ids in the path,
//! and their hashes are of another kind: an id in a path is never taken for the same id in a header.

use std::hash::Hasher;

use memchr::memchr;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::fields::{Field, Treatment};
use super::masking::{WORD_MIN, is_comparable, is_telling};
use crate::report::route::is_variable;

/// Most values of a request. Those of fields come first, then ids in the path, the query, cookies.
pub const VALUES: usize = 16;

/// Bit of a value: it stands in a field that names one request, and is no user's, session's or thing's.
pub const NAMES_REQUEST: u64 = 1 << 63;

#[derive(Clone, Copy)]
enum Kind {
    Word = 0,
    Path = 1,
    /// All the pairs of a cookie field together.
    Cookies = 2,
}

/// Of a request with this path, masked query, and masked fields. No value twice.
pub(super) fn values<'a>(path: &str, query: &[u8], fields: impl Iterator<Item = (Field, &'a [u8])>) -> Vec<u64> {
    let mut values = Values::default();
    let mut cookies = SmallVec::<[&[u8]; 4]>::new();
    for (field, value) in fields {
        match field.treatment {
            Treatment::Words => values.words(value, is_comparable, field.names_request),
            Treatment::Keep if field.affine => values.words(value, is_telling, field.names_request),
            Treatment::Pairs(_) => cookies.push(value),
            Treatment::Keep | Treatment::Mask => {}
        }
    }
    for id in path.split('/').filter(|segment| segment.len() >= WORD_MIN && is_variable(segment)).take(VALUES) {
        values.add(Kind::Path, id.as_bytes(), false);
    }
    values.pairs(query, b'&');
    for value in cookies {
        let before = values.0.len();
        values.pairs(value, b';');
        if values.0.len() > before + 1 {
            values.add(Kind::Cookies, value, false);
        }
    }
    values.0.to_vec()
}

#[derive(Default)]
struct Values(SmallVec<[u64; VALUES]>);

impl Values {
    fn pairs(&mut self, value: &[u8], separator: u8) {
        let mut rest = Some(value);
        // Of what is beyond the room nothing is looked at: cookies are long.
        while let Some(pairs) = rest.filter(|_| self.0.len() < VALUES) {
            let (pair, others) = match memchr(separator, pairs).and_then(|at| pairs.split_at_checked(at)) {
                Some((pair, others)) => (pair, others.get(1..)),
                None => (pairs, None),
            };
            rest = others;
            if let Some(equals) = memchr(b'=', pair) {
                self.words(pair.get(equals + 1..).unwrap_or_default(), is_comparable, false);
            }
        }
    }

    fn words(&mut self, value: &[u8], counts: fn(&[u8]) -> bool, names_request: bool) {
        for word in value.split(|byte| byte.is_ascii_whitespace()).filter(|word| counts(word)) {
            self.add(Kind::Word, word, names_request);
        }
    }

    fn add(&mut self, kind: Kind, bytes: &[u8], names_request: bool) {
        if self.0.len() >= VALUES {
            return;
        }
        let mut hasher = SipHasher13::new();
        hasher.write_u8(kind as u8);
        hasher.write(bytes);
        let value = hasher.finish() & !NAMES_REQUEST;
        let own = if names_request { NAMES_REQUEST } else { 0 };
        match self.0.iter_mut().find(|other| **other & !NAMES_REQUEST == value) {
            Some(other) => *other |= own,
            None => self.0.push(value | own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Masking;
    use super::*;
    use crate::testing::policy;

    fn of(path: &str, query: &str, fields: &[(&str, &str)]) -> Vec<u64> {
        let policy = policy(Masking::Done);
        let field = |name: &str| policy.field(name.as_bytes()).unwrap_or_default();
        values(path, query.as_bytes(), fields.iter().map(|(name, value)| (field(name), value.as_bytes())))
    }

    #[test]
    fn equal_words_are_equal_wherever_they_stand() {
        let word = of("/", "", &[("x-tenant-id", "xxabcd")]);
        assert_eq!(word.len(), 1);
        let named = of("/", "", &[("x-tenant-id", "xxabcd"), ("Request-Id", "xxabcd")]);
        assert_eq!(named, [word[0] | NAMES_REQUEST]);
        for other in [
            of("/", "", &[("authorization", "xxxxxx xxabcd")]),
            of("/", "xx=xxabcd", &[]),
            of("/", "", &[("cookie", "xxx=xxxx; xx=xxabcd")]),
            of("/", "", &[("x-tenant", "xxabcd"), ("x-user", "xxabcd")]),
        ] {
            assert_eq!(other, word);
        }
        assert!(of("/", "", &[("accept", "xxabcd")]).is_empty());
        assert_ne!(of("/deadbeef1", "", &[]), of("/", "a=deadbeef1", &[]));
    }

    #[test]
    fn what_is_not_comparable_is_left_out() {
        assert!(of("/17/cart", "x=xxxxxx&abcdef&x=abc&=&", &[("x-user", "xxxxxxxx"), ("cookie", "abcdef")]).is_empty());
        assert_eq!(of("/1234/cart", "", &[]).len(), 1);
    }

    #[test]
    fn ids_that_are_audited_are_compared_as_they_are() {
        let id = of("/", "", &[("x-request-id", "req-77-x")]);
        let other = of("/", "", &[("X-Correlation-Id", "req-77-x")]);
        assert_eq!((id.len(), id[0]), (1, other[0] | NAMES_REQUEST));
        assert!(of("/", "", &[("x-request-id", "null"), ("x-correlation-id", "17")]).is_empty());
        assert!(of("/", "", &[("traceparent", "00-abcdef"), ("host", "abcdef")]).is_empty());
    }

    #[test]
    fn cookies_count_each_and_together() {
        assert_eq!(of("/", "", &[("cookie", "x=abcd; x=efgh; x=xxxx")]).len(), 3);
    }

    #[test]
    fn values_are_bounded_and_cookies_come_last() {
        let cookies: String = (1000..1100).map(|n| format!("x={n}; ")).collect();
        let all = of("/1234567", "x=abcd", &[("cookie", &cookies), ("x-user", "efgh")]);
        assert_eq!(all.len(), VALUES);
        let some = of("/1234567", "x=abcd", &[("x-user", "efgh")]);
        assert_eq!(all.get(..3), some.get(..));
        assert_eq!(of(&"/1234567/12345678".repeat(1000), "", &[]).len(), 2);
    }
}
