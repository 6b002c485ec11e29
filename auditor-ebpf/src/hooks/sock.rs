//! `--hooks sock`: fires once per socket operation, costs other system calls nothing. Linux 6.3 and later.

use auditor_ebpf::wire;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    blind, capture, foreign, leaf,
    maps::{self, Scratch},
    memory,
    sock::{Given, Sock as _},
    syscall::{self, shape},
    task,
};

/// `TP_PROTO(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_send_length")]
pub fn sock_send(ctx: BtfTracePointContext) -> i32 {
    operation(Given(ctx.arg::<u64>(0)), i64::from(ctx.arg::<i32>(1)), 0, wire::DIRECTION_SEND);
    0
}

/// `TP_PROTO(struct sock *sk, int ret, int flags)`; flags are the `MSG_*` of the receive.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn sock_recv(ctx: BtfTracePointContext) -> i32 {
    operation(Given(ctx.arg::<u64>(0)), i64::from(ctx.arg::<i32>(1)), ctx.arg::<u32>(2), wire::DIRECTION_RECV);
    0
}

#[inline(always)]
fn operation(sock: Given, moved: i64, flags: u32, direction: u8) {
    // First of all: most of what crosses sockets is theirs.
    if u64::from(flags) & syscall::NOT_OF_STREAM == 0 && foreign::passes(sock.key(), moved) {
        return;
    }
    let task = task::current();
    if !task::selected(task) {
        return;
    }
    let leaf = leaf::number(task);
    // As soon as it is known: nothing is cheaper than who is left alone.
    if leaf::rests(leaf) && (direction == wire::DIRECTION_RECV || leaf::answers(sock.address(), leaf)) {
        return;
    }
    match task::kind(task) {
        task::Kind::User => {}
        task::Kind::Kernel => return,
        task::Kind::IoWorker => return unreadable(wire::BLIND_IO_URING, moved),
        task::Kind::Compat => return unreadable(wire::BLIND_COMPAT, moved),
    }
    let regs = task::registers(task);
    let nr = syscall::number(regs);
    // Nothing was there, as often happens: not an end, and it ends no array of messages.
    if moved < 0 && !capture::is_end(moved) && !syscall::moves_messages(nr) {
        return;
    }
    if nr == syscall::NR_IO_URING_ENTER.load() {
        return unreadable(wire::BLIND_IO_URING, moved);
    }
    let Some(scratch) = maps::acquire() else { return };
    scratch.operation.leaf.set(u64::from(leaf));
    let call = &scratch.operation.call;
    let decoded =
        syscall::decode_simple(call, regs, nr) || syscall::decode_call(u64::from(nr), u64::from(direction)) != 0;
    if decoded && call.direction.get() == u64::from(direction) {
        call.flags.set(call.flags.get() | u64::from(flags));
        scratch.operation.stack_pointer.set(syscall::stack_pointer(regs));
        completed(scratch, sock, moved);
    }
    maps::release(scratch);
}

#[inline(always)]
fn completed(scratch: &Scratch, sock: Given, moved: i64) {
    let (operation, call) = (&scratch.operation, &scratch.operation.call);
    if call.flags.get() & syscall::NOT_OF_STREAM != 0 || leaf::is_left_alone(operation, sock.address()) {
        return;
    }
    let messages = call.shape.get() == shape::MESSAGES;
    if moved <= 0 {
        if messages {
            memory::end_messages();
        }
        capture::ended(operation, sock.address(), moved);
        return;
    }
    operation.moved.set(moved as u64);
    if capture::is_foreign(scratch, sock) {
        return;
    }
    if messages {
        memory::memory_of_message();
    } else if operation.prefix.get() != operation.moved.get() {
        memory::memory_of_call();
    }
    capture::capture(operation, sock);
}

#[inline(always)]
fn unreadable(reason: u32, moved: i64) {
    if moved > 0 {
        blind::note(reason, 0, 1, moved as u64);
    }
}
