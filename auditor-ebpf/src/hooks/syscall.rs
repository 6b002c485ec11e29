//! `--hooks syscall`: fires at the end of every system call, for kernels before 6.3. One probe and no entry/exit map:
//! the arguments are still in the saved registers, the socket is found through the file descriptor.

use auditor_ebpf::wire;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    blind, capture,
    capture::Operation,
    memory::Memory,
    syscall::{self, Shape},
    task,
};

/// `TP_PROTO(struct pt_regs *regs, long ret)`
#[btf_tracepoint(function = "sys_exit")]
pub fn syscall_exit(ctx: BtfTracePointContext) -> i32 {
    let result = ctx.arg::<i64>(1);
    if result >= 0 {
        operation(ctx.arg::<u64>(0), result);
    }
    0
}

#[inline(always)]
fn operation(regs: u64, result: i64) {
    let nr = syscall::number(regs);
    let Some(mut call) = syscall::decode(nr, regs, wire::DIRECTION_SEND) else { return };
    if !task::selected() {
        return;
    }
    let current = task::current();
    let splice = nr == syscall::NR_SPLICE.load();
    let sock = match socket(current, call.fd) {
        Some(sock) => sock,
        None if splice => {
            // Not into a socket; perhaps out of one.
            let Some(inward) = syscall::decode(nr, regs, wire::DIRECTION_RECV) else { return };
            call = inward;
            let Some(sock) = socket(current, call.fd) else { return };
            sock
        }
        None => return,
    };
    match task::kind(current) {
        task::Kind::User => {}
        task::Kind::Compat => {
            if result > 0 {
                blind::note(wire::BLIND_COMPAT, 0, result as u64);
            }
            return;
        }
        task::Kind::Kernel | task::Kind::IoWorker => return,
    }
    if call.flags & (syscall::MSG_PEEK | syscall::MSG_ERRQUEUE | syscall::MSG_OOB) != 0 {
        return;
    }
    if result == 0 {
        if call.direction == wire::DIRECTION_RECV && call.length > 0 && call.shape != Shape::Messages {
            capture::close(sock, wire::CLOSE_EOF);
        }
        return;
    }
    let moved =
        if call.shape == Shape::Messages { Memory::moved_by_messages(&call, result as u64) } else { result as u64 };
    if call.flags & syscall::MSG_TRUNC != 0 && call.direction == wire::DIRECTION_RECV {
        call.shape = Shape::Spliced;
    }
    let memory = Memory::of_call(&call, moved);
    if moved > 0 {
        capture::capture(&Operation { task: current, sock, call, memory, moved });
    }
}

#[inline(always)]
fn socket(task: u64, fd: u32) -> Option<u64> {
    syscall::sock_of(syscall::file_of(task, fd)?)
}
