//! The system call that moved the bytes: its number, its arguments, and the socket behind a file descriptor.

use auditor_ebpf::wire::{DIRECTION_RECV, DIRECTION_SEND};
use aya_ebpf::Global;

use crate::kernel;

/// System call numbers differ between architectures: the daemon writes its own (`libc::SYS_*`) before the load.
macro_rules! numbers {
    ($($name:ident;)*) => { $(#[unsafe(no_mangle)] pub static $name: Global<u32> = Global::new(u32::MAX);)* };
}

numbers! {
    NR_READ; NR_WRITE; NR_READV; NR_WRITEV; NR_PREADV2; NR_PWRITEV2; NR_SENDTO; NR_RECVFROM; NR_SENDMSG; NR_RECVMSG;
    NR_SENDMMSG; NR_RECVMMSG; NR_SENDFILE; NR_SPLICE; NR_IO_URING_ENTER;
}

/// How a call describes the user memory it moves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Pointer and length.
    Buffer,
    /// Pointer to an array of `struct iovec`, and their number.
    Vector,
    /// Pointer to one `struct msghdr`.
    Message,
    /// Pointer to an array of `struct mmsghdr`, and their number.
    Messages,
    /// No user memory: sendfile, splice.
    Spliced,
}

/// A call of the kind that moves bytes through sockets.
#[derive(Clone, Copy)]
pub struct Call {
    pub direction: u8,
    pub shape: Shape,
    /// The socket's file descriptor.
    pub fd: u32,
    pub pointer: u64,
    pub length: u64,
    /// `MSG_*` flags.
    pub flags: u32,
}

/// `MSG_PEEK`: nothing is consumed.
pub const MSG_PEEK: u32 = 0x02;
/// `MSG_TRUNC`: TCP discards the bytes instead of copying them to the user.
pub const MSG_TRUNC: u32 = 0x20;
/// `MSG_OOB`: not in the stream's order.
pub const MSG_OOB: u32 = 0x01;
/// `MSG_ERRQUEUE`: reads the error queue, not the stream.
pub const MSG_ERRQUEUE: u32 = 0x2000;

#[inline(always)]
fn argument(regs: u64, offset: &Global<u32>) -> u64 {
    kernel::read(regs, offset).unwrap_or(0)
}

/// Number of the current system call; negative (huge) when the task is not in one.
#[inline(always)]
pub fn number(regs: u64) -> u32 {
    kernel::read::<u64>(regs, &kernel::REGS_NR).unwrap_or(u64::MAX) as u32
}

/// Decodes the call; `None` when it is not one that moves bytes through a socket.
///
/// `splice` has a socket at either end: `splice_direction` says which one is meant.
#[inline(always)]
pub fn decode(nr: u32, regs: u64, splice_direction: u8) -> Option<Call> {
    use Shape::{Buffer, Message, Messages, Spliced, Vector};
    let (direction, shape) = if nr == NR_READ.load() || nr == NR_RECVFROM.load() {
        (DIRECTION_RECV, Buffer)
    } else if nr == NR_WRITE.load() || nr == NR_SENDTO.load() {
        (DIRECTION_SEND, Buffer)
    } else if nr == NR_READV.load() || nr == NR_PREADV2.load() {
        (DIRECTION_RECV, Vector)
    } else if nr == NR_WRITEV.load() || nr == NR_PWRITEV2.load() {
        (DIRECTION_SEND, Vector)
    } else if nr == NR_RECVMSG.load() {
        (DIRECTION_RECV, Message)
    } else if nr == NR_SENDMSG.load() {
        (DIRECTION_SEND, Message)
    } else if nr == NR_RECVMMSG.load() {
        (DIRECTION_RECV, Messages)
    } else if nr == NR_SENDMMSG.load() {
        (DIRECTION_SEND, Messages)
    } else if nr == NR_SENDFILE.load() {
        (DIRECTION_SEND, Spliced)
    } else if nr == NR_SPLICE.load() {
        (splice_direction, Spliced)
    } else {
        return None;
    };
    let spliced_out = nr == NR_SPLICE.load() && splice_direction == DIRECTION_SEND;
    let fd = argument(regs, if spliced_out { &kernel::REGS_ARG2 } else { &kernel::REGS_ARG0 }) as u32;
    let flags = if nr == NR_RECVFROM.load() || nr == NR_RECVMMSG.load() {
        argument(regs, &kernel::REGS_ARG3) as u32
    } else if nr == NR_RECVMSG.load() {
        argument(regs, &kernel::REGS_ARG2) as u32
    } else {
        0
    };
    Some(Call {
        direction,
        shape,
        fd,
        pointer: argument(regs, &kernel::REGS_ARG1),
        length: argument(regs, &kernel::REGS_ARG2),
        flags,
    })
}

/// The `struct file` behind a file descriptor of `task`.
#[inline(always)]
pub fn file_of(task: u64, fd: u32) -> Option<u64> {
    let files = kernel::pointer(task, &kernel::TASK_FILES)?;
    let table = kernel::pointer(files, &kernel::FILES_FDT)?;
    if fd >= kernel::read::<u32>(table, &kernel::FDTABLE_MAX_FDS)? {
        return None;
    }
    let array = kernel::pointer(table, &kernel::FDTABLE_FD)?;
    let slot = array.wrapping_add(u64::from(fd) * 8);
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
