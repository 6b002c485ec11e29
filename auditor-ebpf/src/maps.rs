//! The maps, each with who writes it, who reads it, and who deletes from it.

use core::{
    arch::asm,
    cell::{Cell, UnsafeCell},
};

use auditor_ebpf::wire;
use aya_ebpf::{
    Global,
    bindings::BPF_RB_NO_WAKEUP,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};

use crate::{capture::Operation, foreign::Slot, head::Scan, memory::Memory, sock::Common};

/// Records for the daemon. Written by [`crate::ship`], read by the daemon; the daemon sets the size before the load.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Not 0 while the daemon looks into [`RECORDS`] by itself. Written by the daemon, read here.
#[map]
pub static POLLED: Array<u32> = Array::with_max_entries(1, 0);

/// Whether the daemon has switched something on.
#[inline(always)]
pub fn is_on(switch: &Array<u32>) -> bool {
    // SAFETY: a live map value, an aligned integer.
    switch.get_ptr(0).is_some_and(|on| unsafe { on.read_volatile() } != 0)
}

/// With which flags a record is delivered: nobody is woken for it who comes anyway.
#[inline(always)]
pub fn wake() -> u64 {
    if is_on(&POLLED) { u64::from(BPF_RB_NO_WAKEUP) } else { 0 }
}

/// Processes that are, or were, left alone (key: tgid). Written by the daemon, and by [`crate::leaf`] when one sends a
/// request; looked at when [`LEAVES_ON`]. Nobody deletes: sockets remember the numbers.
#[map]
pub static LEAVES: LruHashMap<u32, wire::Leaf> = LruHashMap::with_max_entries(wire::LEAVES, 0);
/// Not 0 since there are any in [`LEAVES`]. Written by the daemon, read here.
#[map]
pub static LEAVES_ON: Array<u32> = Array::with_max_entries(1, 0);

/// A counter shared by all CPUs. `core`'s atomics offer no read-modify-write on this target (it lacks
/// compare-and-swap), but the instruction exists since Linux 5.12.
#[repr(transparent)]
pub struct SharedCounter(UnsafeCell<u64>);

// SAFETY: only ever accessed by one atomic instruction.
unsafe impl Sync for SharedCounter {}

/// This CPU's scratch buffer, for a function that works on behalf of a hook that has acquired it.
#[inline(always)]
pub fn scratch() -> Option<&'static Scratch> {
    // SAFETY: this CPU's slot of a per-CPU map; all of it is cells.
    SCRATCH.get_ptr(0).map(|scratch| unsafe { &*scratch })
}

/// This CPU's scratch buffer, or a counted loss when another task is in the middle of using it. To be given back with
/// [`release`].
#[inline(always)]
pub fn acquire() -> Option<&'static Scratch> {
    let scratch = scratch()?;
    if scratch.busy.get() != 0 {
        count(wire::COUNT_LOST_BUSY, 1);
        next_sequence();
        return None;
    }
    scratch.busy.set(1);
    Some(scratch)
}

/// Ends what [`acquire`] began.
#[inline(always)]
pub fn release(scratch: &Scratch) {
    scratch.busy.set(0);
}

/// Numbers the records, delivered or lost, so that the daemon finds every hole.
#[unsafe(no_mangle)]
pub static SEQUENCE: SharedCounter = SharedCounter(UnsafeCell::new(0));

/// Where it is itself, for who has a socket's address as a number ([`crate::sock::Sock::key`]); 0 until it is asked for.
#[unsafe(no_mangle)]
pub static ORIGIN: SharedWord = SharedWord(UnsafeCell::new(0));

/// A word shared by all CPUs, always written with the same value.
#[repr(transparent)]
pub struct SharedWord(UnsafeCell<u64>);

// SAFETY: an aligned word is written and read at once.
unsafe impl Sync for SharedWord {}

impl SharedWord {
    pub const fn get(&self) -> *mut u64 {
        self.0.get()
    }
}

/// The address of [`ORIGIN`] as a number: what comes out of memory is one to the verifier.
#[inline(always)]
pub fn origin() -> u64 {
    let word = ORIGIN.get();
    // SAFETY: live map memory.
    unsafe {
        if word.read_volatile() == 0 {
            word.write_volatile(word.expose_provenance() as u64);
        }
        word.read_volatile()
    }
}

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
    /// 0: only remembered because it answers.
    pub inode: u64,
    /// Not 0: it was said that the peer has finished sending.
    pub eof: u32,
    /// In which turn of its process ([`crate::capture::turn`]): what crossed it between two was not seen.
    pub turn: u32,
    /// Number of the rest ([`crate::leaf::number`]) in which it was seen to send responses.
    pub answers: u32,
    pub unused: u32,
    pub send: Half,
    pub recv: Half,
}

/// Key: address of the `struct sock`. Written by [`crate::capture`] when a socket first speaks HTTP, and by [`crate::leaf`]
/// when it answers; deleted by these two when it is not what it seemed, by [`crate::ship`] when it is closed, else least
/// recently used first.
#[map]
pub static SOCKETS: LruHashMap<u64, Socket> = LruHashMap::with_max_entries(32_768, 0);

/// Slots of [`FOREIGN`]. Two sockets that share one only cost what they would without.
pub const FOREIGN_SLOTS: u32 = 1 << 15;
/// TCP sockets that speak something else than HTTP, as far as [`crate::foreign`] knows, each in the slot that its address
/// hashes to. Written and read there.
#[map]
pub static FOREIGN: Array<Slot> = Array::with_max_entries(FOREIGN_SLOTS, 0);

/// Where a `sendmmsg`/`recvmmsg` call of a thread has got to, for the hook that sees one message at a time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MessageCursor {
    /// The user's message array.
    pub array: u64,
    /// How many messages it has.
    pub length: u64,
    /// The next message.
    pub index: u64,
    /// In which turn of the process: between two a call may have ended, and another have begun.
    pub turn: u64,
    /// The call's `struct sock *`.
    pub sock: u64,
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

/// A word that other functions may change while a reference to it is held: the stages hand over in the scratch buffer.
pub type Word = Cell<u64>;

/// Reads what was left in a word, from the map's memory and not from the verifier's registers: it knows nothing of it
/// again, and does not walk through all that it may have been.
#[inline(always)]
pub fn carried(word: &Word) -> u64 {
    // SAFETY: live map memory.
    unsafe { word.as_ptr().read_volatile() }
}

/// One operation while it is looked at.
#[repr(C, align(8))]
pub struct Scratch {
    /// Not 0 while a task is using it; a second task on this CPU then counts a loss instead of overwriting.
    busy: Word,
    /// The operation that is looked at.
    pub operation: Operation,
    /// Its memory…
    pub source: UnsafeCell<Memory>,
    /// …and how far [`crate::memory::read_memory`] has got.
    pub memory: UnsafeCell<Memory>,
    /// Its socket's addresses.
    pub common: Common,
    /// Input and output of [`crate::head::scan_heads`].
    pub scan: Scan,
    /// The record's bytes; see [`crate::ship`] for the layout.
    record: UnsafeCell<[u8; crate::ship::RECORD_ROOM]>,
}

// SAFETY: each CPU has its own, and `busy` gives it to one task at a time.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// The record's room.
    #[inline(always)]
    pub fn record(&self) -> *mut u8 {
        self.record.get().cast()
    }

    /// Where in it the captured bytes are.
    #[inline(always)]
    pub fn bytes(&self) -> *mut u8 {
        self.record().wrapping_add(crate::ship::BYTES)
    }
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
/// `--duty-cycle`, in ms; 0: processes are looked at all the time.
#[unsafe(no_mangle)]
pub static PERIOD_MS: Global<u32> = Global::new(0);
/// How much of it, from its beginning.
#[unsafe(no_mangle)]
pub static AUDITED_MS: Global<u32> = Global::new(0);
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

/// Sets a word to 0. Volatile: several of them in a row would become a `memset`, which goes byte by byte on this target.
#[inline(always)]
pub fn clear(word: &mut u64) {
    // SAFETY: a reference is valid.
    unsafe { core::ptr::from_mut(word).write_volatile(0) };
}

/// Adds to a counter of this CPU.
#[inline(always)]
pub fn count(index: usize, amount: u64) {
    count_all([(index, amount)]);
}

/// Adds to several.
#[inline(always)]
pub fn count_all<const N: usize>(amounts: [(usize, u64); N]) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        for (index, amount) in amounts {
            // SAFETY: the pointer is to this CPU's slot, and every index is a constant below wire::COUNTERS.
            unsafe { *counters.cast::<u64>().add(index) += amount };
        }
    }
}
