//! The one capture function: both hook strategies end here with a completed socket operation.

use auditor_ebpf::wire;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel as raw_read_kernel;

use crate::{
    blind, foreign, head,
    head::start,
    kernel, leaf, log,
    maps::{self, Half, SOCKETS, Scratch, Socket, Word, carried, count, count_all},
    memory::{self, PREFIX, read_memory},
    proxied,
    ship::{close, ship_record},
    sock::{self, AF_UNIX, Sock},
    syscall, task,
};

const CAP: u64 = wire::HEAD_CAP as u64;

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
    pub netns: Word,
    pub family: Word,
    /// `struct file *` and its inode's number; 0: the kernel's own socket.
    file: Word,
    pub inode: Word,
    /// `wire::FLAG_*`
    pub flags: Word,
    pub position: Word,
    /// How many are in the record to be shipped.
    pub captured: Word,
    /// How many in front of the first head are no part of it ([`proxied`]).
    pub skipped: Word,
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
    } else if operation.call.direction.get() != SEND && head::may_be_frame(word, prefix) {
        return false;
    } else if sock::is_tcp(sock) {
        let _ = foreign::note(operation, false);
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
    let (mut w0, mut w1) = unsafe { (bytes.cast::<u64>().read(), bytes.add(8).cast::<u64>().read()) };
    let mut prefix_length = prefix_length;
    operation.skipped.set(0);
    if prefix_length == PREFIX && proxied::begins(w0, w1) {
        let wanted = if moved < proxied::READ { moved } else { proxied::READ };
        // All of it may be there already; then nothing says where it came from.
        let read = if operation.prefix.get() >= wanted { wanted } else { read_memory(wanted) };
        operation.skipped.set(proxied::header_length(w0, w1, read));
        let skipped = kernel::clamp(carried(&operation.skipped), proxied::LONGEST);
        let rest = moved.wrapping_sub(skipped);
        prefix_length = if rest < PREFIX { rest } else { PREFIX };
        // SAFETY: the buffer is longer by far.
        (w0, w1) = unsafe {
            let behind = bytes.add(skipped as usize).cast::<u64>();
            (behind.read_unaligned(), behind.add(1).read_unaligned())
        };
    }
    // An empty line before a request is to be ignored (RFC 9112 section 2.2); some clients end a body with one.
    let (w0, w1, length) = if prefix_length > 2 && w0 & 0xffff == 0x0a0d {
        ((w0 >> 16) | (w1 << 48), w1 >> 16, prefix_length - 2)
    } else {
        (w0, w1, prefix_length)
    };
    let begins = head::start_of(w0, w1, length);
    let starts = prefix_length > 0 && (begins == start::HEAD || begins == start::MAYBE);
    if starts {
        foreign::forget(operation.key.get());
    }
    if begins == start::HEAD && leaf::is_resting(operation) {
        if head::is_status_line(w0, length) {
            let _ = SOCKETS.remove(&sock);
            return verdict::UNKNOWN;
        }
        operation.leaf.set(u64::from(leaf::wake(operation.leaf.get() as u32)));
    }

    let known = SOCKETS.get_ptr_mut(&sock);
    if known.is_none() && !starts {
        let is_tls = begins == start::TLS || begins == start::TLS_HELLO;
        if is_tls {
            // A hello is counted where it is sent: every connection sends one, in one piece.
            blind::note(wire::BLIND_TLS, u64::from(begins == start::TLS_HELLO && sends), 1, moved);
        }
        // Of TCP, and what its first bytes are is known.
        if prefix_length > 0
            && operation.call.shape.get() != syscall::shape::MESSAGES
            && operation.flags.get() & u64::from(wire::FLAG_COUNTED) == 0
        {
            let was_certain = foreign::note(operation, is_tls);
            // It was said by then.
            if was_certain && is_tls {
                return verdict::UNKNOWN;
            }
        }
        let serves = blind::serves_unseen(begins, w0, w1, length);
        if serves == 0 {
            return verdict::UNKNOWN;
        }
        flag(operation, serves as u16);
        operation.captured.set(0);
        return verdict::SHIP;
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
    if operation.skipped.get() > 0 && !continues {
        scan.skip(operation.skipped.get());
    }
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
    // What stands in front of the first head takes room as well.
    let first = begin == 0 || begin == operation.skipped.get();
    half.head_len = if first { so_far + captured } else { captured.wrapping_sub(begin) };
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
