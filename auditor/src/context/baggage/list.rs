//! The members of baggage in a head, however they are written there.

use super::super::format::Fields;
use crate::http::is_token;

/// Up to this many members, and this many bytes, everybody has to propagate.
const MEMBERS: usize = 64;
const BYTES: usize = 8192;
/// Members that are looked at; beyond, nothing is compared.
const MOST: usize = 4 * MEMBERS;
/// Longest list of keys that is kept as evidence, and longest key in it, in bytes.
pub(super) const KEYS_CAP: usize = 500;
const KEY_CAP: usize = 64;
/// What the names of Jaeger's fields begin with; the key follows.
pub(super) const UBERCTX: &str = "uberctx-";
/// What the field was called in a draft. .NET before version 10 reads `baggage` and sends this one.
pub(super) const CORRELATION_CONTEXT: &str = "correlation-context";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) key: &'a str,
    /// All of it, without the whitespace around it.
    pub(super) text: &'a [u8],
}

/// The members of a head.
#[derive(Debug, Default)]
pub(super) struct List<'a> {
    /// The well-formed ones.
    pub(super) members: Vec<Member<'a>>,
    /// Each way in which others are not, once.
    pub(super) malformed: Vec<&'static str>,
    /// Members, well-formed or not, looked at or not.
    pub(super) count: usize,
    /// They stand in one text, which can be cut anywhere.
    pub(super) one_text: bool,
    /// Bytes of all values, joined by commas, or of all fields.
    pub(super) length: usize,
}

/// The members of W3C Baggage.
pub(super) fn w3c(head: Fields<'_>) -> List<'_> {
    members(head, "baggage")
}

/// Those that go on otherwise.
pub(super) fn beside_w3c(head: Fields<'_>) -> List<'_> {
    let mut list = uberctx(head);
    list.members.extend(members(head, CORRELATION_CONTEXT).members);
    list
}

fn members<'a>(head: Fields<'a>, name: &str) -> List<'a> {
    let mut list = List { one_text: true, ..List::default() };
    for line in head.values(name) {
        list.length += line.len() + usize::from(list.length > 0);
        // Lists may have empty members everywhere in HTTP.
        for text in line.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()) {
            list.count += 1;
            match key(text) {
                _ if list.count > MOST => {}
                Ok(key) => list.members.push(Member { key, text }),
                Err(reason) if list.malformed.contains(&reason) => {}
                Err(reason) => list.malformed.push(reason),
            }
        }
    }
    list
}

/// Those of Jaeger: a field each. An empty one says nothing.
pub(super) fn uberctx(head: Fields<'_>) -> List<'_> {
    let mut list = List::default();
    for (name, value) in head.0 {
        let Some((prefix, key)) = name.split_at_checked(UBERCTX.len()) else { continue };
        let (text, key) = (value.trim_ascii(), std::str::from_utf8(key).unwrap_or_default());
        if !prefix.eq_ignore_ascii_case(UBERCTX.as_bytes()) || !is_name(key.as_bytes()) || text.is_empty() {
            continue;
        }
        list.count += 1;
        list.length += name.len() + text.len();
        if list.count <= MOST {
            list.members.push(Member { key, text });
        }
    }
    list
}

impl List<'_> {
    pub(super) fn carries(&self) -> bool {
        self.count > 0
    }

    pub(super) fn has(&self, key: &str) -> bool {
        // On their way names of fields may lose their case, and with them Jaeger's keys.
        self.members.iter().any(|member| member.key.eq_ignore_ascii_case(key))
    }

    pub(super) fn shares(&self, other: &List<'_>) -> bool {
        self.members.iter().any(|member| other.has(member.key))
    }

    /// With so much more it is above what everybody has to propagate.
    pub(super) fn is_over(&self, members: usize, bytes: usize) -> bool {
        self.count + members > MEMBERS || self.length + bytes > BYTES
    }

    pub(super) fn evidence(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            if text.len() + KEY_CAP > KEYS_CAP {
                break;
            }
            text += if text.is_empty() { "" } else { "," };
            text += &shown(member.key);
        }
        let shown = text.split_terminator(',').count();
        if shown < self.count { text + "…" } else { text }
    }
}

/// A key is ASCII, and may be long.
pub(super) fn shown(key: &str) -> String {
    key.get(..KEY_CAP).unwrap_or(key).to_owned()
}

/// The key of a well-formed member.
fn key(member: &[u8]) -> Result<&str, &'static str> {
    let mut parts = member.split(|&byte| byte == b';');
    let (key, value) = pair(parts.next().unwrap_or_default());
    let value = value.ok_or("delimiter")?;
    if !is_name(key) {
        return Err("key");
    }
    if !value.iter().all(is_octet) {
        return Err("value");
    }
    for property in parts {
        let (key, value) = pair(property);
        // An empty one comes from a `;` at the end.
        let key = key.is_empty() && value.is_none() || is_name(key);
        if !key || !value.unwrap_or_default().iter().all(is_octet) {
            return Err("property");
        }
    }
    std::str::from_utf8(key).map_err(|_| "key")
}

/// What stands on both sides of the first `=`.
fn pair(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut sides = text.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
    (sides.next().unwrap_or_default(), sides.next())
}

fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token(byte))
}

/// Printable, and none of `"`, `,`, `;` and `\`.
fn is_octet(byte: &u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}
