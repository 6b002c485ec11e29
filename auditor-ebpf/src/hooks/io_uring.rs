//! With `--hooks syscall`: socket operations submitted through io_uring, which no system call exit shows.

use auditor_ebpf::wire;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{blind, kernel, task};

const IORING_OP_SENDMSG: u8 = 9;
const IORING_OP_RECVMSG: u8 = 10;
const IORING_OP_SEND: u8 = 26;
const IORING_OP_RECV: u8 = 27;
const IORING_OP_SEND_ZC: u8 = 47;
const IORING_OP_SENDMSG_ZC: u8 = 48;

/// `TP_PROTO(struct io_kiocb *req, …)`; called `io_uring_submit_sqe` before Linux 6.4 (the daemon attaches by the name
/// the kernel has).
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn io_uring_submit(ctx: BtfTracePointContext) -> i32 {
    let opcode = kernel::read::<u8>(ctx.arg::<u64>(0), &kernel::IO_KIOCB_OPCODE).unwrap_or(0);
    let socket = opcode == IORING_OP_SENDMSG
        || opcode == IORING_OP_RECVMSG
        || opcode == IORING_OP_SEND
        || opcode == IORING_OP_RECV
        || opcode == IORING_OP_SEND_ZC
        || opcode == IORING_OP_SENDMSG_ZC;
    if socket && task::selected() {
        blind::note(wire::BLIND_IO_URING, 0, 0);
    }
    0
}
