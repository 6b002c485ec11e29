//! TCP connections that speak something else than HTTP, as those to databases and message brokers do: once that is certain
//! most of their operations are not even looked at.

use crate::{
    capture::{Operation, SEND, count_operation},
    leaf,
    maps::{self, FOREIGN, FOREIGN_SLOTS},
};

/// In a slot of [`FOREIGN`], below whose it is: which direction was last, …
const SENT: u64 = 1;
/// … how often it changed, up to [`ENOUGH`], …
const CHANGE: u64 = 1 << 1;
/// … and how many operations are not to be looked at before the next that is.
const PASS: u64 = 1 << 7;
const STATE: u64 = (1 << 13) - 1;

/// Changes of direction without a head between them: a body may be as long as it likes, and may have begun before anybody
/// looked, but each exchange has a head either way.
const ENOUGH: u64 = 16;
/// Of so many operations, and one more, one is looked at when there were [`ENOUGH`].
const PASSES: u64 = 63;

/// The slot of a socket ([`crate::sock::Sock::key`]), and the part of its word that says whose it is: in one word, so that no
/// other CPU sees the one without the other.
#[inline(always)]
fn slot(key: u64) -> Option<(*mut u64, u64)> {
    const SHIFT: u32 = u64::BITS - FOREIGN_SLOTS.trailing_zeros();
    let index = (key >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT;
    // A socket is larger than a cache line, and the addresses of all begin with the same bits.
    Some((FOREIGN.get_ptr_mut(index as u32)?, (key << 7) & !STATE))
}

/// Whether an operation that moved so many bytes, or failed, need not be looked at; it is counted then.
#[inline(always)]
pub fn passes(key: u64, moved: i64) -> bool {
    let Some((slot, owner)) = slot(key) else { return false };
    // SAFETY: a live map value, an aligned integer.
    let word = unsafe { slot.read_volatile() };
    if word & !STATE != owner || word & STATE < PASS {
        return false;
    }
    if moved > 0 {
        // SAFETY: as above.
        unsafe { slot.write_volatile(word - PASS) };
        count_operation(moved as u64);
    }
    true
}

/// Whether most operations of a socket are not looked at.
#[inline(always)]
pub fn is_certain(key: u64) -> bool {
    let Some((slot, owner)) = slot(key) else { return false };
    // SAFETY: a live map value, an aligned integer.
    let word = unsafe { slot.read_volatile() };
    word & !STATE == owner && changes(word) >= CHANGE * ENOUGH
}

#[inline(always)]
fn changes(word: u64) -> u64 {
    word & (PASS - CHANGE)
}

/// The operation was nothing of HTTP, and its TCP socket was never seen to speak it.
#[inline(always)]
pub fn note(operation: &Operation) {
    // What was not looked at in between may have been a head.
    if maps::PERIOD_MS.load() != 0 || leaf::is_resting(operation) {
        return;
    }
    let Some((slot, owner)) = slot(operation.key.get()) else { return };
    let sent = if operation.call.direction.get() == SEND { SENT } else { 0 };
    // SAFETY: a live map value, an aligned integer.
    let word = unsafe { slot.read_volatile() };
    let state = if word & !STATE == owner { word & STATE } else { sent };
    let mut changes = changes(state);
    if changes < CHANGE * ENOUGH && state & SENT != sent {
        changes += CHANGE;
    }
    let passes = if changes < CHANGE * ENOUGH { 0 } else { PASS * PASSES };
    let noted = owner | passes | changes | sent;
    if noted != word {
        // SAFETY: as above.
        unsafe { slot.write_volatile(noted) };
    }
}

/// The socket is closed, or speaks HTTP or TLS.
#[inline(always)]
pub fn forget(key: u64) {
    let Some((slot, owner)) = slot(key) else { return };
    // SAFETY: a live map value, an aligned integer.
    if unsafe { slot.read_volatile() } & !STATE == owner {
        // SAFETY: as above.
        unsafe { slot.write_volatile(0) };
    }
}
