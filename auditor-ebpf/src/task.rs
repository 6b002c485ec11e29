//! Who is running: identity, ancestry, selection.

use auditor_ebpf::{cycle, wire};
use aya_ebpf::helpers::{
    bpf_get_current_comm,
    generated::{
        bpf_get_current_ancestor_cgroup_id, bpf_get_current_task_btf, bpf_ktime_get_boot_ns, bpf_task_pt_regs,
    },
};

use crate::{kernel, maps};

/// `PF_KTHREAD`: a kernel thread.
const PF_KTHREAD: u32 = 0x0020_0000;
/// `PF_IO_WORKER`: an io_uring worker of a user process.
const PF_IO_WORKER: u32 = 0x0000_0010;
/// `TS_COMPAT`: the current system call came through the 32-bit entry.
const TS_COMPAT: u32 = 0x0002;

/// What kind of task is running, as far as its saved registers go.
pub enum Kind {
    /// A 64-bit user thread in a system call of its own: the registers say what was called.
    User,
    /// An io_uring worker.
    IoWorker,
    /// A 32-bit user thread.
    Compat,
    /// A kernel thread: nothing to see.
    Kernel,
}

/// Address of the current `task_struct`; [`registers`] are those that were saved when its system call began. Functions of
/// their own ask anew: the verifier knows what they are only where they come from.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: always available in these program types.
    unsafe { bpf_get_current_task_btf() as u64 }
}

#[inline(always)]
pub fn registers(task: u64) -> u64 {
    // SAFETY: the verifier checks that it is a task; the result is only read.
    unsafe { bpf_task_pt_regs(task as *mut _) as u64 }
}

#[inline(always)]
pub fn ids(task: u64) -> wire::Task {
    wire::Task { tgid: kernel::load(task, &kernel::TASK_TGID), tid: kernel::load(task, &kernel::TASK_PID) }
}

#[inline(always)]
pub fn kind(task: u64) -> Kind {
    let flags = kernel::load::<u32>(task, &kernel::TASK_FLAGS);
    if flags & PF_KTHREAD != 0 {
        return Kind::Kernel;
    }
    if flags & PF_IO_WORKER != 0 {
        return Kind::IoWorker;
    }
    if is_compat(task) { Kind::Compat } else { Kind::User }
}

/// Whether the current system call is a 32-bit one.
#[inline(always)]
pub fn is_compat(task: u64) -> bool {
    kernel::has(&kernel::TASK_THREAD_STATUS) && kernel::load::<u32>(task, &kernel::TASK_THREAD_STATUS) & TS_COMPAT != 0
}

/// When the process of `task` started, boot-time ns.
#[inline(always)]
pub fn process_start(task: u64) -> u64 {
    kernel::load(kernel::load(task, &kernel::TASK_GROUP_LEADER), &kernel::TASK_START_BOOTTIME)
}

/// The threads that forked this process, its parent, …; `real_parent` is the forking thread while that lives.
#[inline(always)]
pub fn ancestors(task: u64, into: &mut [wire::Task; wire::ANCESTORS]) {
    let mut at = task;
    let mut i = 0;
    while i < wire::ANCESTORS {
        // What the first of all has for a parent reads as 0.
        at = kernel::load(at, &kernel::TASK_REAL_PARENT);
        into[i] = ids(at);
        i += 1;
    }
}

/// Whether the flags of the command line select `task`, the current one, and it is its turn. Never the daemon itself.
#[inline(always)]
pub fn selected(task: u64) -> bool {
    let tgid = ids(task).tgid;
    if tgid == maps::OWN_TGID.load() {
        return false;
    }
    // The verifier knows the period, and leaves this out where there is none.
    if maps::PERIOD_MS.load() != 0 && turn_of(tgid).is_none() {
        return false;
    }
    if maps::SELECT_PIDS_ON.load() != 0 && maps::SELECT_PIDS.get_ptr(&tgid).is_none() {
        return false;
    }
    if maps::SELECT_COMMS_ON.load() != 0 {
        let Ok(comm) = bpf_get_current_comm() else { return false };
        if maps::SELECT_COMMS.get_ptr(&comm).is_none() {
            return false;
        }
    }
    if maps::SELECT_CGROUPS_ON.load() != 0 && !in_selected_cgroup() {
        return false;
    }
    true
}

/// The turn of the current process; one that has just ended counts as the first, which comes no more.
#[inline(always)]
pub fn turn() -> u32 {
    turn_of(ids(current()).tgid).unwrap_or(0)
}

/// In which of its turns a process is, for who must know whether two moments are of the same; `None` between them.
#[inline(always)]
fn turn_of(tgid: u32) -> Option<u32> {
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let turn = cycle::turn(now, tgid, maps::PERIOD_MS.load())?;
    (turn.age_ns < u64::from(maps::AUDITED_MS.load()).wrapping_mul(1_000_000)).then_some(turn.number)
}

#[inline(always)]
fn in_selected_cgroup() -> bool {
    let mut i = 0;
    while i < maps::SELECT_CGROUPS_MAX {
        let Some(wanted) = maps::SELECT_CGROUPS.get(i) else { return false };
        if wanted.id == 0 {
            return false;
        }
        // SAFETY: the helper answers 0 for a level that does not exist.
        if unsafe { bpf_get_current_ancestor_cgroup_id(wanted.level as i32) } == wanted.id {
            return true;
        }
        i += 1;
    }
    false
}
