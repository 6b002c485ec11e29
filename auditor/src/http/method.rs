//! The methods that begin a request here.
//!
//! A closed list, because a head is looked for wherever one is due: should the framing of a connection be wrong, the
//! bytes there are somebody's body, and no word of it may travel on as a "method".

use super::trie::Trie;

/// IANA's registry, UPnP, and what caches understand.
const METHODS: [&str; 47] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "PRI",
    "ACL",
    "BAN",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "REFRESH",
];

/// The method as text that nobody has to allocate, if it is one of those.
pub(super) fn known(method: &str) -> Option<&'static str> {
    METHODS.into_iter().find(|known| *known == method)
}

/// The first word of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstWord {
    /// Of a request.
    Method(&'static str),
    /// Of a request for a tunnel.
    Connect,
    /// Of a response.
    Version,
}

/// How a head can begin.
pub(super) fn first_words() -> Trie<FirstWord> {
    let versions = ["HTTP/1.0", "HTTP/1.1"];
    let mut words = Trie::new(METHODS.into_iter().chain(versions), false);
    METHODS.iter().for_each(|method| words.insert(method, FirstWord::Method(method), false));
    words.insert("CONNECT", FirstWord::Connect, false);
    versions.iter().for_each(|version| words.insert(version, FirstWord::Version, false));
    words
}
