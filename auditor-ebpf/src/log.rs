//! Diagnostics for `--log-level debug` and `trace`, through aya-log.
//!
//! Functions of their own, so that what formats them is verified once; not called at all below their level.

use aya_ebpf::Global;

/// 0 is silent, 4 debug, 5 trace; written by the daemon before the load.
#[unsafe(no_mangle)]
pub static LOG_LEVEL: Global<u8> = Global::new(0);

const DEBUG: u8 = 4;
const TRACE: u8 = 5;

#[inline(always)]
pub fn unreadable(tgid: u32, bytes: u64) {
    if LOG_LEVEL.load() >= DEBUG {
        log_unreadable(tgid, bytes);
    }
}

#[inline(always)]
pub fn lost(tgid: u32, record: u64) {
    if LOG_LEVEL.load() >= DEBUG {
        log_lost(tgid, record);
    }
}

#[inline(always)]
pub fn shipped(tgid: u32, record: u64, bytes: u64) {
    if LOG_LEVEL.load() >= TRACE {
        log_shipped(tgid, record, bytes);
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn log_unreadable(tgid: u32, bytes: u64) -> u64 {
    aya_log_ebpf::debug!((), "pid {}: {} bytes of a head could not be read", tgid, bytes);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn log_lost(tgid: u32, record: u64) -> u64 {
    aya_log_ebpf::debug!((), "pid {}: ring buffer full, record {} lost", tgid, record);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn log_shipped(tgid: u32, record: u64, bytes: u64) -> u64 {
    aya_log_ebpf::trace!((), "pid {}: record {} with {} bytes", tgid, record, bytes);
    0
}
