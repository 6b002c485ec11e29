//! The methods that begin a request here.
//!
//! A closed list, because a head is looked for wherever one is due: should the framing of a connection be wrong, the
//! bytes there are somebody's body, and no word of it may travel on as a "method".

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

/// The longest first word of a head.
pub(super) const LONGEST: usize = 17;

/// Whether a head can begin with these bytes: a method, or the version of a response, or the beginning of one.
pub(super) fn can_begin(word: &[u8]) -> bool {
    b"HTTP/1.1".starts_with(word)
        || b"HTTP/1.0".starts_with(word)
        || METHODS.iter().any(|method| method.as_bytes().starts_with(word))
}
