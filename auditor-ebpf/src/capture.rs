//! The one capture function: both hook strategies end here with a completed socket operation.
//!
//! Layout of a record while it is put together: header, AF_UNIX path, bytes. For the other families there is no path,
//! so the header moves up to the bytes and the record starts later in the buffer.

use auditor_ebpf::wire;
use aya_ebpf::helpers::{
    bpf_get_current_comm,
    generated::{
        bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns, bpf_probe_read_kernel as raw_read_kernel, bpf_ringbuf_output,
    },
};

use crate::{
    blind, head,
    head::start,
    kernel, log,
    maps::{self, Half, SCRATCH, SOCKETS, Scratch, Socket, count},
    memory::{CHUNK, read_memory},
    syscall, task,
};

const HEADER: usize = size_of::<wire::Data>();
pub const BYTES: usize = HEADER + wire::UNIX_PATH_SLOT;
const CAP: u64 = wire::HEAD_CAP as u64;
/// A head at the cap, one chunk more for the verifier's view of a copy, one word for the scan's overrun.
pub const RECORD_ROOM: usize = BYTES + wire::HEAD_CAP + CHUNK as usize + 16;

/// Bytes behind a head that are shipped with it when they share an operation: enough to frame a short chunked body, or
/// a pipelined request behind a small one. The daemon masks them.
const BODY_SHARE: u64 = 1024;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
const IPPROTO_TCP: u16 = 6;

/// A socket operation that has completed. All of it plain words in map memory: what one function finds out is an
/// unknown number to the verifier in the next, so that each is walked through once and not once for every history.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Operation {
    /// `struct task_struct *`
    pub task: u64,
    /// `struct pt_regs *`: the registers saved when the call began.
    pub regs: u64,
    /// `struct sock *`
    pub sock: u64,
    pub call: syscall::Call,
    /// Bytes moved, more than 0.
    pub moved: u64,
    family: u64,
    inode: u64,
    /// `wire::FLAG_*`
    flags: u64,
    position: u64,
    captured: u64,
}

/// Looks at the scratch buffer's operation and ships what belongs to a message head.
#[inline(always)]
pub fn capture(scratch: &mut Scratch) {
    let operation = &mut scratch.operation;
    let Some(family) = stream_family(operation.sock) else { return };
    operation.family = u64::from(family);
    operation.flags = 0;
    if operation.moved > u64::from(u32::MAX) {
        operation.moved = u64::from(u32::MAX);
    }
    count(wire::COUNT_OPERATIONS, 1);
    count(wire::COUNT_BYTES, operation.moved);
    if follow_operation() != 0 {
        ship_record();
    }
}

/// The family of a stream socket that can carry HTTP.
#[inline(always)]
fn stream_family(sock: u64) -> Option<u16> {
    let family = kernel::read::<u16>(sock, &kernel::SOCK_FAMILY)?;
    if family != AF_INET && family != AF_INET6 && family != AF_UNIX {
        return None;
    }
    (kernel::read::<u16>(sock, &kernel::SOCK_TYPE)? == SOCK_STREAM).then_some(family)
}

/// Decides whether the operation belongs to a message head and reads what does; 0 when there is nothing to ship.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn follow_operation() -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's slot, held by the hook.
    let scratch = unsafe { &mut *scratch };
    let operation = &mut scratch.operation;
    let bytes = scratch.record.as_mut_ptr().wrapping_add(BYTES);

    let prefix_length = read_memory(if operation.moved < 16 { operation.moved } else { 16 });
    // SAFETY: the buffer starts aligned and is longer than 16 bytes.
    let begins =
        unsafe { head::start_of(bytes.cast::<u64>().read(), bytes.add(8).cast::<u64>().read(), prefix_length) };
    let starts = prefix_length > 0 && (begins == start::HEAD || begins == start::MAYBE);

    let known = SOCKETS.get_ptr_mut(&operation.sock);
    if known.is_none() && !starts {
        if begins == start::TLS || begins == start::TLS_HELLO {
            // A hello is counted where it is sent: every connection sends one, in one piece.
            let opens = begins == start::TLS_HELLO && operation.call.direction == SEND;
            blind::note(wire::BLIND_TLS, u64::from(opens), operation.moved);
        }
        return 0;
    }

    let Some(inode) = inode_of(operation) else { return 0 };
    operation.inode = inode;
    let entry = match known {
        // SAFETY: a live map value.
        Some(entry) if unsafe { (*entry).inode } == inode => entry,
        // Unknown, or the address is another socket's now.
        _ => {
            if !starts {
                let _ = SOCKETS.remove(&operation.sock);
                return 0;
            }
            operation.flags |= FRESH;
            if SOCKETS.insert(&operation.sock, &NEW_SOCKET, 0).is_err() {
                count(wire::COUNT_LOST_SOCKET_TABLE, 1);
                maps::next_sequence();
                return 0;
            }
            let Some(entry) = SOCKETS.get_ptr_mut(&operation.sock) else { return 0 };
            // SAFETY: a live map value.
            unsafe { (*entry).inode = inode };
            entry
        }
    };
    // SAFETY: a live map value; the two halves are only touched by the task that owns that direction's operation.
    let half = unsafe { if operation.call.direction == SEND { &mut (*entry).send } else { &mut (*entry).recv } };

    match tcp_position(operation) {
        Some(position) => operation.position = position,
        None => {
            operation.flags |= u64::from(wire::FLAG_COUNTED);
            operation.position = half.position;
            half.position = half.position.wrapping_add(operation.moved);
        }
    }
    let continues = half.pending != 0;
    if !continues && !starts {
        return 0;
    }
    count(wire::COUNT_HEADS, u64::from(!continues));
    // Both flags while a head is followed: what was followed may have been a look-alike.
    if !continues || begins == start::HEAD {
        operation.flags |= u64::from(wire::FLAG_START);
    }
    if continues {
        operation.flags |= u64::from(wire::FLAG_CONTINUES);
    } else {
        half.head_len = 0;
        half.newlines = 0;
        half.returns = 0;
    }
    let so_far = if half.head_len < CAP { half.head_len } else { CAP };
    let room = CAP - so_far;
    let wanted = if operation.moved < room { operation.moved } else { room };
    operation.captured = kernel::clamp(read_memory(wanted), CAP);
    if operation.captured == 0 {
        operation.flags |= u64::from(wire::FLAG_UNREADABLE);
        log::unreadable(task::ids().tgid, operation.moved);
        count(wire::COUNT_LOST_UNREADABLE, 1);
    }
    let captured = kernel::clamp(operation.captured, CAP);
    // SAFETY: captured <= CAP, and the buffer has room behind it.
    unsafe { bytes.add(captured as usize).cast::<u64>().write_unaligned(0) };
    scratch.scan = head::Scan::new(half.newlines, half.returns);
    let pending = head::scan_heads(captured) != 0;
    half.newlines = scratch.scan.newlines;
    half.returns = scratch.scan.returns;
    if !pending && captured > scratch.scan.end + BODY_SHARE {
        operation.captured = scratch.scan.end + BODY_SHARE;
    }
    let begin = kernel::clamp(scratch.scan.begin, CAP);
    // Where some of it could not be read the daemon sees the hole; following on would ship noise.
    if !pending || captured < wanted || !remember_prefix(half, bytes, captured, so_far, begin) {
        half.pending = 0;
        half.head_len = 0;
        return 1;
    }
    half.pending = 1;
    half.head_len = if begin == 0 { so_far + captured } else { captured.wrapping_sub(begin) };
    if half.head_len >= CAP {
        half.pending = 0;
        count(wire::COUNT_TRUNCATED, 1);
        operation.flags |= u64::from(wire::FLAG_TRUNCATED);
    }
    1
}

/// Inode of the operation's socket file; `None` for a socket that the current call does not name.
///
/// Without a file the socket is the kernel's own (NFS, CIFS); with one that the call does not name, a kernel user is
/// working on behalf of this task (NBD): either way the task's registers describe something else.
#[inline(always)]
fn inode_of(operation: &Operation) -> Option<u64> {
    let socket = kernel::pointer(operation.sock, &kernel::SOCK_SOCKET)?;
    let file = kernel::pointer(socket, &kernel::SOCKET_FILE)?;
    if syscall::file_of(operation.task, operation.call.fd) != Some(file) {
        return None;
    }
    kernel::read(kernel::pointer(file, &kernel::FILE_INODE)?, &kernel::INODE_INO)
}

const SEND: u64 = wire::DIRECTION_SEND as u64;
const FRESH: u64 = wire::FLAG_FRESH as u64;
const NEW_HALF: Half = Half { position: 0, newlines: 0, returns: 0, head_len: 0, pending: 0, prefix: [0; 32] };
const NEW_SOCKET: Socket = Socket { inode: 0, send: NEW_HALF, recv: NEW_HALF };

/// A head that began with too few bytes to be told is judged again as more arrive; false when it is none.
#[inline(always)]
fn remember_prefix(half: &mut Half, bytes: *const u8, captured: u64, so_far: u64, begin: u64) -> bool {
    let have = kernel::clamp(if begin == 0 { so_far } else { 0 }, 16);
    if have == 16 {
        return true;
    }
    let new = captured.wrapping_sub(begin);
    let length = kernel::clamp(new, 16);
    let prefix = half.prefix.as_mut_ptr();
    // SAFETY: have <= 16 and length <= 16: 32 bytes of room; the source has a chunk of room behind any begin.
    unsafe {
        raw_read_kernel(prefix.add(have as usize).cast(), length as u32, bytes.add(begin as usize).cast());
        let begins = head::start_of(prefix.cast::<u64>().read(), prefix.add(8).cast::<u64>().read(), have + length);
        begins == start::HEAD || begins == start::MAYBE
    }
}

/// Position from TCP's own sequence numbers: exact whatever happened before, spliced bytes included. `None` where they
/// count something else (TLS in the kernel, MPTCP) or there are none (AF_UNIX).
#[inline(always)]
fn tcp_position(operation: &Operation) -> Option<u64> {
    if operation.family == u64::from(AF_UNIX) {
        return None;
    }
    let sock = operation.sock;
    if kernel::read::<u16>(sock, &kernel::SOCK_PROTOCOL)? != IPPROTO_TCP
        || kernel::pointer(sock, &kernel::ICSK_ULP_OPS).is_some()
    {
        return None;
    }
    let field = if operation.call.direction == SEND { &kernel::TCP_WRITE_SEQ } else { &kernel::TCP_COPIED_SEQ };
    let after = kernel::read::<u32>(sock, field)?;
    Some(u64::from(after.wrapping_sub(operation.moved as u32)))
}

/// Puts the record together around the captured bytes and ships it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ship_record() -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's slot, held by the hook.
    let scratch = unsafe { &mut *scratch };
    let operation = &scratch.operation;
    let family = operation.family as u16;
    let unix = family == AF_UNIX;
    let begin = if unix { 0 } else { wire::UNIX_PATH_SLOT };
    let record = scratch.record.as_mut_ptr().wrapping_add(begin);
    let length = kernel::clamp((BYTES - begin) as u64 + operation.captured, (BYTES + wire::HEAD_CAP) as u64);
    // SAFETY: the header's room in this CPU's scratch buffer, aligned to 8; all fields are plain integers.
    let header = unsafe { &mut *record.cast::<wire::Data>() };
    header.kind = wire::KIND_DATA;
    header.flags = operation.flags as u16;
    header.len = length as u32;
    // SAFETY: no arguments.
    header.time_ns = unsafe { bpf_ktime_get_boot_ns() };
    header.socket = operation.sock;
    header.inode = operation.inode;
    header.position = operation.position;
    header.op_len = operation.moved as u32;
    header.captured = operation.captured as u32;
    header.task = task::ids();
    header.start_ns = task::process_start(operation.task).unwrap_or(0);
    // SAFETY: no arguments.
    header.cgroup = unsafe { bpf_get_current_cgroup_id() };
    header.coroutine = 0;
    task::ancestors(operation.task, &mut header.ancestors);
    header.family = family;
    header.direction = operation.call.direction as u8;
    header.path_len = 0;
    header.peer_tgid = 0;
    header.comm = bpf_get_current_comm().unwrap_or_default();
    header.netns = kernel::pointer(operation.sock, &kernel::SOCK_NET)
        .and_then(|net| kernel::read(net, &kernel::NET_INUM))
        .unwrap_or(0);
    if unix {
        unix_names(operation.sock, header, record.wrapping_add(HEADER));
    } else {
        addresses(operation.sock, family, header);
    }
    // Last, so that the ring buffer's order is as close to the numbers' order as it gets.
    header.seq = maps::next_sequence();
    // SAFETY: `length` bytes from `record` are inside the scratch buffer.
    let failed =
        unsafe { bpf_ringbuf_output(core::ptr::from_ref(&maps::RECORDS).cast_mut().cast(), record.cast(), length, 0) };
    if failed != 0 {
        count(wire::COUNT_LOST_RING_FULL, 1);
        log::lost(header.task.tgid, header.seq);
    } else {
        log::shipped(header.task.tgid, header.seq, operation.captured);
        count(wire::COUNT_RECORDS, 1);
        count(wire::COUNT_BYTES_CAPTURED, operation.captured);
    }
    0
}

/// Both ends of a TCP socket; IPv4 is written as v4-mapped IPv6.
#[inline(always)]
fn addresses(sock: u64, family: u16, header: &mut wire::Data) {
    header.local_port = kernel::read(sock, &kernel::SOCK_NUM).unwrap_or(0);
    header.remote_port = u16::from_be(kernel::read(sock, &kernel::SOCK_DPORT).unwrap_or(0));
    if family == AF_INET6 {
        header.local = kernel::read(sock, &kernel::SOCK_V6_RCV_SADDR).unwrap_or([0; 16]);
        header.remote = kernel::read(sock, &kernel::SOCK_V6_DADDR).unwrap_or([0; 16]);
    } else {
        header.local = mapped(kernel::read(sock, &kernel::SOCK_RCV_SADDR).unwrap_or([0; 4]));
        header.remote = mapped(kernel::read(sock, &kernel::SOCK_DADDR).unwrap_or([0; 4]));
    }
}

#[inline(always)]
fn mapped(address: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, address[0], address[1], address[2], address[3]]
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
    let address = match kernel::pointer(sock, &kernel::UNIX_ADDR) {
        Some(own) => own,
        None => {
            let Some(peer) = kernel::pointer(sock, &kernel::UNIX_PEER) else { return };
            let Some(address) = kernel::pointer(peer, &kernel::UNIX_ADDR) else { return };
            address
        }
    };
    // `len` counts sun_family too.
    let length = u64::from(kernel::read::<u32>(address, &kernel::UNIX_ADDRESS_LEN).unwrap_or(0).saturating_sub(2));
    let length = kernel::clamp(length, wire::UNIX_PATH_CAP as u64);
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
    let close = wire::Close {
        kind: wire::KIND_CLOSE,
        flags: 0,
        len: size_of::<wire::Close>() as u32,
        seq: maps::next_sequence(),
        // SAFETY: no arguments.
        time_ns: unsafe { bpf_ktime_get_boot_ns() },
        socket: sock,
        // SAFETY: a live map value.
        inode: unsafe { (*entry).inode },
        reason,
        reserved: 0,
    };
    if maps::RECORDS.output::<wire::Close>(&close, 0).is_err() {
        count(wire::COUNT_LOST_RING_FULL, 1);
    } else {
        count(wire::COUNT_RECORDS, 1);
    }
    if reason != wire::CLOSE_EOF {
        let _ = SOCKETS.remove(&sock);
    }
}
