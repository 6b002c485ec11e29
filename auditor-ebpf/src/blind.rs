//! Counts, per process, what cannot be audited.

use auditor_ebpf::wire;

use crate::{kernel, maps::BLIND, task};

/// Notes operations of the current process that cannot be read. Says how many there were before.
#[inline(always)]
pub fn note(reason: u32, connections: u64, operations: u64, bytes: u64) -> u64 {
    let task = task::current();
    let key = wire::BlindKey { tgid: task::ids(task).tgid, reason, start_ns: task::process_start(task) };
    if BLIND.get_ptr(&key).is_none() {
        // BPF_NOEXIST: when another CPU was faster, its entry stands. A full map evicts by itself.
        let _ = BLIND.insert(&key, &wire::BlindCount { connections: 0, operations: 0, bytes: 0 }, 1);
    }
    let Some(count) = BLIND.get_ptr_mut(&key) else { return 0 };
    // SAFETY: the pointer is to a live map value; a lost update between CPUs is one missed count, not a fault.
    unsafe {
        let before = (*count).operations;
        (*count).connections += connections;
        (*count).operations += operations;
        (*count).bytes += bytes;
        before
    }
}

/// Whether to ship that requests are received which nobody can read: when the first of them crosses a connection that the
/// process accepted, and ever more rarely, for what is shipped may be lost.
#[inline(always)]
pub fn serves(sock: u64, unix: bool, reason: u32) -> bool {
    // A socket that was accepted has it of the one that listens; one that connects has none. With AF_UNIX all have some.
    let accepted = unix || kernel::read::<u32>(sock, &kernel::SOCK_MAX_ACK_BACKLOG).unwrap_or(0) != 0;
    accepted && (note(reason, 0, 1, 0) + 1).is_power_of_two()
}
