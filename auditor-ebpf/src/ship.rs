//! What is shipped to the daemon: the bytes of a head with all that is known of who moved them, and the end of a connection.
//!
//! Layout of a record while it is put together: header, AF_UNIX path, bytes. For the other families there is no path,
//! so the header moves up to the bytes and the record starts later in the buffer.

use auditor_ebpf::wire;
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_ktime_get_boot_ns, bpf_probe_read_kernel as raw_read_kernel,
    bpf_ringbuf_output,
};

use crate::{
    coroutine, kernel, log,
    maps::{self, SOCKETS, count},
    memory::CHUNK,
    sock::{AF_INET6, AF_UNIX, Common},
    task,
};

const HEADER: usize = size_of::<wire::Data>();
pub const BYTES: usize = HEADER + wire::UNIX_PATH_SLOT;
/// A head at the cap, one chunk more for the verifier's view of a copy, one word for the scan's overrun.
pub const RECORD_ROOM: usize = BYTES + wire::HEAD_CAP + CHUNK as usize + 16;

/// Puts the record together around the captured bytes and ships it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn ship_record() -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let operation = &scratch.operation;
    let (sock, task) = (operation.sock.get(), task::current());
    let family = operation.family.get() as u16;
    let unix = family == AF_UNIX;
    let begin = if unix { 0 } else { wire::UNIX_PATH_SLOT };
    let record = scratch.record().wrapping_add(begin);
    let length = kernel::clamp((BYTES - begin) as u64 + operation.captured.get(), (BYTES + wire::HEAD_CAP) as u64);
    // SAFETY: the header's room in this CPU's scratch buffer, aligned to 8; all fields are plain integers.
    let header = unsafe { &mut *record.cast::<wire::Data>() };
    header.kind = wire::KIND_DATA;
    header.flags = operation.flags.get() as u16;
    header.exec_id = kernel::load::<u64>(task, &kernel::TASK_EXEC_ID) as u32;
    // SAFETY: no arguments.
    header.time_ns = unsafe { bpf_ktime_get_boot_ns() };
    header.socket = sock;
    header.inode = operation.inode.get();
    header.position = operation.position.get();
    header.op_len = operation.moved.get() as u32;
    header.captured = operation.captured.get() as u32;
    header.task = task::ids(task);
    header.start_ns = task::process_start(task);
    // SAFETY: no arguments.
    header.cgroup = unsafe { bpf_get_current_cgroup_id() };
    header.coroutine = coroutine::current_coroutine(operation.stack_pointer.get());
    task::ancestors(task, &mut header.ancestors);
    header.family = family;
    header.direction = operation.call.direction.get() as u8;
    header.path_len = 0;
    header.peer_tgid = 0;
    // SAFETY: the room that is said to be there.
    unsafe { bpf_get_current_comm(header.comm.as_mut_ptr().cast(), header.comm.len() as u32) };
    header.netns = operation.netns.get() as u32;
    if unix {
        unix_names(sock, header, record.wrapping_add(HEADER));
    } else {
        scratch.common.read(sock);
        addresses(&scratch.common, family, header);
    }
    let wake = maps::wake();
    // Last, so that the ring buffer's order is as close to the numbers' order as it gets.
    header.seq = maps::next_sequence();
    // SAFETY: `length` bytes from `record` are inside the scratch buffer.
    let failed = unsafe {
        bpf_ringbuf_output(core::ptr::from_ref(&maps::RECORDS).cast_mut().cast(), record.cast(), length, wake)
    };
    if failed != 0 {
        count(wire::COUNT_LOST_RING_FULL, 1);
        log::lost(header.task.tgid, header.seq);
    } else {
        log::shipped(header.task.tgid, header.seq, operation.captured.get());
        count(wire::COUNT_RECORDS, 1);
        count(wire::COUNT_BYTES_CAPTURED, operation.captured.get());
    }
    0
}

/// Both ends of a TCP socket; IPv4 is written as v4-mapped IPv6.
#[inline(always)]
fn addresses(common: &Common, family: u16, header: &mut wire::Data) {
    header.local_port = common.field(&kernel::SOCK_NUM);
    header.remote_port = u16::from_be(common.field(&kernel::SOCK_DPORT));
    let (local, remote) = if family == AF_INET6 {
        (common.field(&kernel::SOCK_V6_RCV_SADDR), common.field(&kernel::SOCK_V6_DADDR))
    } else {
        (mapped(common.field(&kernel::SOCK_RCV_SADDR)), mapped(common.field(&kernel::SOCK_DADDR)))
    };
    // SAFETY: fields of 16 bytes; words, because their order is the same and there are fewer.
    unsafe {
        header.local.as_mut_ptr().cast::<[u32; 4]>().write(local);
        header.remote.as_mut_ptr().cast::<[u32; 4]>().write(remote);
    }
}

#[inline(always)]
fn mapped(address: u32) -> [u32; 4] {
    [0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]), address]
}

/// Length of a name the kernel chose for a client (`bind` without one): NUL and five digits.
const AUTOBOUND: u64 = 6;

/// Length of a `struct unix_address` without its family.
#[inline(always)]
fn name_length(address: u64) -> u64 {
    u64::from(kernel::read::<u32>(address, &kernel::UNIX_ADDRESS_LEN).unwrap_or(0).saturating_sub(2))
}

/// Whether an AF_UNIX socket has a name that the kernel did not choose.
#[inline(always)]
pub fn has_given_name(sock: u64) -> bool {
    kernel::pointer(sock, &kernel::UNIX_ADDR).is_some_and(|name| name_length(name) != AUTOBOUND)
}

/// Path and peer of an AF_UNIX socket. The listening end has the name; an accepted socket shares it.
#[inline(always)]
fn unix_names(sock: u64, header: &mut wire::Data, slot: *mut u8) {
    header.local = [0; 16];
    header.remote = [0; 16];
    header.local_port = 0;
    header.remote_port = 0;
    if let Some(pid) = kernel::pointer(sock, &kernel::SOCK_PEER_PID) {
        header.peer_tgid = kernel::read(pid, &kernel::PID_NUMBERS).unwrap_or(0);
    }
    let own = kernel::pointer(sock, &kernel::UNIX_ADDR);
    let peer = kernel::pointer(sock, &kernel::UNIX_PEER).and_then(|peer| kernel::pointer(peer, &kernel::UNIX_ADDR));
    let address = match (own, peer) {
        (Some(own), Some(peer)) if name_length(own) == AUTOBOUND => peer,
        (Some(own), _) => own,
        (None, Some(peer)) => peer,
        (None, None) => return,
    };
    let length = kernel::clamp(name_length(address), wire::UNIX_PATH_CAP as u64);
    let path = address.wrapping_add(u64::from(kernel::UNIX_ADDRESS_NAME.load()) + 2);
    // SAFETY: the helper checks the address, and the slot has room for UNIX_PATH_CAP bytes.
    if length > 0 && unsafe { raw_read_kernel(slot.cast(), length as u32, path as *const core::ffi::c_void) } == 0 {
        header.path_len = length as u8;
    }
}

/// Ships that a socket which has spoken HTTP is closing.
#[inline(always)]
pub fn close(sock: u64, reason: u32) {
    let Some(entry) = SOCKETS.get_ptr(&sock) else { return };
    // SAFETY: a live map value.
    if unsafe { (*entry).inode } == 0 {
        // Of this one nothing was ever shipped.
        let _ = SOCKETS.remove(&sock);
        return;
    }
    let close = wire::Close {
        kind: wire::KIND_CLOSE,
        flags: 0,
        unused: 0,
        seq: maps::next_sequence(),
        // SAFETY: no arguments.
        time_ns: unsafe { bpf_ktime_get_boot_ns() },
        socket: sock,
        // SAFETY: a live map value.
        inode: unsafe { (*entry).inode },
        reason,
        reserved: 0,
    };
    if maps::RECORDS.output::<wire::Close>(&close, maps::wake()).is_err() {
        count(wire::COUNT_LOST_RING_FULL, 1);
    } else {
        count(wire::COUNT_RECORDS, 1);
    }
    if reason != wire::CLOSE_EOF {
        let _ = SOCKETS.remove(&sock);
    }
}
