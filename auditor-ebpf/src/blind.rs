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

/// Whether to ship that this process serves TLS: when the first of it crosses, that way, a connection that the process
/// accepted, and ever more rarely, for what is shipped may be lost.
#[inline(always)]
pub fn serves_tls(sock: u64, direction: u64) -> bool {
    // A socket that was accepted has it of the one that listens; one that connects has none.
    let accepted = kernel::read::<u32>(sock, &kernel::SOCK_MAX_ACK_BACKLOG).unwrap_or(0) != 0;
    accepted && (note(wire::BLIND_SERVES_TLS + direction as u32, 0, 1, 0) + 1).is_power_of_two()
}
