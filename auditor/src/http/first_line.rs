//! The first line of a head as it should be, masked and read at once.
//!
//! Whatever is odd about a line is not decided here: then nothing is touched, and the line is walked byte by byte (see
//! [`super::mask`]) and read by `httparse` (see [`super::head`]), with the same result for the lines that are read here.

use std::ops::Range;

use memchr::{memchr, memchr3};

use super::fields::Treatment;
use super::masking::ValueMask;
use super::method::FirstWord;
use super::policy::Policy;

/// What a response begins with, as a rule.
const VERSION: &[u8] = b"HTTP/1.1 ";

/// What a first line says. Positions are those of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FirstLine {
    Request {
        method: &'static str,
        path: Range<usize>,
        /// Without the sign that begins it.
        query: Range<usize>,
        minor_version: u8,
    },
    Response {
        status: u16,
    },
}

/// Masks the line that `bytes` begin with, and says how long it is.
#[inline(never)] // See `HeadMask::lines`.
pub(super) fn read(bytes: &mut [u8], policy: &Policy) -> Option<(FirstLine, usize)> {
    // Every word does. Of empty lines before a head each is asked about, and must not be looked for again and again.
    if !matches!(bytes, [b'A'..=b'Z', ..]) {
        return None;
    }
    let end = memchr(b'\n', bytes)?;
    let line = bytes.get_mut(..end)?;
    let line = match line.split_last_mut() {
        Some((b'\r', line)) => line,
        _ => line,
    };
    let first = if line.starts_with(VERSION) {
        response(line.get_mut(VERSION.len()..)?)?
    } else {
        let (length, word) = policy.first_word(line);
        match (line.get(length)?, word?) {
            (b' ', FirstWord::Method(method)) => request(line, length + 1, method, policy)?,
            _ => return None,
        }
    };
    Some((first, end + 1))
}

fn request(line: &mut [u8], begin: usize, method: &'static str, policy: &Policy) -> Option<FirstLine> {
    let (rest, version) = line.split_last_chunk_mut::<9>()?;
    let minor_version = match &*version {
        b" HTTP/1.1" => 1,
        b" HTTP/1.0" => 0,
        _ => return None,
    };
    let target = rest.get(begin..).filter(|target| target.starts_with(b"/"))?;
    let end = rest.len();
    let path_end = begin + target.iter().position(|byte| !is_of_path(*byte)).unwrap_or(target.len());
    let path = begin..path_end;
    if path_end == end {
        return Some(FirstLine::Request { method, path, query: end..end, minor_version });
    }
    let query = path_end + 1..end;
    let masked = match rest.get_mut(path_end..)?.split_first_mut()? {
        (b'?' | b'#', query) => query,
        _ => return None,
    };
    if memchr3(b' ', b'\t', b'\r', masked).is_some() {
        return None;
    }
    ValueMask::new(Treatment::Pairs(b'&')).line(masked, policy.masking());
    Some(FirstLine::Request { method, path, query, minor_version })
}

/// Of what follows the version.
fn response(rest: &mut [u8]) -> Option<FirstLine> {
    let (status, reason) = rest.split_first_chunk_mut::<3>()?;
    let is_reason = matches!(reason, [] | [b' ', ..]) && memchr(b'\r', reason).is_none();
    if !is_reason || !status.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = status.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    ValueMask::default().line(reason, &super::Masking::Blank);
    Some(FirstLine::Response { status })
}

/// What is printed of ASCII, and neither ends a path nor is white space; a segment with parameters is odd.
fn is_of_path(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'?' | b'#' | b';')
}
