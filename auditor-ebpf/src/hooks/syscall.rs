//! `--hooks syscall`: fires at the end of every system call, for kernels before 6.3. One probe and no entry/exit map:
//! the arguments are still in the saved registers, the socket is found through the file descriptor.

use auditor_ebpf::wire;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    blind, capture,
    maps::{self, Scratch},
    memory,
    syscall::{self, shape},
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
    if !syscall::moves_bytes(nr) || !task::selected() {
        return;
    }
    let Some(scratch) = maps::acquire() else { return };
    scratch.operation.task = task::current();
    scratch.operation.regs = regs;
    if let Some(sock) = named_socket(scratch, nr) {
        scratch.operation.sock = sock;
        completed(scratch, result as u64);
    }
    maps::release(scratch);
}

/// Decodes the call and finds the socket it names.
#[inline(always)]
fn named_socket(scratch: &mut Scratch, nr: u32) -> Option<u64> {
    if syscall::decode_call(u64::from(nr), u64::from(wire::DIRECTION_SEND)) == 0 {
        return None;
    }
    let sock = socket(scratch.operation.task, scratch.operation.call.fd);
    if sock.is_some() || nr != syscall::NR_SPLICE.load() {
        return sock;
    }
    // Not into a socket; perhaps out of one.
    syscall::decode_call(u64::from(nr), u64::from(wire::DIRECTION_RECV));
    socket(scratch.operation.task, scratch.operation.call.fd)
}

#[inline(always)]
fn completed(scratch: &mut Scratch, result: u64) {
    match task::kind(scratch.operation.task) {
        task::Kind::User => {}
        task::Kind::Compat => {
            if result > 0 {
                blind::note(wire::BLIND_COMPAT, 0, result);
            }
            return;
        }
        task::Kind::Kernel | task::Kind::IoWorker => return,
    }
    let call = &scratch.operation.call;
    let recv = call.direction == u64::from(wire::DIRECTION_RECV);
    if call.flags & (syscall::MSG_PEEK | syscall::MSG_ERRQUEUE | syscall::MSG_OOB) != 0 {
        return;
    }
    if result == 0 {
        if recv && call.length > 0 && call.shape != shape::MESSAGES {
            capture::close(scratch.operation.sock, wire::CLOSE_EOF);
        }
        return;
    }
    scratch.operation.moved = result;
    if call.shape == shape::MESSAGES {
        scratch.operation.moved = memory::moved_by_messages(call.pointer, result);
    }
    if recv && call.flags & syscall::MSG_TRUNC != 0 {
        scratch.operation.call.shape = shape::SPLICED;
    }
    if scratch.operation.moved > 0 {
        memory::memory_of_call();
        capture::capture(scratch);
    }
}

#[inline(always)]
fn socket(task: u64, fd: u64) -> Option<u64> {
    syscall::sock_of(syscall::file_of(task, fd)?)
}
