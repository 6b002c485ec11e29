//! The socket calls that the standard library has no name for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn message(parts: &mut [libc::iovec]) -> libc::mmsghdr {
    // SAFETY: both structures are plain integers and pointers, for which all zeroes is a valid value.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = parts.as_mut_ptr();
    message.msg_hdr.msg_iovlen = parts.len() as _;
    message
}

/// `recv` with `MSG_PEEK`: looks without taking.
pub(crate) fn peek(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for writes of its length for the duration of the call.
    check(unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_PEEK) })
}

/// `sendmmsg` of one message a part; how many bytes went out.
pub(crate) fn sendmmsg(fd: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<usize> {
    let mut iovecs: Vec<[libc::iovec; 1]> = parts.iter().map(|part| [iovec(part)]).collect();
    let mut messages: Vec<libc::mmsghdr> = iovecs.iter_mut().map(|iovec| message(iovec)).collect();
    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
    // SAFETY: every message points at one iovec of `iovecs`, which points at a part; all outlive the call.
    let sent = check(unsafe { libc::sendmmsg(fd.as_raw_fd(), messages.as_mut_ptr(), count, 0) } as isize)?;
    Ok(messages.iter().take(sent).map(|message| message.msg_len as usize).sum())
}

/// `recvmmsg` into up to four slices of the buffer; how many bytes came, moved together at its front.
pub(crate) fn recvmmsg(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let size = (buffer.len() / 4).max(1);
    let mut iovecs: Vec<[libc::iovec; 1]> = buffer
        .chunks_mut(size)
        .map(|chunk| [libc::iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: chunk.len() }])
        .collect();
    let mut messages: Vec<libc::mmsghdr> = iovecs.iter_mut().map(|iovec| message(iovec)).collect();
    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
    // SAFETY: every message points at one iovec of `iovecs`, which points into the exclusively borrowed buffer.
    let received = check(unsafe {
        libc::recvmmsg(fd.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_WAITFORONE as _, std::ptr::null_mut())
    } as isize)?;
    let mut total = 0;
    for (index, message) in messages.iter().take(received).enumerate() {
        let start = index * size;
        let length = message.msg_len as usize;
        buffer.copy_within(start..start + length, total);
        total += length;
    }
    Ok(total)
}

/// `sendfile` of a whole file from its start.
pub(crate) fn sendfile(fd: BorrowedFd<'_>, file: &std::fs::File, length: usize) -> io::Result<()> {
    let mut offset: libc::off_t = 0;
    let mut left = length;
    while left > 0 {
        // SAFETY: both descriptors are open for the duration of the call and `offset` is valid for writes.
        let sent = check(unsafe { libc::sendfile(fd.as_raw_fd(), file.as_raw_fd(), &mut offset, left) })?;
        if sent == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= sent;
    }
    Ok(())
}

/// Sends a signal to a process that the caller started.
pub(crate) fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: kill takes two integers and touches no memory of this process.
    check(unsafe { libc::kill(pid, signal) } as isize).map(drop)
}

/// Sends a signal to a process group whose leader the caller started.
pub(crate) fn signal_group(leader: u32, signal: i32) -> io::Result<()> {
    let group = i32::try_from(leader).map_err(io::Error::other)?;
    // SAFETY: kill takes two integers and touches no memory of this process.
    check(unsafe { libc::kill(-group, signal) } as isize).map(drop)
}

/// Ids of all BPF programs that the kernel holds.
pub(crate) fn bpf_program_ids() -> io::Result<Vec<u32>> {
    const BPF_PROG_GET_NEXT_ID: libc::c_int = 11;
    /// The part of `union bpf_attr` that this command uses.
    #[repr(C)]
    struct NextId {
        start_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut ids = Vec::new();
    let mut attr = NextId { start_id: 0, next_id: 0, open_flags: 0 };
    loop {
        // SAFETY: the kernel reads and writes `attr` within the size that is given.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_GET_NEXT_ID, &mut attr, std::mem::size_of::<NextId>()) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ENOENT) { Ok(ids) } else { Err(error) };
        }
        ids.push(attr.next_id);
        attr.start_id = attr.next_id;
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, cannot fail and touches no memory.
    unsafe { libc::geteuid() == 0 }
}

/// Loads an `sk_msg` program that passes every message on; it is gone when the descriptor is closed.
///
/// # Errors
/// What the kernel says.
pub fn pass_all_messages() -> io::Result<OwnedFd> {
    // `BPF_PROG_LOAD` with the first fields of `union bpf_attr`; of the others the kernel takes zeroes.
    #[repr(C)]
    struct Attributes {
        kind: u32,
        instructions: u32,
        program: u64,
        license: u64,
    }
    const PROG_LOAD: libc::c_long = 5;
    const SK_MSG: u32 = 16;
    /// `r0 = SK_PASS; exit`
    const PASS: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
    let license = c"GPL";
    let attributes = Attributes {
        kind: SK_MSG,
        instructions: PASS.len() as u32,
        program: PASS.as_ptr() as u64,
        license: license.as_ptr() as u64,
    };
    // SAFETY: the attributes are valid for reads of the given size, and so is what they point at.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, std::mem::size_of::<Attributes>())
    } as isize)?;
    // SAFETY: the kernel made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?) })
}
