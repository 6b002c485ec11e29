//! W3C Baggage: members `key=value;property` with commas between them, on one or several lines.
//!
//! <https://www.w3.org/TR/baggage/>. Values are the users' own: nothing of them is ever shown.

pub mod rules;
#[cfg(test)]
mod tests;

use super::format::{Cargo, Comparison, Fault, Fields, Format, Level, Reading, Status};
use crate::rule::Rule;
use rules::{DROPPED, MALFORMED, MEMBER_REMOVED, MEMBER_TRUNCATED};

/// Up to this many members, and this many bytes, everybody has to propagate.
const MEMBERS: usize = 64;
const BYTES: usize = 8192;
/// Members that are looked at; beyond, nothing is compared.
const MOST: usize = 4 * MEMBERS;
/// Earlier drafts let a member be dropped that is larger, and so do SDKs.
const LARGE: usize = 4096;
/// Who cuts a header does so at a number of bytes that holds some.
const SHORTEST_CUT: usize = 64;
/// Longest list of keys that is kept as evidence, and longest key in it, in bytes.
const KEYS_CAP: usize = 500;
const KEY_CAP: usize = 64;

/// `baggage`.
pub static BAGGAGE: Baggage = Baggage;

/// The format; see [`BAGGAGE`].
#[derive(Clone, Copy, Debug)]
pub struct Baggage;

impl Format for Baggage {
    fn name(&self) -> &'static str {
        "baggage"
    }

    fn cargo(&self) -> Cargo {
        Cargo::Baggage
    }

    fn fields(&self) -> &'static [&'static str] {
        &["baggage"]
    }

    fn read(&self, head: Fields<'_>, _: Level) -> Option<Reading> {
        let list = List::read(head);
        let malformed = |reason: &&'static str| Fault { rule: &MALFORMED, reason: Some(reason), detail: None };
        let faults = list.malformed.iter().map(malformed).collect();
        list.carries().then(|| Reading { identity: None, faults, evidence: list.evidence() })
    }

    fn compare(&self, received: Fields<'_>, sent: Fields<'_>, _: Level) -> Comparison {
        let (received, sent) = (List::read(received), List::read(sent));
        let status = status(&received, &sent);
        let judged = matches!(status, Status::Continued | Status::Restarted).then(|| judge(&received, &sent)).flatten();
        Comparison { status, faults: judged.into_iter().collect() }
    }

    fn dropped(&self) -> Option<&'static Rule> {
        Some(&DROPPED)
    }

    fn rules(&self) -> &'static [&'static Rule] {
        &rules::ALL
    }
}

fn status(received: &List<'_>, sent: &List<'_>) -> Status {
    match (received.carries(), sent.carries()) {
        (false, false) => Status::Absent,
        (false, true) => Status::Started,
        // What is malformed or too long need not be propagated.
        (true, false) if !received.malformed.is_empty() || received.is_over(0, 0) => Status::Unknown,
        (true, false) => Status::Dropped,
        _ if (received.count, &received.members) == (sent.count, &sent.members) => Status::PassedThrough,
        _ if sent.members.iter().any(|member| received.has(member.key)) => Status::Continued,
        _ => Status::Restarted,
    }
}

/// What was done to a list. Members may be added and updated, in any order.
fn judge(received: &List<'_>, sent: &List<'_>) -> Option<Fault> {
    let fault = |rule, key: &str| Some(Fault { rule, reason: None, detail: Some(shown(key).into()) });
    if let Some(key) = cut(received, sent) {
        return fault(&MEMBER_TRUNCATED, key);
    }
    if !received.malformed.is_empty() || !sent.malformed.is_empty() {
        return None;
    }
    let gone: Vec<_> = received.members.iter().filter(|member| !sent.has(member.key)).collect();
    if sent.is_over(gone.len(), gone.iter().map(|member| member.text.len() + 1).sum()) || received.is_over(0, 0) {
        return None;
    }
    fault(&MEMBER_REMOVED, gone.iter().find(|member| member.text.len() <= LARGE)?.key)
}

/// Key of the member in which the list of a call ends although that of the request goes on, after the same bytes. A
/// value may also be updated, so the members behind it must be gone as well.
fn cut<'a>(received: &List<'a>, sent: &List<'_>) -> Option<&'a str> {
    let (last, before) = sent.members.split_last()?;
    let whole = received.members.get(before.len())?;
    let same = received.members.starts_with(before) && whole.key == last.key;
    let shorter = whole.text.len() > last.text.len() && whole.text.starts_with(last.text);
    let ended = received.members.len() > sent.members.len() && !before.is_empty() && sent.length >= SHORTEST_CUT;
    (same && shorter && ended).then_some(whole.key)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member<'a> {
    key: &'a str,
    /// All of it, without the whitespace around it.
    text: &'a [u8],
}

/// The members of a head.
#[derive(Debug, Default)]
struct List<'a> {
    /// The well-formed ones.
    members: Vec<Member<'a>>,
    /// Each way in which others are not, once.
    malformed: Vec<&'static str>,
    /// Members, well-formed or not, looked at or not.
    count: usize,
    /// Bytes of all lines, joined by commas.
    length: usize,
}

impl<'a> List<'a> {
    fn read(head: Fields<'a>) -> Self {
        let mut list = Self::default();
        for line in head.values("baggage") {
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

    fn carries(&self) -> bool {
        self.count > 0
    }

    fn has(&self, key: &str) -> bool {
        self.members.iter().any(|member| member.key == key)
    }

    /// With so much more it is above what everybody has to propagate.
    fn is_over(&self, members: usize, bytes: usize) -> bool {
        self.count + members > MEMBERS || self.length + bytes > BYTES
    }

    fn evidence(&self) -> String {
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
fn shown(key: &str) -> String {
    key.get(..KEY_CAP).unwrap_or(key).to_owned()
}

/// The key of a well-formed member.
fn key(member: &[u8]) -> Result<&str, &'static str> {
    let mut parts = member.split(|&byte| byte == b';');
    let (key, value) = pair(parts.next().unwrap_or_default());
    let value = value.ok_or("delimiter")?;
    if !is_token(key) {
        return Err("key");
    }
    if !value.iter().all(is_octet) {
        return Err("value");
    }
    for property in parts {
        let (key, value) = pair(property);
        // An empty one comes from a `;` at the end.
        let key = key.is_empty() && value.is_none() || is_token(key);
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

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Printable, and none of `"`, `,`, `;` and `\`.
fn is_octet(byte: &u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}
