//! What a message head looks like: where one begins, where it ends.
//!
//! Whole words at a time and without byte loops, so that the verifier has little to walk through.

use crate::maps::{self, Word, carried};

/// Bytes of a head that are followed.
const HEAD_CAP: u64 = auditor_ebpf::wire::HEAD_CAP as u64;

/// What the first bytes of an operation are: plain numbers, because [`start_of`] is a function of its own to the
/// verifier and those return integers.
pub mod start {
    /// Nothing of ours.
    pub const OTHER: u64 = 0;
    /// A request or status line, or the HTTP/2 preface (which looks like a request line).
    pub const HEAD: u64 = 1;
    /// Too few bytes to tell, all of them fitting.
    pub const MAYBE: u64 = 2;
    /// A TLS handshake record that opens a connection (client or server hello).
    pub const TLS_HELLO: u64 = 3;
    /// Another TLS record.
    pub const TLS: u64 = 4;
}

const HIGH: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;
/// Longest fragment of a TLS record, encrypted (RFC 5246, 6.2.3).
const TLS_LONGEST: u16 = (1 << 14) + 2048;
/// "HTTP/1." as the low seven bytes of a little-endian word.
const STATUS_LINE: u64 = u64::from_le_bytes(*b"HTTP/1.\0");

/// Whether the first `available` bytes, as a little-endian word, begin a response.
#[inline(always)]
pub fn is_status_line(word: u64, available: u64) -> bool {
    available >= 7 && first_bytes(word, 7) == STATUS_LINE
}

/// The fixed part of a frame of HTTP/2 (RFC 9113, 4.1).
const FRAME: u64 = 9;

/// Whether an operation that begins with this word, of `available` bytes, may begin with the head of a request in HTTP/2: a
/// frame that is not longer than a peer must take (RFC 9113, 4.2), of the type HEADERS, with no flags but its own and the one
/// that says that all of it is there (6.2).
#[inline(always)]
fn may_be_http2_request(word: u64, available: u64) -> bool {
    const TYPE: u64 = 3 * 8;
    const FLAGS: u64 = 4 * 8;
    const STREAM: u64 = 5 * 8;
    const END_HEADERS: u64 = 0x4;
    const OTHERS: u64 = 0xff & !(0x1 | 0x8 | 0x20);
    let mask = 0xff | 0xff << TYPE | (OTHERS | END_HEADERS) << FLAGS | 0x80 << STREAM;
    available >= FRAME && word & mask == 1 << TYPE | END_HEADERS << FLAGS
}

/// Whether it may begin with a message of a client on a WebSocket: the first frame of a text or of binary data, masked, and
/// perhaps compressed (RFC 6455, 5.2; RFC 7692, 6).
#[inline(always)]
fn may_be_message(word: u64, available: u64) -> bool {
    const RESERVED: u64 = 0x30;
    const OPCODE: u64 = 0x0f;
    const MASKED: u64 = 0x80 << 8;
    available >= 2 && word & (RESERVED | MASKED) == MASKED && matches!(word & OPCODE, 1 | 2)
}

/// Whether it may begin with either.
#[inline(always)]
pub fn may_be_frame(word: u64, available: u64) -> bool {
    may_be_http2_request(word, available) || may_be_message(word, available)
}

/// The same of the whole operation. A request of HTTP/2 ends within it, or its first bytes are read by themselves, and clients'
/// streams have odd numbers (5.1.1); a message, or its first frame, is all that there is.
#[inline(always)]
pub fn is_frame(w0: u64, w1: u64, available: u64, moved: u64) -> bool {
    if may_be_http2_request(w0, available) {
        let length = u64::from(((w0 >> 8) as u16).swap_bytes());
        return w1 & 1 != 0 && length <= 16_384 && (moved == FRAME || FRAME + length <= moved);
    }
    const KEY: u64 = 4;
    let short = w0 >> 8 & 0x7f;
    let (header, length) = match short {
        126 => (4, u64::from(((w0 >> 16) as u16).swap_bytes())),
        127 => (10, (w0 >> 16 | w1 << 48).swap_bytes()),
        _ => (2, short),
    };
    may_be_message(w0, available) && available >= header && moved == header + KEY + length
}

/// Keeps the first `n` (at most 8) bytes of a little-endian word.
#[inline(always)]
fn first_bytes(word: u64, n: u32) -> u64 {
    if n >= 8 { word } else { word & ((1 << (n * 8)) - 1) }
}

/// 0x80 in every byte that is an upper-case letter.
#[inline(always)]
fn upper(word: u64) -> u64 {
    let low = word & !HIGH;
    let at_least_a = low + ONES * (0x80 - b'A' as u64);
    let beyond_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    at_least_a & !beyond_z & !word & HIGH
}

/// Index of the lowest byte marked with 0x80; 8 when there is none.
#[inline(always)]
pub fn lowest(mask: u64) -> u32 {
    if mask == 0 {
        return 8;
    }
    let bit = (mask & mask.wrapping_neg()) >> 7;
    (bit.wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32
}

#[inline(always)]
fn byte(w0: u64, w1: u64, index: u32) -> u8 {
    if index < 8 { (w0 >> (index * 8)) as u8 } else { (w1 >> ((index & 7) * 8)) as u8 }
}

/// Judges the first 16 bytes (two little-endian words), of which `available` are there.
///
/// A request line: 3 to 14 capital letters, a space, and what a target starts with. Real methods are upper case, and
/// the target rule keeps other line protocols (SMTP, FTP, Redis) out.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn start_of(w0: u64, w1: u64, available: u64) -> u64 {
    let available = if available > 16 { 16 } else { available as u32 };
    let w0 = first_bytes(w0, available);
    let w1 = first_bytes(w1, available.saturating_sub(8));
    let first = w0 as u8;
    // Of a handshake or of application data, TLS 1.0 or later: what was SSL 3.0 is the length of a MySQL packet today.
    let is_tls = (first == 0x16 || first == 0x17)
        && (w0 >> 8) as u8 == 0x03
        && matches!((w0 >> 16) as u8, 1..=4)
        && ((w0 >> 24) as u16).swap_bytes() <= TLS_LONGEST;
    if is_tls {
        let handshake = (w0 >> 40) as u8;
        return if first == 0x16 && (handshake == 1 || handshake == 2) { start::TLS_HELLO } else { start::TLS };
    }
    if !first.is_ascii_uppercase() {
        return start::OTHER;
    }
    let status = first_bytes(STATUS_LINE, if available < 7 { available } else { 7 });
    if first_bytes(w0, 7) == status {
        return if available >= 7 { start::HEAD } else { start::MAYBE };
    }
    let run0 = lowest(!upper(w0) & HIGH);
    let run = if run0 < 8 { run0 } else { 8 + lowest(!upper(w1) & HIGH) };
    if run >= available {
        return if run < 15 { start::MAYBE } else { start::OTHER };
    }
    if run < 3 || run > 14 || byte(w0, w1, run) != b' ' {
        return start::OTHER;
    }
    if run + 1 >= available {
        return start::MAYBE;
    }
    let target = byte(w0, w1, run + 1);
    // CONNECT alone takes an authority.
    let connect = first_bytes(w0, 8) == u64::from_le_bytes(*b"CONNECT ");
    if target == b'/' || target == b'*' || target == b'h' || target == b'H' || connect {
        start::HEAD
    } else {
        start::OTHER
    }
}

/// Whether anything but [`start::OTHER`] can begin with this byte, an empty line before a head included.
#[inline(always)]
pub fn may_begin(first: u8) -> bool {
    first.is_ascii_uppercase() || first == b'\r' || first == 0x16 || first == 0x17
}

/// 0x80 in every byte that equals `wanted`.
#[inline(always)]
pub fn equal(word: u64, wanted: u8) -> u64 {
    let difference = word ^ (ONES * wanted as u64);
    !(((difference & !HIGH) + !HIGH) | difference | !HIGH)
}

/// A walk through the bytes of one operation that begin with, or continue, a head.
#[repr(C)]
pub struct Scan {
    /// Newlines of the last word (before the walk: of the operation before), 0x80 a byte, last byte on top.
    pub newlines: Word,
    /// Carriage returns, likewise.
    pub returns: Word,
    /// Not 0: the bytes end inside a head.
    pub pending: Word,
    /// Where that head begins (0 for one that an earlier operation began).
    pub begin: Word,
    /// The next word to look at.
    word: Word,
    /// Where the head ends that was found last; 0: nowhere.
    pub end: Word,
}

impl Scan {
    /// Begins a walk with what the operation before left.
    #[inline(always)]
    pub fn start(&self, newlines: u64, returns: u64) {
        self.newlines.set(newlines);
        self.returns.set(returns);
        self.pending.set(1);
        for word in [&self.begin, &self.word, &self.end] {
            // SAFETY: live map memory, and nobody holds a reference into a cell.
            maps::clear(unsafe { &mut *word.as_ptr() });
        }
    }

    /// Lets the walk begin where the first head does. Up to seven bytes of it are passed over, and no line ends there.
    #[inline(always)]
    pub fn skip(&self, begin: u64) {
        self.begin.set(begin);
        self.word.set((begin + 7) / 8);
    }
}

/// Pipelined heads that are followed within one operation.
const HEADS: u32 = 16;
const WORDS: u64 = HEAD_CAP / 8;
/// Words that are looked at together.
const BLOCK: u64 = 4;

/// Scans the first `length` bytes of the scratch buffer's record; those behind them must be 0 up to the next word.
///
/// The end of a head is an empty line: `\n\n` or `\n\r\n`. When another head follows at once (pipelining), goes on.
/// Functions of their own for the verifier's sake, as [`crate::memory::read_memory`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn scan_heads(length: u64) -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let (scan, buffer) = (&scratch.scan, scratch.bytes());
    let mut heads = 0;
    while heads < HEADS {
        heads += 1;
        let next = crate::kernel::clamp(find_end(length), HEAD_CAP);
        if next == 0 {
            break;
        }
        scan.pending.set(0);
        if next >= length {
            break;
        }
        // SAFETY: next is at most HEAD_CAP, and a chunk of room follows.
        let (w0, w1) = unsafe {
            let following = buffer.add(next as usize).cast::<u64>();
            (following.read_unaligned(), following.add(1).read_unaligned())
        };
        let following = start_of(w0, w1, length - next);
        if following != start::HEAD && following != start::MAYBE {
            break;
        }
        if heads == HEADS {
            // Whatever follows is shipped, but not followed into the next operation.
            scan.end.set(length);
            break;
        }
        scan.pending.set(1);
        scan.begin.set(next);
    }
    // The last word may be a partial one: realign so that its last real byte is the top one.
    let spare = ((8 - (length & 7)) & 7) * 8;
    scan.newlines.set(scan.newlines.get() << spare);
    scan.returns.set(scan.returns.get() << spare);
    scan.pending.get()
}

/// Finds the next empty line from the word at which the last call stopped; says where the bytes behind it begin, 0 when
/// there is none.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn find_end(length: u64) -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let (scan, buffer) = (&scratch.scan, scratch.bytes().cast::<u64>());
    scan.end.set(0);
    let mut step = 0u64;
    while step < WORDS {
        step += 1;
        skip_lines(length);
        let index = carried(&scan.word);
        if index >= WORDS || index * 8 >= length {
            break;
        }
        scan.word.set(index + 1);
        // SAFETY: index * 8 is below HEAD_CAP.
        let word = unsafe { buffer.add(index as usize).read() };
        let newlines = equal(word, b'\n');
        let returns = equal(word, b'\r');
        let (before, before_returns) = (carried(&scan.newlines), carried(&scan.returns));
        let one_before = (newlines << 8) | (before >> 56);
        let two_before = (newlines << 16) | (before >> 48);
        let return_before = (returns << 8) | (before_returns >> 56);
        let end = newlines & (one_before | (return_before & two_before));
        scan.newlines.set(newlines);
        scan.returns.set(returns);
        if end != 0 {
            scan.end.set(index * 8 + u64::from(lowest(end)) + 1);
            break;
        }
    }
    scan.end.get()
}

/// Goes on over whole blocks in which no two newlines are close to each other: most of a head.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn skip_lines(length: u64) -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let (scan, buffer) = (&scratch.scan, scratch.bytes().cast::<u64>());
    let mut step = 0u64;
    while step < WORDS / BLOCK {
        step += 1;
        let index = carried(&scan.word);
        if index > WORDS - BLOCK || (index + BLOCK) * 8 > length {
            break;
        }
        let (mut before, mut close, mut word) = (carried(&scan.newlines), 0, 0);
        let mut i = 0;
        while i < BLOCK {
            // SAFETY: (index + i) * 8 is below HEAD_CAP.
            word = unsafe { buffer.add((index + i) as usize).read() };
            let newlines = equal(word, b'\n');
            close |= newlines & ((newlines << 8) | (before >> 56) | (newlines << 16) | (before >> 48));
            before = newlines;
            i += 1;
        }
        if close != 0 {
            break;
        }
        scan.newlines.set(before);
        scan.returns.set(equal(word, b'\r'));
        scan.word.set(index + BLOCK);
    }
    0
}
