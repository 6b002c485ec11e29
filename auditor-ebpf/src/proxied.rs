//! The header that a load balancer may put in front of everything else on a connection, to say whose it is: HAProxy's PROXY
//! protocol, versions 1 and 2. A server often reads it together with the first request.

use crate::{
    head::{equal, lowest},
    kernel::clamp,
    maps,
    memory::PREFIX,
};

/// Longest header that is skipped. Version 1 has 107 bytes at the most; version 2 has 16, two addresses, and whatever more.
pub const LONGEST: u64 = 240;
const VERSION_1: u64 = u64::from_le_bytes(*b"PROXY \0\0");
/// Its first twelve bytes.
const VERSION_2: (u64, u32) = (u64::from_le_bytes(*b"\r\n\r\n\0\r\nQ"), u32::from_le_bytes(*b"UIT\n"));
/// What is in front of the length.
const FIXED: u64 = 16;

/// Whether an operation with these first 16 bytes begins with such a header.
#[inline(always)]
pub fn begins(w0: u64, w1: u64) -> bool {
    w0 & 0xffff_ffff_ffff == VERSION_1 || is_version_2(w0, w1)
}

#[inline(always)]
fn is_version_2(w0: u64, w1: u64) -> bool {
    (w0, w1 as u32) == VERSION_2
}

/// How much to read to tell how long a header is, and what follows it.
pub const READ: u64 = LONGEST + PREFIX;

/// The length of the header, of whose operation so many bytes were read; 0 if nothing follows it. A function of its own for
/// the verifier's sake, which calls no other: there is little room left for their stacks.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn header_length(w0: u64, w1: u64, read: u64) -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let buffer = scratch.bytes();
    let length = if is_version_2(w0, w1) {
        FIXED + u64::from(((w1 >> 48) as u16).swap_bytes())
    } else {
        let mut index = 0u64;
        let mut length = 0;
        while index < LONGEST / 8 {
            // SAFETY: the buffer is longer.
            let line_ends = equal(unsafe { buffer.cast::<u64>().add(index as usize).read() }, b'\n');
            if line_ends != 0 {
                length = index * 8 + u64::from(lowest(line_ends)) + 1;
                break;
            }
            index += 1;
        }
        length
    };
    if length < read && length <= LONGEST { clamp(length, LONGEST) } else { 0 }
}
