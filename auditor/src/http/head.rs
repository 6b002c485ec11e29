//! Reads a complete head.
//!
//! `httparse` refuses what real servers accept: folded lines, bare LF, white space around names, odd bytes in values
//! nobody asks for. So it is asked for the first line alone, and the lines of the fields that are needed are put straight.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr;

use super::fields::{Field, Structural};
use super::lines::Noted;
use super::{Body, Kind, Policy, affinity, mask, method};
use crate::exchange::RequestHead;

/// Audited fields of one request that are kept. A head has room for thousands of empty ones, and each costs 64 bytes.
const MOST_FIELDS: usize = 512;

/// A head that no reading makes sense of: nothing may be concluded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unparsable {
    /// `httparse` refused it.
    #[error("not an HTTP/1 head: {0}")]
    Syntax(#[from] httparse::Error),
    /// A line that a lenient server might read as an audited field, and a strict one might not.
    #[error("a line can be read in two ways")]
    Ambiguous,
}

/// What a head asks the connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// `CONNECT`.
    Connect,
    /// HTTP/2 without TLS.
    Http2,
    /// Anything else, such as WebSocket.
    Other,
}

/// How the message goes on after its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No field says.
    Unsaid,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The fields contradict each other or are malformed.
    Unclear,
}

/// A request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedRequest {
    /// What travels on.
    pub head: RequestHead,
    /// It has more audited fields than are kept.
    pub crowded: bool,
    /// What its fields say of the body.
    pub framing: Framing,
    /// What it asks for.
    pub upgrade: Option<Upgrade>,
    /// It is the HTTP/2 preface and no request at all.
    pub http2_preface: bool,
}

/// A response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedResponse {
    /// Status code.
    pub status: u16,
    /// What its fields say of the body.
    pub framing: Framing,
}

impl ParsedRequest {
    /// What follows the head.
    pub fn body(&self) -> Body {
        match self.framing {
            // What comes next may already be the other protocol; the response tells.
            _ if self.upgrade.is_some() => Body::Unknown,
            Framing::Unsaid => Body::Length(0),
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked,
            Framing::Unclear => Body::Unknown,
        }
    }
}

impl ParsedResponse {
    /// What follows the head. `to_head`: whether it answers a HEAD request, where that is known.
    pub fn body(&self, to_head: Option<bool>) -> Body {
        match self.framing {
            _ if matches!(self.status, 100..=199 | 204 | 304) || to_head == Some(true) => Body::Length(0),
            Framing::Length(0) => Body::Length(0),
            // If it answers a HEAD request then no body follows whatever the fields say.
            _ if to_head.is_none() => Body::Unknown,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked,
            Framing::Unsaid | Framing::Unclear => Body::Unknown,
        }
    }
}

/// Reads the head of a request. Of a head that is not `whole` the last, unfinished line is left out. `noted`: its lines, if
/// all that are needed are noted.
///
/// # Errors
/// When it makes no sense.
pub fn parse_request(
    bytes: &[u8],
    whole: bool,
    noted: Option<&Noted>,
    policy: &Policy,
) -> Result<ParsedRequest, Unparsable> {
    let lines = match noted {
        Some(noted) => Lines::noted(bytes, noted),
        None => Lines::read(bytes, whole, Kind::Request, policy)?,
    };
    if lines.start.starts_with(b"PRI * HTTP/2.0") {
        let framing = Framing::Unclear;
        return Ok(ParsedRequest {
            head: RequestHead::default(),
            crowded: false,
            framing,
            upgrade: None,
            http2_preface: true,
        });
    }
    let start = lines.start();
    let mut request = httparse::Request::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config.allow_multiple_spaces_in_request_line_delimiters(true);
    config.parse_request(&mut request, &start)?;
    // It is not complete, but all of it was read.
    let (Some(method), Some(target), Some(minor_version)) = (request.method, request.path, request.version) else {
        return Err(Unparsable::Syntax(httparse::Error::Version));
    };
    let (target, query) = target.split_once(['?', '#']).unwrap_or((target, ""));
    // Whom to connect to is masked.
    let path = if method == "CONNECT" { "*" } else { path(target) };
    let (fields, crowded) = lines.audited();
    let structure = Structure::of(&lines);
    let text = |value: &[u8]| String::from_utf8_lossy(value).into();
    let head = RequestHead {
        method: method::known(method).map_or_else(|| method.to_owned().into(), Cow::from),
        path: path.into(),
        minor_version,
        host: structure.host.as_deref().map(text),
        user_agent: structure.user_agent.as_deref().map(|value| text(value.get(..256).unwrap_or(value))),
        fields,
        affinity: affinity::values(path, query.as_bytes(), lines.iter().map(|(_, value, field)| (field, value))),
    };
    let upgrade = if method == "CONNECT" { Some(Upgrade::Connect) } else { structure.upgrade };
    Ok(ParsedRequest { head, crowded, framing: structure.framing(), upgrade, http2_preface: false })
}

/// Reads the head of a response; `noted` as for a request.
///
/// # Errors
/// When it makes no sense.
pub fn parse_response(bytes: &[u8], noted: Option<&Noted>, policy: &Policy) -> Result<ParsedResponse, Unparsable> {
    let lines = match noted {
        Some(noted) => Lines::noted(bytes, noted),
        None => Lines::read(bytes, true, Kind::Response, policy)?,
    };
    let start = lines.start();
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config.allow_multiple_spaces_in_response_status_delimiters(true);
    config.parse_response(&mut response, &start)?;
    let status = response.code.ok_or(httparse::Error::Status)?;
    Ok(ParsedResponse { status, framing: Structure::of(&lines).framing() })
}

/// An absolute target's path; its authority is masked.
fn path(target: &str) -> &str {
    // As a rule it is nothing else.
    if target.starts_with('/') {
        return target;
    }
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        _ => target,
    }
}

/// What the fields say that are needed of any head.
#[derive(Default)]
struct Structure<'a> {
    host: Option<Cow<'a, [u8]>>,
    user_agent: Option<Cow<'a, [u8]>>,
    upgrade: Option<Upgrade>,
    /// Lengths that differ are no length.
    length: Option<Result<u64, ()>>,
    chunked: Option<bool>,
}

impl<'a> Structure<'a> {
    fn of(lines: &'a Lines<'_>) -> Self {
        let mut all = Self::default();
        for (what, value) in lines.iter().filter_map(|(_, value, field)| Some((field.structural?, value))) {
            match what {
                Structural::Host if all.host.is_none() => all.host = Some(legal(value)),
                Structural::UserAgent if all.user_agent.is_none() => all.user_agent = Some(legal(value)),
                Structural::Upgrade => {
                    let value = legal(value);
                    let mut parts = value.split(|&byte| byte == b',');
                    let http2 = parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(b"h2c"));
                    all.upgrade = Some(if http2 { Upgrade::Http2 } else { Upgrade::Other });
                }
                Structural::TransferEncoding => {
                    let value = legal(value);
                    let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
                    all.chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
                }
                Structural::ContentLength => legal(value).split(|&byte| byte == b',').for_each(|v| all.length(v)),
                _ => {}
            }
        }
        all
    }

    fn length(&mut self, value: &[u8]) {
        self.length = match (digits(value.trim_ascii()), self.length) {
            (None, _) => Some(Err(())),
            (Some(value), None) => Some(Ok(value)),
            (Some(value), Some(Ok(before))) if value == before => self.length,
            (Some(_), Some(_)) => Some(Err(())),
        };
    }

    /// RFC 9112, 6.3: `Transfer-Encoding` beats `Content-Length`.
    fn framing(&self) -> Framing {
        match (self.chunked, self.length) {
            (Some(true), _) => Framing::Chunked,
            (Some(false), _) | (None, Some(Err(()))) => Framing::Unclear,
            (None, Some(Ok(length))) => Framing::Length(length),
            (None, None) => Framing::Unsaid,
        }
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A head put straight: the start line and the lines of the listed fields, unfolded.
struct Lines<'a> {
    start: &'a [u8],
    /// Where they were noted, those of this head.
    noted: Option<(&'a Noted, &'a [u8])>,
    /// Otherwise, as they were read.
    read: Vec<Line<'a>>,
}

struct Line<'a> {
    name: &'a [u8],
    value: Cow<'a, [u8]>,
    field: Field,
}

impl<'a> Lines<'a> {
    fn noted(head: &'a [u8], noted: &'a Noted) -> Self {
        let start = split(head).next().unwrap_or_default().trim_ascii();
        Self { start, noted: Some((noted, head)), read: Vec::new() }
    }

    /// Names and values.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], Field)> {
        let read = self.read.iter().map(|line| (line.name, &*line.value, line.field));
        self.noted.into_iter().flat_map(|(noted, head)| noted.lines(head)).chain(read)
    }

    fn read(bytes: &'a [u8], whole: bool, kind: Kind, policy: &Policy) -> Result<Self, Unparsable> {
        let mut lines = split(bytes).filter(|line| whole || line.ends_with(b"\n"));
        let start = lines.next().unwrap_or_default().trim_ascii();
        let mut fields: Vec<Line<'_>> = Vec::new();
        let needed = |field: &Field| kind == Kind::Request || field.structural.is_some();
        // Whether a folded line continues the last of `fields`, a field that is not needed, or no field at all.
        let mut last = Last::Start;
        for line in lines {
            let folded = line.first().is_some_and(|&byte| byte == b' ' || byte == b'\t');
            let line = line.trim_ascii_end();
            if line.is_empty() && !folded {
                continue;
            }
            if folded {
                match (last, fields.last_mut()) {
                    (Last::Start, _) => return Err(Unparsable::Ambiguous),
                    (Last::Needed, Some(Line { value, .. })) => {
                        let value = value.to_mut();
                        value.push(b' ');
                        value.extend_from_slice(line.trim_ascii());
                    }
                    _ => {}
                }
                continue;
            }
            let (name, value) = match memchr(b':', line) {
                Some(colon) => (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default()),
                None => (line, b"".as_slice()),
            };
            let is_name = name.len() < line.len();
            let name = name.trim_ascii();
            let is_name = is_name && name.iter().all(|&byte| mask::is_token(byte));
            if is_name && let Some(field) = policy.field(name).filter(needed) {
                fields.push(Line { name, value: value.trim_ascii().into(), field });
                last = Last::Needed;
            } else if !is_name && kind == Kind::Request && policy.mentions_audited(line) {
                return Err(Unparsable::Ambiguous);
            } else {
                last = Last::Skipped;
            }
        }
        Ok(Self { start, noted: None, read: fields })
    }

    /// What `httparse` is to read.
    fn start(&self) -> Cow<'a, [u8]> {
        if std::str::from_utf8(self.start).is_ok() {
            return self.start.into();
        }
        self.start.iter().map(|&byte| if byte.is_ascii() { byte } else { b'_' }).collect()
    }

    /// Names and values of the audited fields: slices of one piece of memory, since many requests are held; and whether
    /// there are more than are kept.
    fn audited(&self) -> (Arc<[(Bytes, Bytes)]>, bool) {
        let audited = || self.iter().filter(|(_, _, field)| field.audited);
        let (count, size) =
            audited().fold((0, 0), |(count, size), (name, value, _)| (count + 1, size + name.len() + value.len()));
        let mut all = Vec::with_capacity(size);
        let kept = || audited().take(MOST_FIELDS);
        for (name, value, _) in kept() {
            all.extend_from_slice(name);
            all.extend(value.iter().map(legal_byte));
        }
        let (mut all, mut kept) = (Bytes::from(all), kept());
        let mut field = |_| {
            let (name, value, _) = kept.next().unwrap_or_default();
            (all.split_to(name.len()), all.split_to(value.len()))
        };
        ((0..count.min(MOST_FIELDS)).map(&mut field).collect(), count > MOST_FIELDS)
    }
}

/// A value as it is read.
fn legal(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if value.iter().all(|byte| legal_byte(byte) == *byte) {
        value.into()
    } else {
        value.iter().map(legal_byte).collect()
    }
}

/// The lines, each with its end.
fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (line, rest) = bytes.split_at_checked(end)?;
        bytes = rest;
        (!line.is_empty()).then_some(line)
    })
}

/// A control byte makes any value malformed, and so does a question mark any audited value.
fn legal_byte(byte: &u8) -> u8 {
    if byte.is_ascii_control() && *byte != b'\t' { b'?' } else { *byte }
}

#[derive(Clone, Copy)]
enum Last {
    Start,
    Needed,
    Skipped,
}

#[cfg(test)]
mod tests;
