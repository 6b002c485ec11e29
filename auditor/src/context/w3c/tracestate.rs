//! The grammar of `tracestate`: members `key=value` with commas between them, on one or several lines.
//!
//! The keys are those of level 2, which are also those of level 1. Of a value nothing is ever shown.

use super::rules;
use super::traceparent::trim;
use crate::context::format::{Fault, Fields};

/// Members a list may have.
pub(super) const MAX_MEMBERS: usize = 32;
/// Characters a list may have before anybody may shorten it.
pub(super) const FLOOR: usize = 512;
/// Longest key and longest value.
const LONGEST: usize = 256;
/// Members that are looked at; of a list that is longer nothing is compared.
const MOST: usize = 4 * MAX_MEMBERS;

/// A well-formed member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) key: &'a str,
    /// Without the spaces around it: those behind do not belong to it, and those before it get lost on the way.
    pub(super) value: &'a str,
    /// Bytes of the member as it was sent, without the whitespace around it.
    pub(super) length: usize,
}

/// The list of a head.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceState<'a> {
    pub(super) members: Vec<Member<'a>>,
    /// The first of each kind, with the key if it is one.
    malformed: Vec<(Malformed, Option<&'a str>)>,
    /// Members, well-formed or not.
    count: usize,
    /// Bytes of all lines, joined by commas.
    pub(super) length: usize,
    /// There is a field line, whatever is on it.
    pub(super) sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Malformed {
    Delimiter,
    Key,
    KeyLength,
    Value,
    ValueLength,
}

impl Malformed {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delimiter => "delimiter",
            Self::Key => "key",
            Self::KeyLength => "key_length",
            Self::Value => "value",
            Self::ValueLength => "value_length",
        }
    }
}

impl<'a> TraceState<'a> {
    /// Reads the lines of a head, in their order.
    pub(super) fn read(head: Fields<'a>) -> Self {
        let mut state = Self::default();
        for line in head.values("tracestate") {
            state.length += line.len() + usize::from(state.sent);
            state.sent = true;
            // Empty members are legal, and no members.
            for member in line.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty()) {
                state.count += 1;
                if state.count > MOST {
                    continue;
                }
                match parse(member) {
                    Ok(member) => state.members.push(member),
                    Err(how) if state.malformed.iter().any(|(known, _)| *known == how.0) => {}
                    Err(how) => state.malformed.push(how),
                }
            }
        }
        state
    }

    /// Nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whoever receives this has to understand all of it.
    pub(super) fn is_legible(&self) -> bool {
        self.malformed.is_empty() && self.count <= MAX_MEMBERS
    }

    /// Everything that is in it was looked at.
    pub(super) fn is_known(&self) -> bool {
        self.count <= MOST
    }

    /// Whether one member alone has this key.
    pub(super) fn is_unique(&self, key: &str) -> bool {
        self.members.iter().filter(|member| member.key == key).count() == 1
    }

    /// The first member with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Member<'a>> {
        self.members.iter().find(|member| member.key == key)
    }

    /// The keys, as far as they fit into so many bytes.
    pub(super) fn keys(&self, cap: usize) -> String {
        let mut text = String::new();
        for member in &self.members {
            if text.len() + member.key.len() > cap {
                return text + "…";
            }
            text += if text.is_empty() { "" } else { "," };
            text += member.key;
        }
        text
    }

    /// What is wrong with the list by itself.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let fault =
            |rule, reason, key: Option<&str>| Fault { rule, reason, detail: key.map(|key| key.to_owned().into()) };
        let malformed =
            |(how, key): &(Malformed, Option<&str>)| fault(&rules::STATE_MALFORMED, Some(how.as_str()), *key);
        let mut faults: Vec<Fault> = self.malformed.iter().map(malformed).collect();
        let twice = self.members.iter().find(|member| !self.is_unique(member.key));
        faults.extend(twice.map(|member| fault(&rules::STATE_DUPLICATE_KEY, None, Some(member.key))));
        if self.count > MAX_MEMBERS {
            faults.push(fault(&rules::STATE_TOO_MANY_MEMBERS, None, None));
        }
        if self.sent && self.is_empty() {
            faults.push(fault(&rules::STATE_EMPTY, None, None));
        }
        faults
    }
}

fn parse(member: &[u8]) -> Result<Member<'_>, (Malformed, Option<&str>)> {
    let equals = member.iter().position(|&byte| byte == b'=').ok_or((Malformed::Delimiter, None))?;
    let (key, value) = member.split_at_checked(equals).ok_or((Malformed::Delimiter, None))?;
    let key = match std::str::from_utf8(key) {
        Ok(key) if is_key(key) => key,
        Ok(key) if key.len() > LONGEST && is_key(key.get(..LONGEST).unwrap_or_default()) => {
            return Err((Malformed::KeyLength, None));
        }
        _ => return Err((Malformed::Key, None)),
    };
    let value = value.strip_prefix(b"=").unwrap_or(value);
    let legal = value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'=');
    match std::str::from_utf8(value) {
        Ok(value) if legal && (1..=LONGEST).contains(&value.len()) => {
            Ok(Member { key, value: value.trim_matches(' '), length: member.len() })
        }
        Ok(_) if legal => Err((Malformed::ValueLength, Some(key))),
        _ => Err((Malformed::Value, Some(key))),
    }
}

fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= LONGEST && bytes.next().is_some_and(letter) && bytes.all(|b| letter(b) || b"_-*/@".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::testing::{head, names};
    use super::*;

    fn reasons(lines: &[&str]) -> Vec<(&'static str, Option<&'static str>)> {
        let head = head(&lines.iter().map(|line| ("tracestate", *line)).collect::<Vec<_>>());
        names(&TraceState::read(Fields(&head)).faults())
    }

    #[test]
    fn what_the_grammar_allows() {
        let longest = format!("{}={}", "k".repeat(256), "v".repeat(256));
        for lines in [
            &["a=1"][..],
            &["a=1,b=2", "c=3"],
            &["", "a=1", " "],
            &["a=1,,\t, b=2 \t,"],
            &["0a_-*/@=!~", "tenant@vendor= leading space"],
            &[longest.as_str()],
            &["a=1", ""],
        ] {
            assert_eq!(reasons(lines), [], "{lines:?}");
        }
        let many: Vec<_> = (0..32).map(|n| format!("k{n}=v")).collect();
        assert_eq!(reasons(&[&(many.join(",") + ",,,")]), []);
    }

    #[test]
    fn what_it_does_not() {
        let (long_key, long_value) = ("k".repeat(257) + "=1", "a=".to_owned() + &"v".repeat(257));
        for (line, reason) in [
            ("a", "delimiter"),
            ("a:1", "delimiter"),
            ("A=1", "key"),
            ("=1", "key"),
            ("a =1", "key"),
            ("_a=1", "key"),
            ("ä=1", "key"),
            (&long_key, "key_length"),
            ("a=", "value_length"),
            (&long_value, "value_length"),
            ("a=1=2", "value"),
            ("a=\u{e4}", "value"),
            ("a=1\t2", "value"),
        ] {
            assert_eq!(reasons(&[line]), [("tracestate_malformed", Some(reason))], "{line}");
        }
        assert_eq!(reasons(&["a=1,b=2", "a=1"]), [("tracestate_duplicate_key", None)]);
        assert_eq!(reasons(&["", " , "]), [("tracestate_empty", None)]);
        let many: Vec<_> = (0..33).map(|n| format!("k{n}=v")).collect();
        assert_eq!(reasons(&[&many.join(",")]), [("tracestate_too_many_members", None)]);
    }

    proptest! {
        #[test]
        fn members_come_back(
            members in prop::collection::btree_map("[a-z0-9][a-z0-9_*/@-]{0,20}", "[!-+\\--<>-~]{1,20}", 1..32),
            lines in 1usize..4,
        ) {
            let text: Vec<_> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let lines: Vec<_> = text.chunks(text.len().div_ceil(lines)).map(|line| line.join(" ,\t")).collect();
            let head = head(&lines.iter().map(|line| ("TraceState", line.as_str())).collect::<Vec<_>>());
            let state = TraceState::read(Fields(&head));
            prop_assert_eq!(state.faults(), []);
            prop_assert!(state.is_legible());
            let read: Vec<_> = state.members.iter().map(|m| (m.key.to_owned(), m.value.to_owned())).collect();
            prop_assert_eq!(read, members.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_will_do(lines: Vec<Vec<u8>>) {
            let head = lines.into_iter().map(|line| ("tracestate", line)).collect();
            let state = TraceState::read(Fields(&head));
            prop_assert!(state.members.len() <= MOST && state.faults().len() <= 8);
        }
    }
}
