//! The system call that moved the bytes: its number, its arguments, and the socket behind a file descriptor.

use auditor_ebpf::wire::{DIRECTION_RECV, DIRECTION_SEND};
use aya_ebpf::Global;

use crate::{
    kernel,
    maps::{self, Word},
    task,
};

/// System call numbers differ between architectures: the daemon writes its own (`libc::SYS_*`) before the load.
macro_rules! numbers {
    ($($name:ident;)*) => { $(#[unsafe(no_mangle)] pub static $name: Global<u32> = Global::new(u32::MAX);)* };
}

numbers! {
    NR_READ; NR_WRITE; NR_READV; NR_WRITEV; NR_PREADV2; NR_PWRITEV2; NR_SENDTO; NR_RECVFROM; NR_SENDMSG; NR_RECVMSG;
    NR_SENDMMSG; NR_RECVMMSG; NR_SENDFILE; NR_SPLICE; NR_IO_URING_ENTER;
}

/// How a call describes the user memory it moves: plain numbers, because they travel through map memory.
pub mod shape {
    /// Pointer and length.
    pub const BUFFER: u64 = 0;
    /// Pointer to an array of `struct iovec`, and their number.
    pub const VECTOR: u64 = 1;
    /// Pointer to one `struct msghdr`.
    pub const MESSAGE: u64 = 2;
    /// Pointer to an array of `struct mmsghdr`, and their number.
    pub const MESSAGES: u64 = 3;
    /// No user memory: sendfile, splice.
    pub const SPLICED: u64 = 4;
}

/// A call of the kind that moves bytes through sockets.
#[repr(C)]
pub struct Call {
    /// `wire::DIRECTION_*`
    pub direction: Word,
    /// `shape::*`
    pub shape: Word,
    /// The socket's file descriptor.
    pub fd: Word,
    pub pointer: Word,
    pub length: Word,
    /// `MSG_*` flags.
    pub flags: Word,
}

/// `MSG_PEEK`: nothing is consumed.
pub const MSG_PEEK: u64 = 0x02;
/// `MSG_TRUNC`: TCP discards the bytes instead of copying them to the user.
pub const MSG_TRUNC: u64 = 0x20;
/// `MSG_OOB`: not in the stream's order.
pub const MSG_OOB: u64 = 0x01;
/// `MSG_ERRQUEUE`: reads the error queue, not the stream.
pub const MSG_ERRQUEUE: u64 = 0x2000;
/// Nothing of the stream is consumed.
pub const NOT_OF_STREAM: u64 = MSG_PEEK | MSG_OOB | MSG_ERRQUEUE;

#[inline(always)]
fn argument(regs: u64, offset: &Global<u32>) -> u64 {
    kernel::load(regs, offset)
}

/// Number of the current system call; negative (huge) when the task is not in one.
#[inline(always)]
pub fn number(regs: u64) -> u32 {
    kernel::load::<u64>(regs, &kernel::REGS_NR) as u32
}

/// Stack pointer of the thread when the call began.
#[inline(always)]
pub fn stack_pointer(regs: u64) -> u64 {
    kernel::load(regs, &kernel::REGS_SP)
}

/// Whether the call moves several messages, each an operation of its own.
#[inline(always)]
pub fn moves_messages(nr: u32) -> bool {
    nr == NR_SENDMMSG.load() || nr == NR_RECVMMSG.load()
}

/// Whether the call is one that moves bytes through a socket.
#[inline(always)]
pub fn moves_bytes(nr: u32) -> bool {
    nr == NR_READ.load()
        || nr == NR_WRITE.load()
        || nr == NR_SENDTO.load()
        || nr == NR_RECVFROM.load()
        || nr == NR_WRITEV.load()
        || nr == NR_SENDMSG.load()
        || nr == NR_RECVMSG.load()
        || nr == NR_READV.load()
        || nr == NR_SENDFILE.load()
        || nr == NR_SPLICE.load()
        || nr == NR_SENDMMSG.load()
        || nr == NR_RECVMMSG.load()
        || nr == NR_PREADV2.load()
        || nr == NR_PWRITEV2.load()
}

/// Whether the number is that of a 32-bit call that can move bytes through a socket. (Most of them are rare calls in
/// the 64-bit table, so that few tasks need to be asked.)
#[inline(always)]
pub fn may_be_compat(nr: u32) -> bool {
    matches!(nr, I386_READ | I386_WRITE | I386_SOCKETCALL | I386_READV | I386_WRITEV | 369..=372)
}

const I386_READ: u32 = 3;
const I386_WRITE: u32 = 4;
const I386_SOCKETCALL: u32 = 102;
const I386_READV: u32 = 145;
const I386_WRITEV: u32 = 146;

/// The file descriptor of such a call; `None` for `socketcall`, which is about sockets by itself.
#[inline(always)]
pub fn compat_fd(regs: u64, nr: u32) -> Option<u64> {
    if nr == I386_SOCKETCALL { None } else { Some(argument(regs, &kernel::REGS_COMPAT_ARG0) & 0xffff_ffff) }
}

/// The simple calls, which most are, decoded at once; `false` for all others.
#[inline(always)]
pub fn decode_simple(call: &Call, regs: u64, nr: u32) -> bool {
    let receives = nr == NR_READ.load() || nr == NR_RECVFROM.load();
    if !receives && nr != NR_WRITE.load() && nr != NR_SENDTO.load() {
        return false;
    }
    call.direction.set(u64::from(if receives { DIRECTION_RECV } else { DIRECTION_SEND }));
    call.shape.set(shape::BUFFER);
    call.fd.set(argument(regs, &kernel::REGS_ARG0) & 0xffff_ffff);
    call.pointer.set(argument(regs, &kernel::REGS_ARG1));
    call.length.set(argument(regs, &kernel::REGS_ARG2));
    call.flags.set(if nr == NR_RECVFROM.load() { argument(regs, &kernel::REGS_ARG3) } else { 0 });
    true
}

/// Decodes a call that [`decode_simple`] does not into the scratch buffer's operation; 0 when it is not one that moves
/// bytes through a socket.
///
/// `splice` has a socket at either end: `splice_direction` says which one is meant. A function of its own, with its
/// result in map memory, so that the verifier does not follow every kind of call through all that comes after.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn decode_call(nr: u64, splice_direction: u64) -> u64 {
    const SEND: u64 = DIRECTION_SEND as u64;
    const RECV: u64 = DIRECTION_RECV as u64;
    let Some(scratch) = maps::scratch() else { return 0 };
    let (call, regs) = (&scratch.operation.call, task::registers(task::current()));
    let nr = nr as u32;
    let (direction, shape) = if nr == NR_WRITEV.load() || nr == NR_PWRITEV2.load() {
        (SEND, shape::VECTOR)
    } else if nr == NR_SENDMSG.load() {
        (SEND, shape::MESSAGE)
    } else if nr == NR_RECVMSG.load() {
        (RECV, shape::MESSAGE)
    } else if nr == NR_READV.load() || nr == NR_PREADV2.load() {
        (RECV, shape::VECTOR)
    } else if nr == NR_RECVMMSG.load() {
        (RECV, shape::MESSAGES)
    } else if nr == NR_SENDMMSG.load() {
        (SEND, shape::MESSAGES)
    } else if nr == NR_SENDFILE.load() {
        (SEND, shape::SPLICED)
    } else if nr == NR_SPLICE.load() {
        (splice_direction, shape::SPLICED)
    } else {
        return 0;
    };
    call.direction.set(direction);
    call.shape.set(shape);
    let spliced_out = nr == NR_SPLICE.load() && splice_direction == SEND;
    let fd = argument(regs, if spliced_out { &kernel::REGS_ARG2 } else { &kernel::REGS_ARG0 });
    // A descriptor is an int: what is above it in the register means nothing.
    call.fd.set(fd & 0xffff_ffff);
    call.flags.set(if nr == NR_RECVMMSG.load() {
        argument(regs, &kernel::REGS_ARG3)
    } else if nr == NR_RECVMSG.load() {
        argument(regs, &kernel::REGS_ARG2)
    } else {
        0
    });
    call.pointer.set(argument(regs, &kernel::REGS_ARG1));
    call.length.set(argument(regs, &kernel::REGS_ARG2));
    1
}

/// The `struct file` behind a file descriptor of the current task.
#[inline(always)]
pub fn file_of(fd: u64) -> Option<u64> {
    let table: u64 = kernel::load(kernel::load(task::current(), &kernel::TASK_FILES), &kernel::FILES_FDT);
    if fd >= u64::from(kernel::load::<u32>(table, &kernel::FDTABLE_MAX_FDS)) {
        return None;
    }
    let slot = kernel::load::<u64>(table, &kernel::FDTABLE_FD).wrapping_add(fd * 8);
    // SAFETY: the helper checks the address.
    match unsafe { aya_ebpf::helpers::bpf_probe_read_kernel(slot as *const u64) } {
        Ok(0) | Err(_) => None,
        Ok(file) => Some(file),
    }
}

/// The `struct sock` of a socket file; `None` for any other file.
#[inline(always)]
pub fn sock_of(file: u64) -> Option<u64> {
    const S_IFMT: u16 = 0o170_000;
    const S_IFSOCK: u16 = 0o140_000;
    let inode = kernel::pointer(file, &kernel::FILE_INODE)?;
    if kernel::read::<u16>(inode, &kernel::INODE_MODE)? & S_IFMT != S_IFSOCK {
        return None;
    }
    let socket = kernel::pointer(file, &kernel::FILE_PRIVATE_DATA)?;
    kernel::pointer(socket, &kernel::SOCKET_SK)
}
