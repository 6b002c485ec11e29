//! Which fields are listed, looked up while their names are under way.
//!
//! Every byte of every name is asked about, so the names are sorted: those that go on like the bytes so far stand
//! together, and each byte narrows that range down.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Masking;
use super::fields::{self, Field};
use super::mask::is_token;

/// What becomes of the fields of a head.
#[derive(Clone, Debug)]
pub struct Policy {
    masking: Masking,
    /// Sorted. Where one is a prefix, no other begins with it.
    names: Vec<Name>,
}

#[derive(Clone, Debug)]
struct Name {
    /// Lower case.
    text: Box<str>,
    /// Names of fields begin with it.
    prefix: bool,
    field: Field,
}

impl Name {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }
}

/// The names that a name under way may become.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    range: Range<usize>,
    /// Bytes they have in common with it: all so far, or those of a prefix.
    length: usize,
}

impl Candidates {
    pub(super) fn any(&self) -> bool {
        !self.range.is_empty()
    }
}

impl Policy {
    /// With these fields, and those whose names begin like that, audited; both in lower case.
    pub fn new<'a>(
        masking: Masking,
        audited: impl IntoIterator<Item = &'a str>,
        prefixes: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut names: BTreeMap<&str, Field> = fields::always().collect();
        for name in audited {
            let field = names.entry(name).or_default();
            *field = field.audited();
        }
        let mut names: Vec<_> =
            names.into_iter().map(|(text, field)| Name { text: text.into(), prefix: false, field }).collect();
        for prefix in prefixes {
            names.retain(|name| !name.text.starts_with(prefix));
            names.push(Name { text: prefix.into(), prefix: true, field: Field::default().audited() });
        }
        names.sort_by(|a, b| a.text.cmp(&b.text));
        Self { masking, names }
    }

    /// What becomes of values that can be compared.
    pub(super) fn masking(&self) -> &Masking {
        &self.masking
    }

    /// Before the first byte of a name.
    pub(super) fn candidates(&self) -> Candidates {
        Candidates { range: 0..self.names.len(), length: 0 }
    }

    /// After another byte of it.
    pub(super) fn narrow(&self, candidates: &mut Candidates, byte: u8) {
        let Candidates { range, length } = candidates;
        let names = self.names.get(range.clone()).unwrap_or_default();
        if names.first().is_some_and(|name| name.prefix && name.text.len() == *length) {
            return;
        }
        let byte = Some(byte.to_ascii_lowercase());
        // Past the common bytes they are sorted by the next one.
        let (from, to) = match names {
            // After a few bytes there is only one.
            [name] => (0, usize::from(name.byte(*length) == byte)),
            _ => (
                names.partition_point(|name| name.byte(*length) < byte),
                names.partition_point(|name| name.byte(*length) <= byte),
            ),
        };
        (*range, *length) = (range.start + from..range.start + to, *length + 1);
    }

    /// The field, once its name is complete; `None`: it is not listed.
    pub(super) fn named(&self, candidates: &Candidates) -> Option<Field> {
        // The shortest is the first.
        let name = self.names.get(candidates.range.clone())?.first()?;
        (name.text.len() == candidates.length).then_some(name.field)
    }

    /// The field of this name; `None`: it is not listed.
    pub(super) fn field(&self, name: &[u8]) -> Option<Field> {
        let mut candidates = self.candidates();
        for byte in name {
            self.narrow(&mut candidates, *byte);
            if !candidates.any() {
                return None;
            }
        }
        self.named(&candidates)
    }

    /// Whether a line that is not a field line could still have been meant, and read by a lenient server, as an audited
    /// one. Only a whole word counts: some names are short.
    pub(super) fn mentions_audited(&self, line: &[u8]) -> bool {
        line.split(|&byte| !is_token(byte)).any(|word| self.field(word).is_some_and(|field| field.audited))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Treatment;
    use super::*;

    fn policy() -> Policy {
        Policy::new(Masking::Blank, ["b3", "x-b3-traceid", "x-b3", "x-request-id", "host", "ctx-a"], ["ctx-"])
    }

    #[test]
    fn names_are_found_whole_and_in_any_case() {
        let policy = policy();
        for name in ["b3", "B3", "X-B3-TraceId", "x-b3", "X-Request-ID", "ctx-a", "Ctx-B", "ctx-", "host"] {
            assert!(policy.field(name.as_bytes()).is_some_and(|field| field.audited), "{name}");
        }
        for name in ["", "b", "b33", "x-b3-", "x-b3-traceid2", "ctx", "xctx-a", "accept", "\u{e4}"] {
            assert_eq!(policy.field(name.as_bytes()), None, "{name}");
        }
        assert!(fields::always().all(|(name, field)| {
            let found = policy.field(name.as_bytes()).unwrap();
            found == field || found == field.audited()
        }));
    }

    #[test]
    fn what_is_audited_stays_readable_and_what_it_was() {
        let policy = policy();
        let id = policy.field(b"x-request-id").unwrap();
        assert_eq!((id.treatment, id.affine, id.names_request), (Treatment::Keep, true, true));
        assert!(policy.field(b"host").unwrap().structural);
        assert_eq!(policy.field(b"request-id").unwrap().treatment, Treatment::Words);
        assert_eq!(policy.field(b"cookie").unwrap().treatment, Treatment::Pairs(b';'));
    }

    #[test]
    fn only_what_a_name_can_become_are_candidates() {
        let policy = policy();
        for (name, any) in [("x-b", true), ("X-b3-tr", true), ("ctx-whatever", true), ("x-b4", false), ("b3-", false)] {
            let mut candidates = policy.candidates();
            name.bytes().for_each(|byte| policy.narrow(&mut candidates, byte));
            assert_eq!(candidates.any(), any, "{name}");
        }
    }

    #[test]
    fn a_whole_word_is_a_mention() {
        let policy = policy();
        for line in ["b3 1", "x B3: 1", "a\0b3", "ctx-a", "x-b3"] {
            assert!(policy.mentions_audited(line.as_bytes()), "{line}");
        }
        for line in ["", "b3x 1", "web3 1", "x-b3-1", "cookie b"] {
            assert!(!policy.mentions_audited(line.as_bytes()), "{line}");
        }
    }
}
