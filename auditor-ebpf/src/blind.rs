//! Counts, per process, what cannot be audited.

use auditor_ebpf::wire;

use crate::{maps::BLIND, task};

/// Notes operations of the current process that cannot be read.
#[inline(always)]
pub fn note(reason: u32, connections: u64, operations: u64, bytes: u64) {
    let task = task::current();
    let key = wire::BlindKey { tgid: task::ids(task).tgid, reason, start_ns: task::process_start(task) };
    if BLIND.get_ptr(&key).is_none() {
        // BPF_NOEXIST: when another CPU was faster, its entry stands. A full map evicts by itself.
        let _ = BLIND.insert(&key, &wire::BlindCount { connections: 0, operations: 0, bytes: 0 }, 1);
    }
    if let Some(count) = BLIND.get_ptr_mut(&key) {
        // SAFETY: the pointer is to a live map value; a lost update between CPUs is one missed count, not a fault.
        unsafe {
            (*count).connections += connections;
            (*count).operations += operations;
            (*count).bytes += bytes;
        }
    }
}
