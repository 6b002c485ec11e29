//! The one capture function: both hook strategies end here with a completed socket operation.
//!
//! Layout of a record while it is put together: header, AF_UNIX path, bytes. For the other families there is no path,
//! so the header moves up to the bytes and the record starts later in the buffer.

use auditor_ebpf::wire;
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_ktime_get_boot_ns, bpf_probe_read_kernel as raw_read_kernel,
    bpf_ringbuf_output,
};

use crate::{
    blind, coroutine, foreign, head,
    head::start,
    kernel, leaf, log,
    maps::{self, Half, SOCKETS, Scratch, Socket, Word, carried, count, count_all},
    memory::{self, CHUNK, PREFIX, read_memory},
    sock::{self, AF_INET6, AF_UNIX, Common, Sock},
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

/// A socket operation that has completed. All of it plain words in map memory: what one function finds out is an
/// unknown number to the verifier in the next, so that each is walked through once and not once for every history.
#[repr(C)]
pub struct Operation {
    /// `struct sock *`
    pub sock: Word,
    /// [`Sock::key`]
    pub key: Word,
    pub call: syscall::Call,
    /// Bytes moved, more than 0.
    pub moved: Word,
    /// How many of them, from the first, are in the record already; 0 when it is not that simple.
    pub prefix: Word,
    /// What is said of its process as a leaf ([`leaf::number`]).
    pub leaf: Word,
    /// Stack pointer of the thread when the call began.
    pub stack_pointer: Word,
    netns: Word,
    family: Word,
    /// `struct file *` and its inode's number; 0: the kernel's own socket.
    file: Word,
    inode: Word,
    /// `wire::FLAG_*`
    flags: Word,
    position: Word,
    captured: Word,
}

/// Whether an operation of `sock` has nothing to do with HTTP, as most have: it begins like nothing of ours and continues
/// nothing. Told, and counted, from as little as possible; `false` where that does not suffice.
#[inline(always)]
pub fn is_foreign<S: Sock>(scratch: &Scratch, sock: S) -> bool {
    let (operation, address) = (&scratch.operation, sock.address());
    operation.sock.set(address);
    operation.key.set(sock.key());
    // TCP discards instead of copying then.
    let discards = operation.call.flags.get() & syscall::MSG_TRUNC != 0;
    let moved = operation.moved.get();
    let prefix = if discards { 0 } else { memory::read_prefix(&operation.call, moved, scratch.bytes()) };
    operation.prefix.set(prefix);
    // SAFETY: the buffer is not empty, and longer than a word.
    let (first, word) = unsafe { (scratch.bytes().read(), scratch.bytes().cast::<u64>().read()) };
    if prefix > 0
        && leaf::is_resting(operation)
        && leaf::passes(operation, sock, first, head::is_status_line(word, prefix))
    {
        count_operation(moved);
        return true;
    }
    if prefix == 0 || head::may_begin(first) || sock::stream_family(sock).is_none() {
        return false;
    }
    if let Some(entry) = SOCKETS.get_ptr(&address) {
        let sends = operation.call.direction.get() == SEND;
        // SAFETY: a live map value.
        let pending = unsafe { if sends { (*entry).send.pending } else { (*entry).recv.pending } };
        // Where positions are not TCP's they are counted here.
        if pending != 0 || sock::is_closed(sock) || !sock.tcp().is_some_and(sock::counts_bytes) {
            return false;
        }
    } else if sock::is_tcp(sock) {
        foreign::note(operation);
    }
    count_operation(moved);
    true
}

#[inline(always)]
pub fn count_operation(moved: u64) {
    count_all([(wire::COUNT_OPERATIONS, 1), (wire::COUNT_BYTES, moved)]);
}

/// Looks at the scratch buffer's operation, whose memory is set, and ships what belongs to a message head.
#[inline(always)]
pub fn capture<S: Sock>(operation: &Operation, sock: S) {
    let Some(family) = sock::stream_family(sock) else { return };
    operation.family.set(u64::from(family));
    let (file, inode) = sock::file(sock).unwrap_or((0, 0));
    operation.file.set(file);
    operation.inode.set(inode);
    operation.netns.set(u64::from(sock.at(sock.field(&kernel::SOCK_NET)).field::<u32>(&kernel::NET_INUM)));
    if operation.moved.get() > u64::from(u32::MAX) {
        operation.moved.set(u64::from(u32::MAX));
    }
    let (moved, sends) = (operation.moved.get(), operation.call.direction.get() == SEND);
    let mut over = false;
    operation.flags.set(u64::from(wire::FLAG_COUNTED));
    if let Some(tcp) = sock.tcp() {
        if sock::counts_bytes(tcp) {
            operation.flags.set(0);
            operation.position.set(sock::position(tcp, sends, moved));
        }
        over = sock::is_closed(tcp) && !sock::has_unread(tcp);
    }
    count_operation(moved);
    let verdict = follow_operation();
    if verdict == verdict::SHIP {
        ship_record();
    }
    // The connection was over before its bytes were read: nothing will say so any more.
    if over && verdict != verdict::UNKNOWN {
        close(sock.address(), wire::CLOSE_LOCAL);
    }
}

/// A receive or send that moved nothing: the end of the stream, or of the connection.
#[inline(always)]
pub fn ended(operation: &Operation, sock: u64, result: i64) {
    if is_end(result) {
        close(sock, wire::CLOSE_LOCAL);
    } else if result == 0 && operation.call.direction.get() != SEND && memory::had_room(&operation.call) {
        let Some(entry) = SOCKETS.get_ptr_mut(&sock) else { return };
        // SAFETY: a live map value. Said once: a program may ask again and again.
        if unsafe { core::mem::replace(&mut (*entry).eof, 1) } == 0 {
            close(sock, wire::CLOSE_EOF);
        }
    }
}

/// Whether an error says that the connection is gone: `EPIPE`, `ECONNRESET`.
#[inline(always)]
pub fn is_end(result: i64) -> bool {
    result == -32 || result == -104
}

/// What [`follow_operation`] says.
mod verdict {
    /// The socket has not spoken HTTP.
    pub const UNKNOWN: u64 = 0;
    /// It has, but this operation has nothing of a head.
    pub const PASS: u64 = 1;
    /// There is something to ship.
    pub const SHIP: u64 = 2;
}

/// Decides whether the operation belongs to a message head and reads what does.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn follow_operation() -> u64 {
    let Some(scratch) = maps::scratch() else { return verdict::UNKNOWN };
    let (operation, bytes) = (&scratch.operation, scratch.bytes());
    let (sock, moved, sends) = (operation.sock.get(), operation.moved.get(), operation.call.direction.get() == SEND);
    let unix = operation.family.get() == u64::from(AF_UNIX);
    if !unix && !sends && operation.call.flags.get() & syscall::MSG_TRUNC != 0 {
        // TCP discards these bytes instead of copying them.
        operation.call.shape.set(syscall::shape::SPLICED);
        memory::memory_of_call();
    }

    let prefix_length = match operation.prefix.get() {
        0 => read_memory(if moved < PREFIX { moved } else { PREFIX }),
        length if length < PREFIX => length,
        _ => PREFIX,
    };
    // SAFETY: the buffer starts aligned and is longer than 16 bytes.
    let (w0, w1) = unsafe { (bytes.cast::<u64>().read(), bytes.add(8).cast::<u64>().read()) };
    // An empty line before a request is to be ignored (RFC 9112 section 2.2); some clients end a body with one.
    let (w0, w1, length) = if prefix_length > 2 && w0 & 0xffff == 0x0a0d {
        ((w0 >> 16) | (w1 << 48), w1 >> 16, prefix_length - 2)
    } else {
        (w0, w1, prefix_length)
    };
    let begins = head::start_of(w0, w1, length);
    let starts = prefix_length > 0 && (begins == start::HEAD || begins == start::MAYBE);
    if begins == start::HEAD && leaf::is_resting(operation) {
        if head::is_status_line(w0, length) {
            let _ = SOCKETS.remove(&sock);
            return verdict::UNKNOWN;
        }
        operation.leaf.set(u64::from(leaf::wake(operation.leaf.get() as u32)));
    }

    let known = SOCKETS.get_ptr_mut(&sock);
    if known.is_none() && !starts {
        if begins == start::TLS || begins == start::TLS_HELLO {
            foreign::forget(operation.key.get());
            // A hello is counted where it is sent: every connection sends one, in one piece.
            blind::note(wire::BLIND_TLS, u64::from(begins == start::TLS_HELLO && sends), moved);
        } else if begins == start::OTHER
            && prefix_length > 0
            && operation.call.shape.get() != syscall::shape::MESSAGES
            && operation.flags.get() & u64::from(wire::FLAG_COUNTED) == 0
        {
            foreign::note(operation);
        }
        return verdict::UNKNOWN;
    }

    let Some(inode) = inode_of(operation) else { return verdict::UNKNOWN };
    let turn = turn(operation);
    let entry = match known {
        // SAFETY: a live map value. All that a process sends is looked at: of a head that it began just before it was left
        // alone nothing is missing.
        Some(entry)
            if unsafe {
                (*entry).inode == inode
                    && ((*entry).turn == turn || leaf::is_resting(operation) && sends && (*entry).send.pending != 0)
            } =>
        {
            entry
        }
        // Unknown, or the address is another socket's now, or some of what crossed it was not looked at.
        _ => {
            if !starts {
                let _ = SOCKETS.remove(&sock);
                return verdict::UNKNOWN;
            }
            flag(operation, wire::FLAG_FRESH);
            if SOCKETS.insert(&sock, &NEW_SOCKET, 0).is_err() {
                count(wire::COUNT_LOST_SOCKET_TABLE, 1);
                maps::next_sequence();
                return verdict::UNKNOWN;
            }
            foreign::forget(operation.key.get());
            let Some(entry) = SOCKETS.get_ptr_mut(&sock) else { return verdict::UNKNOWN };
            // SAFETY: a live map value.
            unsafe {
                (*entry).inode = inode;
                (*entry).turn = turn;
            }
            entry
        }
    };
    // SAFETY: a live map value that none of the functions called from here touches; each half is only used by the task
    // that owns that direction's operation.
    let half = unsafe { if sends { &mut (*entry).send } else { &mut (*entry).recv } };

    if operation.flags.get() & u64::from(wire::FLAG_COUNTED) != 0 {
        operation.position.set(half.position);
        half.position = half.position.wrapping_add(moved);
    }
    let continues = half.pending != 0;
    if !continues && !starts {
        return verdict::PASS;
    }
    count(wire::COUNT_HEADS, u64::from(!continues));
    // Both flags while a head is followed: what was followed may have been a look-alike.
    if !continues || begins == start::HEAD {
        flag(operation, wire::FLAG_START);
    }
    if continues {
        flag(operation, wire::FLAG_CONTINUES);
    } else {
        for word in [&mut half.head_len, &mut half.newlines, &mut half.returns] {
            maps::clear(word);
        }
    }
    let so_far = if half.head_len < CAP { half.head_len } else { CAP };
    let room = CAP - so_far;
    let wanted = if moved < room { moved } else { room };
    // All of it may be there already, or more.
    operation.captured.set(if operation.prefix.get() >= wanted { wanted } else { read_memory(wanted) });
    let captured = kernel::clamp(carried(&operation.captured), CAP);
    operation.captured.set(captured);
    if captured == 0 {
        flag(operation, wire::FLAG_UNREADABLE);
        log::unreadable(task::ids(task::current()).tgid, moved);
        count(wire::COUNT_LOST_UNREADABLE, 1);
    }
    let scan = &scratch.scan;
    scan.start(half.newlines, half.returns);
    // SAFETY: captured <= CAP, and the buffer has room behind it.
    let pending =
        if carried(&operation.captured) == moved && ends_empty(unsafe { bytes.add(captured as usize) }, captured) {
            false
        } else {
            // SAFETY: as above.
            unsafe { bytes.add(captured as usize).cast::<u64>().write_unaligned(0) };
            head::scan_heads(captured) != 0
        };
    half.newlines = scan.newlines.get();
    half.returns = scan.returns.get();
    if !pending && captured > scan.end.get() + BODY_SHARE {
        operation.captured.set(scan.end.get() + BODY_SHARE);
    }
    let begin = kernel::clamp(scan.begin.get(), CAP);
    // Where some of it could not be read the daemon sees the hole; following on would ship noise.
    if !pending || captured < wanted || !remember_prefix(half, bytes, captured, so_far, begin) {
        maps::clear(&mut half.pending);
        maps::clear(&mut half.head_len);
        return verdict::SHIP;
    }
    half.pending = 1;
    half.head_len = if begin == 0 { so_far + captured } else { captured.wrapping_sub(begin) };
    if half.head_len >= CAP {
        half.pending = 0;
        count(wire::COUNT_TRUNCATED, 1);
        flag(operation, wire::FLAG_TRUNCATED);
    }
    verdict::SHIP
}

/// What was not seen in between makes two moments of a process be of different turns: those of the duty cycle, or between
/// which it was left alone.
#[inline(always)]
pub fn turn(operation: &Operation) -> u32 {
    if maps::PERIOD_MS.load() == 0 { operation.leaf.get() as u32 } else { task::turn() }
}

/// The same for a position in an array of messages. Also of who is left alone all that is sent is looked at.
#[inline(always)]
pub fn turn_of_cursor(operation: &Operation) -> u64 {
    let sends = operation.call.direction.get() == SEND;
    if sends && maps::PERIOD_MS.load() == 0 { 0 } else { u64::from(turn(operation)) }
}

/// Whether bytes that end before `end` end with an empty line: the head that they begin or continue is over then, and a
/// body behind it as well, so that it need not be looked for. Only where all of them are shipped in any case.
#[inline(always)]
fn ends_empty(end: *const u8, length: u64) -> bool {
    // SAFETY: there is more in front of the captured bytes than four.
    (4..=BODY_SHARE).contains(&length)
        && unsafe { end.sub(4).cast::<u32>().read_unaligned() } == u32::from_le_bytes(*b"\r\n\r\n")
}

#[inline(always)]
fn flag(operation: &Operation, flag: u16) {
    operation.flags.set(operation.flags.get() | u64::from(flag));
}

/// Inode number of the operation's socket file; `None` for a socket that the current call does not name.
///
/// Without a file the socket is the kernel's own; with one that the call does not name, a kernel user is working on
/// behalf of this task (NBD): either way the task's registers describe something else.
#[inline(always)]
fn inode_of(operation: &Operation) -> Option<u64> {
    let file = operation.file.get();
    (file != 0 && syscall::file_of(operation.call.fd.get()) == Some(file)).then(|| operation.inode.get())
}

pub const SEND: u64 = wire::DIRECTION_SEND as u64;
const NEW_HALF: Half = Half { position: 0, newlines: 0, returns: 0, head_len: 0, pending: 0, prefix: [0; 32] };
pub const NEW_SOCKET: Socket =
    Socket { inode: 0, eof: 0, turn: 0, answers: 0, unused: 0, send: NEW_HALF, recv: NEW_HALF };

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

/// Puts the record together around the captured bytes and ships it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ship_record() -> u64 {
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
