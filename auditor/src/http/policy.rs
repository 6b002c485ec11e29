//! Which fields and first words are listed, looked up while they are under way.

use std::collections::BTreeMap;

use super::Masking;
use super::fields::{self, Field};
use super::mask::is_token;
use super::method::{self, FirstWord};
use super::trie::{At, Trie};

/// What becomes of the fields of a head.
#[derive(Clone, Debug)]
pub struct Policy {
    masking: Masking,
    /// By name in lower case.
    fields: Trie<Field>,
    first_words: Trie<FirstWord>,
}

/// The name of a field.
pub(super) struct Name {
    pub(super) length: usize,
    /// So many bytes of it a listed name begins with.
    pub(super) known: usize,
    /// If it is listed.
    pub(super) field: Option<Field>,
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
        let prefixes: Vec<&str> = prefixes.into_iter().collect();
        let mut fields = Trie::new(names.keys().chain(&prefixes).copied(), true);
        names.into_iter().for_each(|(name, field)| fields.insert(name, field, false));
        prefixes.into_iter().for_each(|prefix| fields.insert(prefix, Field::default().audited(), true));
        Self { masking, fields, first_words: method::first_words() }
    }

    /// What becomes of values that can be compared.
    pub(super) fn masking(&self) -> &Masking {
        &self.masking
    }

    /// How a head can begin.
    pub(super) fn first_words(&self) -> &Trie<FirstWord> {
        &self.first_words
    }

    /// How many of these bytes are a first word, or begin one, and which word that is.
    pub(super) fn first_word(&self, line: &[u8]) -> (usize, Option<FirstWord>) {
        let (length, at) = self.first_words.walk(line);
        (length, self.first_words.value(at))
    }

    /// Before the first byte of a name.
    pub(super) const NAME: At = Trie::<Field>::ROOT;

    /// After another byte of it; `None`: no name that is listed goes on like this.
    pub(super) fn narrow(&self, name: At, byte: u8) -> Option<At> {
        self.fields.step(name, byte)
    }

    /// The field, once its name is complete; `None`: it is not listed.
    pub(super) fn named(&self, name: At) -> Option<Field> {
        self.fields.value(name)
    }

    /// The name that a line begins with; `None`: no colon follows it, or there is none.
    pub(super) fn name(&self, line: &[u8]) -> Option<Name> {
        let (known, at) = self.fields.walk(line);
        let rest = line.get(known..).unwrap_or_default();
        let length = known + rest.iter().position(|byte| !is_token(*byte))?;
        let field = if length == known { self.named(at) } else { None };
        (length > 0 && line.get(length) == Some(&b':')).then_some(Name { length, known, field })
    }

    /// The field of this name; `None`: it is not listed.
    pub(super) fn field(&self, name: &[u8]) -> Option<Field> {
        let (known, at) = self.fields.walk(name);
        if known == name.len() { self.named(at) } else { None }
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
        assert!(policy.field(b"host").unwrap().structural.is_some());
        assert_eq!(policy.field(b"request-id").unwrap().treatment, Treatment::Words);
        assert_eq!(policy.field(b"cookie").unwrap().treatment, Treatment::Pairs(b';'));
    }

    #[test]
    fn only_what_a_name_can_become_are_candidates() {
        let policy = policy();
        for (name, any) in [("x-b", true), ("X-b3-tr", true), ("ctx-whatever", true), ("x-b4", false), ("b3-", false)] {
            let at = name.bytes().try_fold(Policy::NAME, |at, byte| policy.narrow(at, byte));
            assert_eq!(at.is_some(), any, "{name}");
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
