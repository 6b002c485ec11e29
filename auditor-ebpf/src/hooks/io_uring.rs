//! With `--hooks syscall`: socket operations submitted through io_uring, which no system call exit shows.

use auditor_ebpf::wire;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{blind, kernel, syscall, task};

/// `IORING_OP_*` of operations that only sockets take.
const SENDMSG: u8 = 9;
const RECVMSG: u8 = 10;
const SEND: u8 = 26;
const RECV: u8 = 27;
const SEND_ZC: u8 = 47;
const SENDMSG_ZC: u8 = 48;
const RECV_ZC: u8 = 58;
/// Those that files take too.
const READV: u8 = 1;
const WRITEV: u8 = 2;
const READ_FIXED: u8 = 4;
const WRITE_FIXED: u8 = 5;
const READ: u8 = 22;
const WRITE: u8 = 23;
const READ_MULTISHOT: u8 = 49;

/// `TP_PROTO(struct io_kiocb *req, …)`; called `io_uring_submit_sqe` before Linux 6.4 (the daemon attaches by the name
/// the kernel has).
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn io_uring_submit(ctx: BtfTracePointContext) -> i32 {
    let request = ctx.arg::<u64>(0);
    let opcode = kernel::read::<u8>(request, &kernel::IO_KIOCB_OPCODE).unwrap_or(0);
    let moves_bytes = match opcode {
        SENDMSG | RECVMSG | SEND | RECV | SEND_ZC | SENDMSG_ZC | RECV_ZC => true,
        READV | WRITEV | READ_FIXED | WRITE_FIXED | READ | WRITE | READ_MULTISHOT => names_socket(request),
        _ => false,
    };
    if moves_bytes && task::selected(task::current()) {
        blind::note(wire::BLIND_IO_URING, 0, 1, 0);
    }
    0
}

/// The file itself is looked up after this point; the descriptor is there already.
#[inline(always)]
fn names_socket(request: u64) -> bool {
    let Some(fd) = kernel::read::<u32>(request, &kernel::IO_KIOCB_FD) else { return false };
    syscall::file_of(u64::from(fd)).and_then(syscall::sock_of).is_some()
}
