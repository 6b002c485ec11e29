//! `--hooks syscall`: fires at the end of every system call, for kernels before 6.3. One probe and no entry/exit map:
//! the arguments are still in the saved registers, the socket is found through the file descriptor.

use auditor_ebpf::wire;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    blind, capture, foreign, leaf,
    maps::{self, Scratch},
    memory,
    sock::{Found, Sock as _},
    syscall::{self, Call, shape},
    task,
};

/// `TP_PROTO(struct pt_regs *regs, long ret)`
#[btf_tracepoint(function = "sys_exit")]
pub fn syscall_exit(ctx: BtfTracePointContext) -> i32 {
    let (regs, result) = (ctx.arg::<u64>(0), ctx.arg::<i64>(1));
    let nr = syscall::number(regs);
    if syscall::may_be_compat(nr) && task::is_compat(task::current()) {
        compat(regs, nr, result);
    } else if syscall::moves_bytes(nr) && (result >= 0 || capture::is_end(result)) {
        operation(regs, nr, result);
    }
    0
}

#[inline(always)]
fn operation(regs: u64, nr: u32, result: i64) {
    let task = task::current();
    if !task::selected(task) {
        return;
    }
    match task::kind(task) {
        task::Kind::User => {}
        _ => return,
    }
    let leaf = leaf::number(task);
    let Some(scratch) = maps::acquire() else { return };
    scratch.operation.leaf.set(u64::from(leaf));
    scratch.operation.stack_pointer.set(syscall::stack_pointer(regs));
    if let Some(sock) = named_socket(&scratch.operation.call, regs, nr) {
        completed(scratch, sock, result);
    }
    maps::release(scratch);
}

/// Decodes the call and finds the socket it names.
#[inline(always)]
fn named_socket(call: &Call, regs: u64, nr: u32) -> Option<u64> {
    if !syscall::decode_simple(call, regs, nr)
        && syscall::decode_call(u64::from(nr), u64::from(wire::DIRECTION_SEND)) == 0
    {
        return None;
    }
    let sock = socket(call.fd.get());
    if sock.is_some() || nr != syscall::NR_SPLICE.load() {
        return sock;
    }
    // Not into a socket; perhaps out of one.
    syscall::decode_call(u64::from(nr), u64::from(wire::DIRECTION_RECV));
    socket(call.fd.get())
}

#[inline(always)]
fn completed(scratch: &Scratch, sock: u64, result: i64) {
    let (operation, call) = (&scratch.operation, &scratch.operation.call);
    if call.flags.get() & syscall::NOT_OF_STREAM != 0 || leaf::is_left_alone(operation, sock) {
        return;
    }
    if result <= 0 {
        capture::ended(operation, sock, result);
        return;
    }
    operation.moved.set(result as u64);
    if call.shape.get() == shape::MESSAGES {
        operation.moved.set(memory::moved_by_messages(call.pointer.get(), result as u64));
    }
    let moved = operation.moved.get();
    if moved > 0 && !foreign::passes(Found(sock).key(), moved as i64) && !capture::is_foreign(scratch, Found(sock)) {
        if operation.prefix.get() != moved {
            memory::memory_of_call();
        }
        capture::capture(operation, Found(sock));
    }
}

/// A 32-bit call: its arguments are laid out differently, so all that is said is that it happened.
#[inline(always)]
fn compat(regs: u64, nr: u32, result: i64) {
    if result <= 0 || !task::selected(task::current()) {
        return;
    }
    let fd = syscall::compat_fd(regs, nr);
    if fd.is_none_or(|fd| socket(fd).is_some()) {
        blind::note(wire::BLIND_COMPAT, 0, 1, result as u64);
    }
}

#[inline(always)]
fn socket(fd: u64) -> Option<u64> {
    syscall::sock_of(syscall::file_of(fd)?)
}
