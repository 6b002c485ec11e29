//! The maps, each with who writes it, who reads it, and who deletes from it.

use core::{arch::asm, cell::UnsafeCell};

use auditor_ebpf::wire;
use aya_ebpf::{
    Global,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};

/// Records for the daemon. Written by [`crate::capture`], read by the daemon; the daemon sets the size before the load.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// A counter shared by all CPUs. `core`'s atomics offer no read-modify-write on this target (it lacks
/// compare-and-swap), but the instruction exists since Linux 5.12.
#[repr(transparent)]
pub struct SharedCounter(UnsafeCell<u64>);

// SAFETY: only ever accessed by one atomic instruction.
unsafe impl Sync for SharedCounter {}

/// This CPU's scratch buffer, or a counted loss when another task is in the middle of using it. To be given back with
/// [`release`].
#[inline(always)]
pub fn acquire() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's slot of a per-CPU map; `busy` keeps a task that preempts us off it.
    let scratch = unsafe { &mut *scratch };
    if scratch.busy != 0 {
        count(wire::COUNT_LOST_BUSY, 1);
        next_sequence();
        return None;
    }
    scratch.busy = 1;
    Some(scratch)
}

/// Ends what [`acquire`] began.
#[inline(always)]
pub fn release(scratch: &mut Scratch) {
    scratch.busy = 0;
}

/// Numbers the records, delivered or lost, so that the daemon finds every hole.
#[unsafe(no_mangle)]
pub static SEQUENCE: SharedCounter = SharedCounter(UnsafeCell::new(0));

/// What one direction of a socket is in the middle of.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Half {
    /// Bytes seen since the socket was first remembered; only kept where TCP sequence numbers cannot be used.
    pub position: u64,
    /// Newline and carriage-return masks of the last two bytes of the unfinished head ([`crate::head::Scan`]).
    pub newlines: u64,
    pub returns: u64,
    /// Bytes of the unfinished head so far.
    pub head_len: u64,
    /// Not 0 while a head is unfinished.
    pub pending: u64,
    /// The unfinished head's first 16 bytes; the rest is room for the verifier's view of a variable-sized copy.
    pub prefix: [u8; 32],
}

/// A socket that has spoken HTTP.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Socket {
    pub inode: u64,
    pub send: Half,
    pub recv: Half,
}

/// Key: address of the `struct sock`. Written by [`crate::capture`] when a socket first speaks HTTP, deleted on TCP
/// close by [`crate::hooks::close`], else least recently used first.
#[map]
pub static SOCKETS: LruHashMap<u64, Socket> = LruHashMap::with_max_entries(32_768, 0);

/// Where a `sendmmsg`/`recvmmsg` call of a thread has got to, for the hook that sees one message at a time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MessageCursor {
    /// The user's message array.
    pub array: u64,
    /// The next message.
    pub index: u64,
}

/// Key: thread id. Written and deleted by [`crate::memory`].
#[map]
pub static MESSAGE_CURSORS: LruHashMap<u32, MessageCursor> = LruHashMap::with_max_entries(1024, 0);

/// What cannot be audited. Written by [`crate::blind`], read by the daemon once a second.
#[map]
pub static BLIND: LruHashMap<wire::BlindKey, wire::BlindCount> = LruHashMap::with_max_entries(4096, 0);

/// Counters, `wire::COUNT_*`. Written here, read by the daemon.
#[map]
pub static COUNTERS: PerCpuArray<[u64; wire::COUNTERS]> = PerCpuArray::with_max_entries(1, 0);

/// One operation's record while it is put together.
#[repr(C, align(8))]
pub struct Scratch {
    /// Not 0 while a task is using it; a second task on this CPU then counts a loss instead of overwriting.
    pub busy: u64,
    /// The operation that is looked at.
    pub operation: crate::capture::Operation,
    /// Its memory…
    pub source: crate::memory::Memory,
    /// …and how far [`crate::memory::read_memory`] has got.
    pub memory: crate::memory::Memory,
    /// Input and output of [`crate::head::scan_heads`].
    pub scan: crate::head::Scan,
    /// The record's bytes; see [`crate::capture`] for the layout.
    pub record: [u8; crate::capture::RECORD_ROOM],
}

/// One per CPU. Written and read by the hooks and what they call.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Selected processes (key: tgid). Written by the daemon before the attach; looked at when [`SELECT_PIDS_ON`].
#[map]
pub static SELECT_PIDS: HashMap<u32, u8> = HashMap::with_max_entries(4096, 0);
/// Selected command names. Written by the daemon before the attach; looked at when [`SELECT_COMMS_ON`].
#[map]
pub static SELECT_COMMS: HashMap<[u8; 16], u8> = HashMap::with_max_entries(256, 0);

/// A selected cgroup v2 subtree.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SelectedCgroup {
    /// Id of the subtree's root; 0 ends the list.
    pub id: u64,
    /// Its depth below the hierarchy's root.
    pub level: u64,
}
/// Most `--cgroup` selections.
pub const SELECT_CGROUPS_MAX: u32 = 16;
/// Selected cgroups. Written by the daemon before the attach; looked at when [`SELECT_CGROUPS_ON`].
#[map]
pub static SELECT_CGROUPS: Array<SelectedCgroup> = Array::with_max_entries(SELECT_CGROUPS_MAX, 0);

#[unsafe(no_mangle)]
pub static SELECT_PIDS_ON: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static SELECT_COMMS_ON: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static SELECT_CGROUPS_ON: Global<u8> = Global::new(0);
/// The daemon's own pid: never captured.
#[unsafe(no_mangle)]
pub static OWN_TGID: Global<u32> = Global::new(0);

/// The next record number.
#[inline(always)]
pub fn next_sequence() -> u64 {
    let mut number = 1u64;
    // SAFETY: adds to a static by one atomic instruction.
    unsafe {
        asm!("{n} = atomic_fetch_add((u64 *)({p} + 0), {n})", p = in(reg) SEQUENCE.0.get(), n = inout(reg) number);
    }
    number + 1
}

/// Adds to a counter of this CPU.
#[inline(always)]
pub fn count(index: usize, amount: u64) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        // SAFETY: the pointer is to this CPU's slot, and every index is a constant below wire::COUNTERS.
        unsafe { *counters.cast::<u64>().add(index) += amount };
    }
}
