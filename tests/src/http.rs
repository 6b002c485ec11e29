//! HTTP/1.1 over a stream, with a choice of how the bytes of a message cross the socket.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::socket::Stream;
use crate::sys;

/// How the bytes of a head cross the socket when it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteStyle {
    /// One `write`.
    #[default]
    Whole,
    /// One `write` a byte.
    Bytes,
    /// Two `write`s, split at another position every time.
    SplitEach,
    /// One `writev` of pieces of so many bytes.
    Iovecs(usize),
    /// One `sendmmsg` of messages of so many bytes.
    Sendmmsg(usize),
}

impl FromStr for WriteStyle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, size) = text.split_once(':').unwrap_or((text, "7"));
        let size = size.parse().map_err(|_| format!("{size} is no size"))?;
        match name {
            "whole" => Ok(Self::Whole),
            "bytes" => Ok(Self::Bytes),
            "split-each" => Ok(Self::SplitEach),
            "iovecs" => Ok(Self::Iovecs(size)),
            "sendmmsg" => Ok(Self::Sendmmsg(size)),
            _ => Err(format!("no such way to write: {text}")),
        }
    }
}

/// How a message is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadStyle {
    /// `read`.
    #[default]
    Plain,
    /// `recv` with `MSG_PEEK`, then `read` of the same bytes.
    Peek,
    /// `recvmmsg`.
    Recvmmsg,
    /// `readv` into small buffers.
    Readv,
}

impl FromStr for ReadStyle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plain" => Ok(Self::Plain),
            "peek" => Ok(Self::Peek),
            "recvmmsg" => Ok(Self::Recvmmsg),
            "readv" => Ok(Self::Readv),
            _ => Err(format!("no such way to read: {text}")),
        }
    }
}

/// How a `traceparent` is spelt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderStyle {
    /// `traceparent: value`.
    #[default]
    Plain,
    /// `TRACEPARENT: value`.
    Upper,
    /// `Traceparent:value`.
    NoSpace,
    /// With tabs around the value.
    Tabs,
    /// After 12 KB of cookies.
    AfterCookies,
}

impl HeaderStyle {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("plain", Self::Plain),
        ("upper", Self::Upper),
        ("no-space", Self::NoSpace),
        ("tabs", Self::Tabs),
        ("after-cookies", Self::AfterCookies),
    ];

    /// The field lines for a value.
    pub fn lines(self, value: &str) -> String {
        match self {
            Self::Plain => format!("traceparent: {value}\r\n"),
            Self::Upper => format!("TRACEPARENT: {value}\r\n"),
            Self::NoSpace => format!("Traceparent:{value}\r\n"),
            Self::Tabs => format!("traceparent:\t\t{value}\t\r\n"),
            Self::AfterCookies => {
                let cookies: String = (0..12).map(|n| format!("Cookie: c{n}={}\r\n", "x".repeat(1000))).collect();
                format!("{cookies}traceparent: {value}\r\n")
            }
        }
    }
}

impl FromStr for HeaderStyle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, style)| *style).ok_or_else(|| format!("no such spelling: {text}"))
    }
}

/// A message head: its first line and its fields.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Request line or status line.
    pub start: String,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// First value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.split(' ').nth(1)?.parse().ok()
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self { start, fields: lines.filter_map(field).collect() }
    }
}

/// One end of a connection that speaks HTTP/1.1.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    read: ReadStyle,
    write: WriteStyle,
    written: usize,
}

impl Connection {
    /// Speaks over a connected socket.
    pub fn new(stream: Stream, read: ReadStyle, write: WriteStyle) -> Self {
        Self { stream, buffer: Vec::new(), read, write, written: 0 }
    }

    /// From where [`WriteStyle::SplitEach`] counts on: lets it go on over many connections.
    pub fn split_from(mut self, position: usize) -> Self {
        self.written = position;
        self
    }

    /// Reads a head; `None` when the peer closed before one began.
    ///
    /// # Errors
    /// When the connection breaks, or ends within a head.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end]);
                self.buffer.drain(..end + 4);
                return Ok(Some(head));
            }
            if self.fill()? == 0 {
                let began = !self.buffer.is_empty();
                return if began { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
        }
    }

    /// Reads and forgets the body that belongs to a head; how long it was.
    ///
    /// # Errors
    /// When the connection breaks or ends within the body.
    pub fn skip_body(&mut self, head: &Head) -> io::Result<u64> {
        if head.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            let mut total = 0;
            loop {
                let line = self.read_line()?;
                let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
                self.skip(size)?;
                self.skip(2)?;
                total += size;
                if size == 0 {
                    return Ok(total);
                }
            }
        }
        let length = head.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        self.skip(length)?;
        Ok(length)
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn skip(&mut self, mut length: u64) -> io::Result<()> {
        loop {
            let here = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.drain(..here);
            length -= here as u64;
            if length == 0 {
                return Ok(());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = vec![0; 64 * 1024];
        let length = match self.read {
            ReadStyle::Plain => self.stream.read(&mut chunk)?,
            ReadStyle::Peek => {
                let seen = sys::peek(self.stream.fd(), &mut chunk)?;
                self.stream.read(&mut chunk[..seen])?
            }
            ReadStyle::Recvmmsg => sys::recvmmsg(self.stream.fd(), &mut chunk)?,
            ReadStyle::Readv => {
                let mut pieces: Vec<IoSliceMut<'_>> = chunk[..512].chunks_mut(8).map(IoSliceMut::new).collect();
                self.stream.read_vectored(&mut pieces)?
            }
        };
        self.buffer.extend_from_slice(&chunk[..length]);
        Ok(length)
    }

    /// Writes a head (and what follows it at once) in this connection's style.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn write_message(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = self.written;
        self.written += 1;
        match self.write {
            WriteStyle::Whole => self.stream.write_all(bytes),
            WriteStyle::Bytes => bytes.chunks(1).try_for_each(|byte| self.stream.write_all(byte)),
            WriteStyle::SplitEach => {
                let (first, second) = bytes.split_at(1 + count % (bytes.len() - 1).max(1));
                self.stream.write_all(first)?;
                self.stream.write_all(second)
            }
            WriteStyle::Iovecs(size) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let pieces: Vec<IoSlice<'_>> = rest.chunks(size.max(1)).take(1024).map(IoSlice::new).collect();
                    let sent = self.stream.write_vectored(&pieces)?;
                    rest = &rest[sent..];
                }
                Ok(())
            }
            WriteStyle::Sendmmsg(size) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let pieces: Vec<&[u8]> = rest.chunks(size.max(1)).take(1024).collect();
                    let sent = sys::sendmmsg(self.stream.fd(), &pieces)?;
                    rest = &rest[sent..];
                }
                Ok(())
            }
        }
    }

    /// Writes bytes in one call, whatever the style.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn write_plain(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a file's content without it passing through this process.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_file(&mut self, file: &std::fs::File, length: usize) -> io::Result<()> {
        sys::sendfile(self.stream.fd(), file, length)
    }
}

/// A trace context as `traceparent` carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub parent_id: String,
}

impl TraceParent {
    /// A new trace.
    pub fn new() -> Self {
        Self { trace_id: format!("{:016x}{:016x}", random(), random()), parent_id: format!("{:016x}", random()) }
    }

    /// The same trace with a new parent, as a service that makes a span sends it.
    pub fn child(&self) -> Self {
        Self { trace_id: self.trace_id.clone(), parent_id: format!("{:016x}", random()) }
    }

    /// Reads version 00.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split('-');
        let (_version, trace_id, parent_id) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { trace_id: trace_id.to_owned(), parent_id: parent_id.to_owned() })
    }
}

impl Default for TraceParent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.trace_id, self.parent_id)
    }
}

/// A number that is not 0 and not the one before: the standard library's hash keys, stirred with a counter.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(COUNTER.fetch_add(1, Ordering::Relaxed)).max(1)
}
