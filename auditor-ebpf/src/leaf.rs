//! Processes that the daemon leaves alone because they were not seen to call anybody: nothing of them is shipped until one
//! sends a request.

use auditor_ebpf::wire;
use aya_ebpf::{bindings::BPF_EXIST, helpers::generated::bpf_get_prandom_u32};

use crate::{
    capture::{NEW_SOCKET, Operation, SEND},
    foreign, head,
    maps::{self, SOCKETS, Socket},
    sock::Sock,
    syscall, task,
};

/// What the daemon last said of the process of `task`, the current one, or this side since ([`wire::Leaf::number`]); 0:
/// nothing.
#[inline(always)]
pub fn number(task: u64) -> u32 {
    if !maps::is_on(&maps::LEAVES_ON) {
        return 0;
    }
    let Some(leaf) = maps::LEAVES.get_ptr(&task::ids(task).tgid) else { return 0 };
    // SAFETY: a live map value. A pid that was reused is another process.
    unsafe { if (*leaf).start_ns == task::process_start(task) { (*leaf).number } else { 0 } }
}

/// Whether the process is left alone.
#[inline(always)]
pub fn rests(number: u32) -> bool {
    number & 1 != 0
}

/// Whether a socket of a process that is left alone was seen to send responses meanwhile: it sends no requests.
#[inline(always)]
pub fn answers(sock: u64, number: u32) -> bool {
    // SAFETY: a live map value.
    SOCKETS.get_ptr(&sock).is_some_and(|entry| unsafe { (*entry).answers } == number)
}

/// The current process sends a request, and is looked at from here on; says what is to be known of it then.
#[inline(always)]
pub fn wake(number: u32) -> u32 {
    let task = task::current();
    let leaf = wire::Leaf { start_ns: task::process_start(task), number: number.wrapping_add(1), unused: 0 };
    // What the daemon says meanwhile is lost: it left the process alone a moment ago, or is about to wake it as well.
    let _ = maps::LEAVES.insert(&task::ids(task).tgid, &leaf, u64::from(BPF_EXIST));
    leaf.number
}

/// Whether the process is left alone.
#[inline(always)]
pub fn is_resting(operation: &Operation) -> bool {
    rests(operation.leaf.get() as u32)
}

/// Whether its process is left alone, and it can be no request: it receives, or the socket answers, or nobody sees what it
/// sends.
#[inline(always)]
pub fn is_left_alone(operation: &Operation, sock: u64) -> bool {
    let call = &operation.call;
    is_resting(operation)
        && (call.direction.get() != SEND
            || call.shape.get() == syscall::shape::SPLICED
            || answers(sock, operation.leaf.get() as u32))
}

/// Whether what a process sends that is left alone is nothing of a request, nor of what cannot be audited.
#[inline(always)]
pub fn passes<S: Sock>(operation: &Operation, sock: S, first: u8, is_response: bool) -> bool {
    if !is_response && head::may_begin(first) {
        return false;
    }
    if is_response {
        foreign::forget(operation.key.get());
    }
    let (address, number) = (sock.address(), operation.leaf.get() as u32);
    let Some(entry) = SOCKETS.get_ptr_mut(&address) else {
        // Only where the end of a socket is seen: its address may be another's then. Not at once: most may end with this.
        // SAFETY: no arguments.
        if is_response && sock.tcp().is_some() && unsafe { bpf_get_prandom_u32() } & ONE_OF == 0 {
            let _ = SOCKETS.insert(&address, &Socket { answers: number, ..NEW_SOCKET }, 0);
        }
        return true;
    };
    // SAFETY: a live map value.
    let continues = unsafe { (*entry).send.pending } != 0;
    if !is_response {
        return !continues;
    }
    if continues {
        // What looked like the beginning of a request was a body.
        let _ = SOCKETS.remove(&address);
    } else if sock.tcp().is_some() {
        // SAFETY: a live map value, only looked at by this process while it is left alone.
        unsafe { (*entry).answers = number };
    }
    true
}

/// Of so many responses, and one more, one has its socket remembered.
const ONE_OF: u32 = 15;
