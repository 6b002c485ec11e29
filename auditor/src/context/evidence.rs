//! What of a field may be shown: ids and flags as they are, of anything else its shape.

use super::format::Fields;

/// Longest evidence of one format, in bytes.
const LONGEST: usize = 512;
/// Longest piece of one value, in bytes.
const LONGEST_VALUE: usize = 128;
/// An id of 128 bits.
const LONGEST_ID: usize = 32;
/// What formats write out in letters.
const KEYWORDS: [&[u8]; 3] = [b"true", b"false", b"o"];

/// How the value of a field is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    /// Ids and flags, and the delimiters between them.
    Ids,
    /// Members `key=value` with this byte between two of them. Only the ones with these keys are shown.
    Members(u8, &'static [&'static str]),
    /// Users put values there: the name of the field is all.
    Name,
}

/// The fields that a head has of these, without the empty ones.
pub(super) fn evidence(head: Fields<'_>, fields: &[&str], show: impl Fn(&str) -> Show) -> String {
    let mut text = String::new();
    for name in fields {
        for value in head.values(name).filter(|value| !value.is_empty()) {
            if text.len() > LONGEST - LONGEST_VALUE - 64 {
                return text + "…";
            }
            if !text.is_empty() {
                text += ", ";
            }
            text += name;
            match show(name) {
                Show::Ids => {
                    text += ": ";
                    ids(value, &mut text);
                }
                Show::Members(delimiter, keys) => {
                    text += ": ";
                    members(value, delimiter, keys, &mut text);
                }
                Show::Name => {}
            }
        }
    }
    text
}

/// What can be an id, a flag or a keyword stays; letters and digits of anything else become `x` and `0`.
fn ids(value: &[u8], text: &mut String) {
    let cut = value.get(..LONGEST_VALUE).unwrap_or(value);
    for token in cut.chunk_by(|a, b| a.is_ascii_alphanumeric() == b.is_ascii_alphanumeric()) {
        let id = token.len() <= LONGEST_ID && token.iter().all(u8::is_ascii_hexdigit);
        let plain = id || KEYWORDS.iter().any(|word| token.eq_ignore_ascii_case(word));
        text.extend(token.iter().map(|&byte| match byte {
            b'0'..=b'9' if !plain => '0',
            b'a'..=b'z' | b'A'..=b'Z' if !plain => 'x',
            b' '..=b'~' => char::from(byte),
            _ => '?',
        }));
    }
    if cut.len() < value.len() {
        text.push('…');
    }
}

fn members(value: &[u8], delimiter: u8, keys: &[&str], text: &mut String) {
    let before = text.len();
    let mut others = false;
    for member in value.split(|&byte| byte == delimiter) {
        let known = keys.iter().find_map(|key| Some((key, member_value(member, key)?)));
        match known {
            Some((key, value)) if text.len() - before + key.len() + value.len() < LONGEST_VALUE => {
                if text.len() > before {
                    text.push(char::from(delimiter));
                }
                text.push_str(key);
                text.push('=');
                ids(value, text);
            }
            _ => others = true,
        }
    }
    if others {
        text.push('…');
    }
}

/// Value of a member if it has this key. Keys are compared without case, and white space around them is left out.
pub(super) fn member_value<'a>(member: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let (name, value) = member.split_at_checked(member.iter().position(|&byte| byte == b'=')?)?;
    let value = value.strip_prefix(b"=")?.trim_ascii();
    name.trim_ascii().eq_ignore_ascii_case(key.as_bytes()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str, show: fn(&str) -> Show) -> String {
        evidence(Fields(&head(&[("a", value)])), &["a"], show)
    }

    #[test]
    fn ids_stay_and_the_rest_is_a_shape() {
        for (value, text) in [
            (
                "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1",
                "a: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1",
            ),
            ("105445aa7843bc8bf206b12000100000/1;o=1", "a: 105445aa7843bc8bf206b12000100000/1;o=1"),
            ("true", "a: true"),
            ("undefined", "a: xxxxxxxxx"),
            ("Bearer hunter2secret", "a: xxxxxx xxxxxx0xxxxxx"),
            ("\u{1}ä", "a: ???"),
        ] {
            assert_eq!(shown(value, |_| Show::Ids), text);
        }
        let members = |_: &str| Show::Members(b';', &["root"]);
        assert_eq!(shown("Root=1-a-b; user=jane;x", members), "a: root=1-a-b…");
        assert_eq!(shown("jane", members), "a: …");
        assert_eq!(shown("jane", |_| Show::Name), "a");
    }

    proptest! {
        #[test]
        fn it_is_bounded(values: Vec<Vec<u8>>) {
            let head = values.into_iter().map(|value| ("a", value)).collect();
            for show in [|_: &str| Show::Ids, |_: &str| Show::Members(b';', &["a"]), |_: &str| Show::Name] {
                prop_assert!(evidence(Fields(&head), &["a"], show).len() <= LONGEST);
            }
        }
    }
}
