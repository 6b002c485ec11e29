//! TCP connections that speak something else than HTTP, as those to databases and message brokers do, or TLS: once that is
//! certain most of their operations are not even looked at.

use auditor_ebpf::wire;

use crate::{
    blind,
    capture::{Operation, SEND, count_operation},
    leaf,
    maps::{self, FOREIGN, FOREIGN_SLOTS},
};

/// What is known of one connection.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slot {
    /// Whose it is, and [`STATE`]: in one word, so that no other CPU sees the one without the other.
    word: u64,
    /// Of a connection with TLS in it, the bytes of those operations that were not looked at since the last that was.
    bytes: u64,
}

/// In [`Slot::word`]: which direction was last, …
const SENT: u64 = 1;
/// … how often it changed, up to [`ENOUGH`], …
const CHANGE: u64 = 1 << 1;
/// … whether there was TLS, …
const TLS: u64 = 1 << 7;
/// … and how many operations are not to be looked at before the next that is.
const PASS: u64 = 1 << 8;
const STATE: u64 = (1 << 12) - 1;

/// Changes of direction without the beginning of a head between them: a body may be as long as it likes, and may have begun
/// before anybody looked, but each exchange has a head either way. A protocol that only introduces HTTP is over before.
const ENOUGH: u64 = 48;
/// Of so many operations, and one more, one is looked at when there were [`ENOUGH`]. If it is HTTP after all, five requests
/// are missed then, or up to eight of up to five operations each: fewer than it takes to hold the calls that they make
/// against others that are open. And one more is a prime number: of exchanges in step with it only bodies might be looked
/// at, for ever.
const PASSES: u64 = 10;

/// The slot of a socket ([`crate::sock::Sock::key`]), and the part of its word that says whose it is.
#[inline(always)]
fn slot(key: u64) -> Option<(*mut Slot, u64)> {
    const SHIFT: u32 = u64::BITS - FOREIGN_SLOTS.trailing_zeros();
    let index = (key >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT;
    // A socket is larger than a cache line, and the addresses of all begin with the same bits.
    Some((FOREIGN.get_ptr_mut(index as u32)?, (key << 7) & !STATE))
}

/// The word of a slot, read or written at once.
#[inline(always)]
fn word(slot: *mut Slot) -> *mut u64 {
    // SAFETY: a field of a live map value.
    unsafe { &raw mut (*slot).word }
}

/// Whether an operation that moved so many bytes, or failed, need not be looked at; it is counted then.
#[inline(always)]
pub fn passes(key: u64, moved: i64) -> bool {
    let Some((slot, owner)) = slot(key) else { return false };
    // SAFETY: a live map value, an aligned integer.
    let known = unsafe { word(slot).read_volatile() };
    if known & !STATE != owner || known & STATE < PASS {
        return false;
    }
    if moved > 0 {
        // SAFETY: as above. An addition that two CPUs do at once is one that is not counted, not a fault.
        unsafe {
            word(slot).write_volatile(known - PASS);
            if known & TLS != 0 {
                (*slot).bytes += moved as u64;
            }
        }
        count_operation(moved as u64);
    }
    true
}

#[inline(always)]
fn changes(word: u64) -> u64 {
    word & (TLS - CHANGE)
}

/// The operation was nothing of HTTP but perhaps a TLS record, and its TCP socket was never seen to speak it. Says whether
/// most of its operations were not looked at before this one.
#[inline(always)]
pub fn note(operation: &Operation, is_tls: bool) -> bool {
    // What was not looked at in between may have been a head.
    if maps::PERIOD_MS.load() != 0 || leaf::is_resting(operation) {
        return false;
    }
    let Some((slot, owner)) = slot(operation.key.get()) else { return false };
    let sent = if operation.call.direction.get() == SEND { SENT } else { 0 };
    // SAFETY: a live map value, an aligned integer.
    let known = unsafe { word(slot).read_volatile() };
    let state = if known & !STATE == owner { known & STATE } else { sent };
    let tls = if is_tls { TLS } else { state & TLS };
    let mut changes = changes(state);
    let was_certain = changes >= CHANGE * ENOUGH;
    if !was_certain && state & SENT != sent {
        changes += CHANGE;
    }
    let is_certain = changes >= CHANGE * ENOUGH;
    if is_certain {
        // SAFETY: a live map value.
        let bytes = unsafe { core::mem::replace(&mut (*slot).bytes, 0) };
        if was_certain && state & TLS != 0 {
            blind::note(wire::BLIND_TLS, 0, PASSES, bytes);
        }
    }
    let noted = owner | if is_certain { PASS * PASSES } else { 0 } | tls | changes | sent;
    if noted != known {
        // SAFETY: as above.
        unsafe { word(slot).write_volatile(noted) };
    }
    was_certain
}

/// The connection begins or ends, or something on it began like a head.
#[inline(always)]
pub fn forget(key: u64) {
    let Some((slot, owner)) = slot(key) else { return };
    // SAFETY: a live map value, an aligned integer.
    if unsafe { word(slot).read_volatile() } & !STATE == owner {
        // SAFETY: as above.
        unsafe { word(slot).write_volatile(0) };
    }
}
