//! Processes that the daemon leaves alone because they were not seen to call anybody: nothing of them is shipped until one
//! sends a request.

use auditor_ebpf::wire;
use aya_ebpf::bindings::BPF_EXIST;

use crate::{maps, task};

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
    maps::SOCKETS.get_ptr(&sock).is_some_and(|entry| unsafe { (*entry).answers } == number)
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
