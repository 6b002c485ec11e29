//! W3C Baggage: members `key=value;property` with commas between them, on one or several lines. And what Jaeger had before
//! it: a field `uberctx-{key}` for every member.
//!
//! <https://www.w3.org/TR/baggage/>. Values are the users' own: nothing of them is ever shown.

mod list;
pub mod rules;
#[cfg(test)]
mod tests;

use super::format::{Cargo, Comparison, Fault, Fields, Format, Level, Reading, Status};
use crate::rule::Rule;
use list::{List, shown};
use rules::{DROPPED, MALFORMED, MEMBER_REMOVED, MEMBER_TRUNCATED};

/// Earlier drafts let a member be dropped that is larger, and so do SDKs.
const LARGE: usize = 4096;
/// Who cuts a header does so at a number of bytes that holds some.
const SHORTEST_CUT: usize = 64;

/// `baggage`.
pub static BAGGAGE: Baggage = Baggage {
    name: "baggage",
    fields: &["baggage", list::CORRELATION_CONTEXT],
    prefixes: &[],
    members: list::w3c,
    elsewhere: list::beside_w3c,
    rules: &rules::ALL,
};

/// `uberctx-*` of Jaeger: <https://www.jaegertracing.io/docs/1.21/client-libraries/#baggage>.
pub static UBERCTX: Baggage = Baggage {
    name: "uberctx",
    fields: &[],
    prefixes: &[list::UBERCTX],
    members: list::uberctx,
    elsewhere: list::w3c,
    rules: &[&DROPPED, &MEMBER_REMOVED],
};

/// A way to write baggage.
#[derive(Debug)]
pub struct Baggage {
    name: &'static str,
    fields: &'static [&'static str],
    prefixes: &'static [&'static str],
    /// The members of a head.
    members: fn(Fields<'_>) -> List<'_>,
    /// Those that are written the other way: a member that goes on there is not lost.
    elsewhere: fn(Fields<'_>) -> List<'_>,
    rules: &'static [&'static Rule],
}

impl Format for Baggage {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cargo(&self) -> Cargo {
        Cargo::Baggage
    }

    fn fields(&self) -> &'static [&'static str] {
        self.fields
    }

    fn prefixes(&self) -> &'static [&'static str] {
        self.prefixes
    }

    fn read(&self, head: Fields<'_>, _: Level) -> Option<Reading> {
        let list = (self.members)(head);
        let malformed = |reason: &&'static str| Fault { rule: &MALFORMED, reason: Some(reason), detail: None };
        let faults = list.malformed.iter().map(malformed).collect();
        list.carries().then(|| Reading { faults, ..Reading::default() })
    }

    fn evidence(&self, head: Fields<'_>) -> String {
        (self.members)(head).evidence()
    }

    fn compare(&self, received: Fields<'_>, sent: Fields<'_>, _: Level) -> Comparison {
        let (received, elsewhere) = ((self.members)(received), (self.elsewhere)(sent));
        let sent = (self.members)(sent);
        let status = match status(&received, &sent) {
            Status::Dropped | Status::Restarted if received.shares(&elsewhere) => Status::Continued,
            status => status,
        };
        let changed = matches!(status, Status::Continued | Status::Restarted);
        let judged = changed.then(|| judge(&received, &sent, &elsewhere)).flatten();
        Comparison { status, faults: judged.into_iter().collect() }
    }

    fn dropped(&self) -> Option<&'static Rule> {
        Some(&DROPPED)
    }

    fn rules(&self) -> &'static [&'static Rule] {
        self.rules
    }
}

fn status(received: &List<'_>, sent: &List<'_>) -> Status {
    match (received.carries(), sent.carries()) {
        (false, false) => Status::Absent,
        (false, true) => Status::Started,
        // What is malformed or too long need not be propagated.
        (true, false) if !received.malformed.is_empty() || received.is_over(0, 0) => Status::Unknown,
        (true, false) if received.members.iter().all(|member| member.text.len() > LARGE) => Status::Unknown,
        (true, false) => Status::Dropped,
        _ if (received.count, &received.members) == (sent.count, &sent.members) => Status::PassedThrough,
        _ if received.shares(sent) => Status::Continued,
        _ => Status::Restarted,
    }
}

/// What was done to a list. Members may be added and updated, in any order.
fn judge(received: &List<'_>, sent: &List<'_>, elsewhere: &List<'_>) -> Option<Fault> {
    let fault = |rule, key: &str| Some(Fault { rule, reason: None, detail: Some(shown(key).into()) });
    if received.one_text
        && let Some(key) = cut(received, sent)
    {
        return fault(&MEMBER_TRUNCATED, key);
    }
    if [received, sent, elsewhere].iter().any(|list| !list.malformed.is_empty()) {
        return None;
    }
    let gone: Vec<_> = received.members.iter().filter(|m| !sent.has(m.key) && !elsewhere.has(m.key)).collect();
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
    // Who drops properties does not cut.
    let rest = whole.text.strip_prefix(last.text).map(<[u8]>::trim_ascii_start).unwrap_or_default();
    let shorter = !rest.is_empty() && !rest.starts_with(b";");
    let ended = received.members.len() > sent.members.len() && !before.is_empty() && sent.length >= SHORTEST_CUT;
    (same && shorter && ended).then_some(whole.key)
}
