//! Reads a complete head.
//!
//! `httparse` refuses what real servers accept: folded lines, bare LF, white space around names, odd bytes in values
//! nobody asks for. So it is asked for the first line alone, and the lines of the fields that are needed are put straight.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::fields::{Field, Structural};
use super::first_line::FirstLine;
use super::lines::{Line, Noted};
use super::{Body, Kind, Policy, affinity, mask, method, replace};
use crate::exchange::{FieldLines, RequestHead};

/// Audited fields of one request that are kept. A head has room for thousands of empty ones, and each is looked at again
/// and again.
const MOST_FIELDS: usize = 512;

/// A head that no reading makes sense of: nothing may be concluded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unparsable {
    /// `httparse` refused it.
    #[error("not an HTTP/1 head: {0}")]
    Syntax(#[from] httparse::Error),
    /// A line that is no field, whatever a lenient server might read it as.
    #[error("a line is no field")]
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
/// all that are needed are noted. `sent`: the process sends it, so what is no field is told from no request.
///
/// # Errors
/// When it makes no sense.
pub fn parse_request(
    bytes: &[u8],
    whole: bool,
    sent: bool,
    noted: Option<&Noted>,
    policy: &Policy,
) -> Result<ParsedRequest, Unparsable> {
    let Some(noted) = noted else {
        let (start, lines) = straighten(bytes, whole, Kind::Request, sent, policy)?;
        return odd_request(start, lines.iter().map(Folded::line));
    };
    let Some(FirstLine::Request { method, path, query, minor_version }) = noted.first() else {
        return odd_request(first_of(bytes), noted.lines(bytes));
    };
    let part = |part: &Range<usize>| bytes.get(part.clone()).unwrap_or_default();
    // It is printable ASCII.
    let path = std::str::from_utf8(part(path)).unwrap_or_default();
    Ok(request((*method).into(), path, part(query), *minor_version, noted.lines(bytes)))
}

/// With whatever first line.
fn odd_request<'a>(start: &[u8], lines: impl Iterator<Item = Line<'a>> + Clone) -> Result<ParsedRequest, Unparsable> {
    if start.starts_with(b"PRI * HTTP/2.0") {
        let (head, framing) = (RequestHead::default(), Framing::Unclear);
        return Ok(ParsedRequest { head, crowded: false, framing, upgrade: None, http2_preface: true });
    }
    let start = text(start);
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
    let method = method::known(method).map_or_else(|| method.to_owned().into(), Cow::from);
    Ok(self::request(method, path, query.as_bytes(), minor_version, lines))
}

/// With this first line.
fn request<'a>(
    method: Cow<'static, str>,
    path: &str,
    query: &[u8],
    minor_version: u8,
    lines: impl Iterator<Item = Line<'a>> + Clone,
) -> ParsedRequest {
    let mut structure = Structure::default();
    let mut count = 0;
    for line in lines.clone() {
        structure.add(&line);
        count += usize::from(line.field.audited);
    }
    let audited = lines.clone().filter(|line| line.field.audited).take(MOST_FIELDS);
    let text =
        |value: &[u8]| std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value).into(), Box::from);
    let path = without_parameters(path);
    let head = RequestHead {
        path: (&*path).into(),
        minor_version,
        host: structure.host.as_deref().map(text),
        user_agent: structure.user_agent.as_deref().map(|value| text(value.get(..256).unwrap_or(value))),
        fields: FieldLines::gather(audited.map(|line| (line.name, line.value)), |value| {
            replace::others(value, b'?', is_legal)
        }),
        affinity: affinity::values(&path, query, lines.map(|line| (line.field, line.value))),
        method,
    };
    let upgrade = if head.method == "CONNECT" { Some(Upgrade::Connect) } else { structure.upgrade };
    ParsedRequest { head, crowded: count > MOST_FIELDS, framing: structure.framing(), upgrade, http2_preface: false }
}

/// Reads the head of a response; `noted` as for a request.
///
/// # Errors
/// When it makes no sense.
pub fn parse_response(bytes: &[u8], noted: Option<&Noted>, policy: &Policy) -> Result<ParsedResponse, Unparsable> {
    let Some(noted) = noted else {
        let (start, lines) = straighten(bytes, true, Kind::Response, false, policy)?;
        let framing = Structure::of(lines.iter().map(Folded::line)).framing();
        return Ok(ParsedResponse { status: odd_status(start)?, framing });
    };
    let status = match noted.first() {
        Some(FirstLine::Response { status }) => *status,
        _ => odd_status(first_of(bytes))?,
    };
    Ok(ParsedResponse { status, framing: Structure::of(noted.lines(bytes)).framing() })
}

fn odd_status(start: &[u8]) -> Result<u16, httparse::Error> {
    let start = text(start);
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config.allow_multiple_spaces_in_response_status_delimiters(true);
    config.parse_response(&mut response, &start)?;
    response.code.ok_or(httparse::Error::Status)
}

/// What `httparse` is to read.
fn text(start: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(start).is_ok() {
        return start.into();
    }
    start.iter().map(|&byte| if byte.is_ascii() { byte } else { b'_' }).collect()
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

/// Parameters of segments (RFC 3986, 3.3) say as much of who asks as a query does: `;jsessionid=`. They are masked already.
fn without_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') {
        return path.into();
    }
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.collect::<Vec<_>>().join("/").into()
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
    fn of(lines: impl Iterator<Item = Line<'a>>) -> Self {
        let mut all = Self::default();
        lines.for_each(|line| all.add(&line));
        all
    }

    fn add(&mut self, line: &Line<'a>) {
        let value = line.value;
        match line.field.structural {
            Some(Structural::Host) if self.host.is_none() => self.host = Some(legal(value)),
            Some(Structural::UserAgent) if self.user_agent.is_none() => self.user_agent = Some(legal(value)),
            Some(Structural::Upgrade) => {
                let value = legal(value);
                let mut parts = value.split(|&byte| byte == b',');
                let http2 = parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(b"h2c"));
                self.upgrade = Some(if http2 { Upgrade::Http2 } else { Upgrade::Other });
            }
            Some(Structural::TransferEncoding) => {
                let value = legal(value);
                let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
                self.chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
            Some(Structural::ContentLength) => match digits(value) {
                Some(length) => self.length(Some(length)),
                None => legal(value).split(|&byte| byte == b',').for_each(|v| self.length(digits(v.trim_ascii()))),
            },
            _ => {}
        }
    }

    fn length(&mut self, value: Option<u64>) {
        self.length = match (value, self.length) {
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
    let digit = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(char::from(*digit).to_digit(10)?.into());
    value.iter().try_fold(0, digit).filter(|_| !value.is_empty())
}

/// A line whose value may go on in the lines after it.
struct Folded<'a> {
    name: &'a [u8],
    value: Cow<'a, [u8]>,
    field: Field,
}

impl Folded<'_> {
    fn line(&self) -> Line<'_> {
        Line { name: self.name, value: &self.value, field: self.field }
    }
}

/// The first line of a head, without white space around it.
fn first_of(bytes: &[u8]) -> &[u8] {
    split(bytes).next().unwrap_or_default().trim_ascii()
}

/// A head put straight: the first line, and the lines of the listed fields, unfolded.
fn straighten<'a>(
    bytes: &'a [u8],
    whole: bool,
    kind: Kind,
    sent: bool,
    policy: &Policy,
) -> Result<(&'a [u8], Vec<Folded<'a>>), Unparsable> {
    let mut lines = split(bytes).filter(|line| whole || line.ends_with(b"\n"));
    let start = lines.next().unwrap_or_default().trim_ascii();
    let mut fields: Vec<Folded<'_>> = Vec::new();
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
                (Last::Needed, Some(Folded { value, .. })) => {
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
        let is_field = is_name && !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        let is_name = is_field && name.iter().all(|&byte| mask::is_token(byte));
        if is_name && let Some(field) = policy.field(name).filter(needed) {
            fields.push(Folded { name, value: value.trim_ascii().into(), field });
            last = Last::Needed;
        } else if kind == Kind::Request && (!is_field && sent || !is_name && policy.mentions_audited(line)) {
            // What is sent with a line that is no field may be no request, but what a program writes of one into its log.
            // Who receives one may have strange clients.
            return Err(Unparsable::Ambiguous);
        } else {
            last = Last::Skipped;
        }
    }
    Ok((start, fields))
}

/// A value as it is read: a folded one may have white space around it.
fn legal(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    // All of them are looked at: most values are short, and have none that is odd.
    if value.iter().fold(u8::MAX, |legal, byte| legal & is_legal(*byte)) != 0 {
        return value.into();
    }
    let mut value = value.to_vec();
    replace::others(&mut value, b'?', is_legal);
    value.into()
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
fn is_legal(byte: u8) -> u8 {
    !(replace::is_within(byte, 0, b' ') | replace::is(byte, 0x7f)) | replace::is(byte, b'\t')
}

#[derive(Clone, Copy)]
enum Last {
    Start,
    Needed,
    Skipped,
}

#[cfg(test)]
mod tests;
