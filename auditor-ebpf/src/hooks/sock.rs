//! `--hooks sock`: fires once per socket operation, costs other system calls nothing. Linux 6.3 and later.

use auditor_ebpf::wire;
use aya_ebpf::{
    helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};

use crate::{
    blind,
    capture::{self, Operation},
    maps, memory,
    syscall::{self, shape},
    task,
};

/// `TP_PROTO(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_send_length")]
pub fn sock_send(ctx: BtfTracePointContext) -> i32 {
    operation(ctx.arg::<u64>(0), i64::from(ctx.arg::<i32>(1)), 0, wire::DIRECTION_SEND);
    0
}

/// `TP_PROTO(struct sock *sk, int ret, int flags)`; flags are the `MSG_*` of the receive.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn sock_recv(ctx: BtfTracePointContext) -> i32 {
    operation(ctx.arg::<u64>(0), i64::from(ctx.arg::<i32>(1)), ctx.arg::<u32>(2), wire::DIRECTION_RECV);
    0
}

#[inline(always)]
fn operation(sock: u64, moved: i64, flags: u32, direction: u8) {
    if !task::selected() {
        return;
    }
    let current = task::current();
    match task::kind(current) {
        task::Kind::User => {}
        task::Kind::Kernel => return,
        task::Kind::IoWorker => return unreadable(wire::BLIND_IO_URING, moved),
        task::Kind::Compat => return unreadable(wire::BLIND_COMPAT, moved),
    }
    // SAFETY: the current task's registers; the helpers' result is only read through checked reads.
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
    let nr = syscall::number(regs);
    if nr == syscall::NR_IO_URING_ENTER.load() {
        return unreadable(wire::BLIND_IO_URING, moved);
    }
    let Some(scratch) = maps::acquire() else { return };
    let operation = &scratch.operation;
    operation.task.set(current);
    operation.regs.set(regs);
    operation.sock.set(sock);
    let decoded = syscall::decode_call(u64::from(nr), u64::from(direction)) != 0;
    if decoded && operation.call.direction.get() == u64::from(direction) {
        operation.call.flags.set(operation.call.flags.get() | u64::from(flags));
        completed(operation, moved);
    }
    maps::release(scratch);
}

#[inline(always)]
fn completed(operation: &Operation, moved: i64) {
    let call = &operation.call;
    if call.flags.get() & (syscall::MSG_PEEK | syscall::MSG_ERRQUEUE | syscall::MSG_OOB) != 0 {
        return;
    }
    let messages = call.shape.get() == shape::MESSAGES;
    if moved <= 0 {
        if messages {
            memory::end_messages();
        }
        capture::ended(operation, moved);
        return;
    }
    operation.moved.set(moved as u64);
    if messages {
        memory::memory_of_message();
    } else {
        memory::memory_of_call();
    }
    capture::capture(operation);
}

#[inline(always)]
fn unreadable(reason: u32, moved: i64) {
    if moved > 0 {
        blind::note(reason, 0, moved as u64);
    }
}
