//! Counts, per process, what cannot be audited.

use auditor_ebpf::wire;

use crate::{
    capture::SEND,
    foreign,
    head::{self, start},
    kernel,
    maps::{self, BLIND},
    ship,
    sock::AF_UNIX,
    task,
};

/// Notes operations of the current process that cannot be read. Says how many there were before. A function of its own,
/// whose stack its callers do not share: older kernels count what all together may take.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note(reason: u32, connections: u64, operations: u64, bytes: u64) -> u64 {
    let task = task::current();
    let key = wire::BlindKey { tgid: task::ids(task).tgid, reason, start_ns: task::process_start(task) };
    let mut known = BLIND.get_ptr_mut(&key);
    if known.is_none() {
        // BPF_NOEXIST: when another CPU was faster, its entry stands. A full map evicts by itself.
        let _ = BLIND.insert(&key, &wire::BlindCount { connections: 0, operations: 0, bytes: 0 }, 1);
        known = BLIND.get_ptr_mut(&key);
    }
    let Some(count) = known else { return 0 };
    // SAFETY: the pointer is to a live map value; a lost update between CPUs is one missed count, not a fault.
    unsafe {
        let before = (*count).operations;
        (*count).connections += connections;
        (*count).operations += operations;
        (*count).bytes += bytes;
        before
    }
}

/// Whether to ship that requests are received which nobody can read, and as which `wire::FLAG_*`; 0: no. That is when the
/// first of them crosses a connection that the process accepted, and ever more rarely, for what is shipped may be lost.
/// The operation `begins` so ([`start`]), with these 16 bytes, of which `available` are there.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn serves_unseen(begins: u64, w0: u64, w1: u64, available: u64) -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let operation = &scratch.operation;
    let sends = operation.call.direction.get() == SEND;
    let (flag, reason) = if sends && (begins == start::TLS || begins == start::TLS_HELLO) {
        (wire::FLAG_SERVES_TLS, wire::BLIND_SENDS_TLS)
    } else if begins == start::TLS {
        (wire::FLAG_SERVES_TLS, wire::BLIND_RECEIVES_TLS)
    } else if !sends && head::is_frame(w0, w1, available, operation.moved.get()) {
        (wire::FLAG_SERVES_FRAMES, wire::BLIND_RECEIVES_FRAMES)
    } else {
        return 0;
    };
    let sock = operation.sock.get();
    // Both has a socket that was accepted of the one that listens.
    let accepted = if operation.family.get() == u64::from(AF_UNIX) {
        ship::has_given_name(sock)
    } else {
        kernel::read::<u32>(sock, &kernel::SOCK_MAX_ACK_BACKLOG).unwrap_or(0) != 0
    };
    if !accepted {
        return 0;
    }
    if reason == wire::BLIND_RECEIVES_FRAMES {
        // All of them are to be heard of: what is known of the process lasts for no longer than they come.
        foreign::forget(operation.key.get());
    }
    if (note(reason, 0, 1, 0) + 1).is_power_of_two() { u64::from(flag) } else { 0 }
}
