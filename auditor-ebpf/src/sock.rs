//! What a `struct sock` says of itself.

use core::{arch::asm, cell::UnsafeCell, ffi::c_void};

use aya_ebpf::{
    Global,
    helpers::generated::{bpf_probe_read_kernel as raw_read_kernel, bpf_skc_to_tcp_sock},
};

use crate::{kernel, maps};

pub const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
const IPPROTO_TCP: u16 = 6;

/// A socket, and how its fields are read.
pub trait Sock: Copy {
    /// Where the `struct sock` is.
    fn address(self) -> u64;
    /// A number that no other socket has while it lives: its address, counted from [`maps::ORIGIN`].
    fn key(self) -> u64;
    /// The field at `offset`; 0 when it cannot be read.
    fn field<T: Copy + Default>(self, offset: &Global<u32>) -> T;
    /// What a pointer of its leads to: an address whose fields are read likewise.
    fn at(self, address: u64) -> Self;
    /// Itself as a `struct tcp_sock`; `None` for other protocols, MPTCP among them.
    fn tcp(self) -> Option<Self>;
}

/// A socket that a tracepoint is given: the verifier knows its type.
#[derive(Clone, Copy)]
pub struct Given(pub u64);

/// A socket that was found through a file descriptor: an address like any other to the verifier.
#[derive(Clone, Copy)]
pub struct Found(pub u64);

impl Sock for Given {
    #[inline(always)]
    fn address(self) -> u64 {
        self.0
    }

    #[inline(always)]
    fn key(self) -> u64 {
        let mut key = self.0;
        // SAFETY: a subtraction. The verifier allows no other arithmetic with a pointer to get a number, nor this one in
        // whatever order the compiler may prefer.
        unsafe { asm!("{key} -= {origin}", key = inout(reg) key, origin = in(reg) maps::ORIGIN.get()) };
        key
    }

    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: &Global<u32>) -> T {
        kernel::load(self.0, offset)
    }

    #[inline(always)]
    fn at(self, address: u64) -> Self {
        Self(address)
    }

    #[inline(always)]
    fn tcp(self) -> Option<Self> {
        // SAFETY: the verifier checks that it is a socket.
        let tcp = unsafe { bpf_skc_to_tcp_sock(self.0 as *mut c_void) };
        if tcp.is_null() { None } else { Some(Self(tcp as u64)) }
    }
}

impl Sock for Found {
    #[inline(always)]
    fn address(self) -> u64 {
        self.0
    }

    #[inline(always)]
    fn key(self) -> u64 {
        self.0.wrapping_sub(maps::origin())
    }

    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: &Global<u32>) -> T {
        kernel::read(self.0, offset).unwrap_or_default()
    }

    #[inline(always)]
    fn at(self, address: u64) -> Self {
        Self(address)
    }

    #[inline(always)]
    fn tcp(self) -> Option<Self> {
        is_tcp(self).then_some(self)
    }
}

/// A copy of a socket's `struct sock_common`, where its addresses are: one read in place of one for each field.
#[repr(C, align(8))]
pub struct Common(UnsafeCell<[u8; Self::ROOM]>);

impl Common {
    /// As much as the fields that are looked for take; more is there (the `struct sock` goes on).
    const ROOM: usize = 128;

    /// Copies that of the socket at `sock`.
    #[inline(always)]
    pub fn read(&self, sock: u64) {
        // SAFETY: the helper checks the address, and fills the room with zeroes when it cannot be read.
        unsafe { raw_read_kernel(self.0.get().cast(), Self::ROOM as u32, sock as *const c_void) };
    }

    /// The field at `offset`. The verifier sees that it is within the copy: the offset is a constant to it.
    #[inline(always)]
    pub fn field<T: Copy>(&self, offset: &Global<u32>) -> T {
        // SAFETY: any bytes make an integer, and the kernel's fields are aligned.
        unsafe { self.0.get().cast::<u8>().add(offset.load() as usize).cast::<T>().read_volatile() }
    }
}

/// Whether it is a TCP socket; not MPTCP's.
#[inline(always)]
pub fn is_tcp(sock: impl Sock) -> bool {
    let family = sock.field::<u16>(&kernel::SOCK_FAMILY);
    let inet = family == AF_INET || family == AF_INET6;
    inet && sock.field::<u16>(&kernel::SOCK_PROTOCOL) == IPPROTO_TCP
}

/// The family of a stream socket that can carry HTTP.
#[inline(always)]
pub fn stream_family(sock: impl Sock) -> Option<u16> {
    let family = sock.field::<u16>(&kernel::SOCK_FAMILY);
    let known = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
    (known && sock.field::<u16>(&kernel::SOCK_TYPE) == SOCK_STREAM).then_some(family)
}

/// File of a socket and that file's inode number; `None` without a file: then it is the kernel's own (NFS, CIFS).
#[inline(always)]
pub fn file<S: Sock>(sock: S) -> Option<(u64, u64)> {
    let socket = sock.at(sock.field(&kernel::SOCK_SOCKET));
    let file = sock.at(socket.field(&kernel::SOCKET_FILE));
    if file.address() == 0 {
        return None;
    }
    let inode = sock.at(file.field(&kernel::FILE_INODE));
    Some((file.address(), inode.field(&kernel::INODE_INO)))
}

/// Whether TCP's sequence numbers count the stream's bytes; with TLS in the kernel they count something else.
#[inline(always)]
pub fn counts_bytes<S: Sock>(tcp: S) -> bool {
    tcp.field::<u64>(&kernel::ICSK_ULP_OPS) == 0
}

/// Sequence number of the first of `moved` bytes that have just been sent or received: exact whatever happened before,
/// spliced bytes included.
#[inline(always)]
pub fn position<S: Sock>(tcp: S, sends: bool, moved: u64) -> u64 {
    let mut after = tcp.field::<u32>(if sends { &kernel::TCP_WRITE_SEQ } else { &kernel::TCP_COPIED_SEQ });
    if !sends && fin_received(tcp) && after == tcp.field::<u32>(&kernel::TCP_RCV_NXT) {
        // The peer's FIN has a sequence number of its own, and this read took it too.
        after = after.wrapping_sub(1);
    }
    u64::from(after.wrapping_sub(moved as u32))
}

/// `SOCK_DONE`, which `tcp_fin()` sets.
#[inline(always)]
fn fin_received<S: Sock>(tcp: S) -> bool {
    const SOCK_DONE: u64 = 1 << 1;
    tcp.field::<u64>(&kernel::SOCK_FLAGS) & SOCK_DONE != 0
}

/// Whether a TCP socket is closed.
#[inline(always)]
pub fn is_closed(sock: impl Sock) -> bool {
    const TCP_CLOSE: u8 = 7;
    sock.field::<u8>(&kernel::SOCK_STATE) == TCP_CLOSE
}

/// Whether bytes wait in a TCP socket that the program has not read yet.
#[inline(always)]
pub fn has_unread<S: Sock>(tcp: S) -> bool {
    let (copied, next): (u32, u32) = (tcp.field(&kernel::TCP_COPIED_SEQ), tcp.field(&kernel::TCP_RCV_NXT));
    next.wrapping_sub(copied) > u32::from(fin_received(tcp))
}
