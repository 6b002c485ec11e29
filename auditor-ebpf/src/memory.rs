//! The user memory of a call, read as one stream of bytes whatever its shape.

use aya_ebpf::helpers::{bpf_probe_read_user, generated::bpf_probe_read_user as raw_read_user};

use auditor_ebpf::wire::HEAD_CAP;

use crate::{
    capture,
    kernel::clamp,
    maps::{self, MESSAGE_CURSORS, MessageCursor},
    syscall::{Call, shape},
    task,
};

/// Most bytes one helper call copies; keeps `offset + length` inside the buffer in the verifier's eyes.
pub const CHUNK: u32 = 4096;

/// Bytes that tell what an operation begins with ([`crate::head::start_of`]).
pub const PREFIX: u64 = 16;
/// Operations of at most so many bytes are read whole at once: most heads are, and to read a few bytes of those that are
/// none costs as much.
const AT_ONCE: u64 = 512;

/// `sizeof(struct mmsghdr)` on 64-bit.
const MMSGHDR: u64 = 64;

/// `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
struct IoVec {
    base: u64,
    length: u64,
}

/// The first fields of `struct msghdr` on 64-bit, and what follows it in a `struct mmsghdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Message {
    name: u64,
    name_length: u64,
    vectors: u64,
    vector_count: u64,
    control: u64,
    control_length: u64,
    flags: u64,
    moved: u32,
    padding: u32,
}

/// A reader over the call's memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Memory {
    base: u64,
    left: u64,
    vectors: u64,
    vectors_left: u64,
    /// Bytes the call moved of the current message.
    message_left: u64,
    messages: u64,
    messages_left: u64,
    /// Bytes copied so far.
    filled: u64,
}

/// Pieces (iovecs and chunks) that are followed.
const PIECES: u32 = 256;

/// Copies the first bytes of the scratch buffer's `source` to its record, at most `wanted` of them; says how many.
///
/// A function of its own and with its state in the map, so that the verifier walks through the loop once, and not once
/// for everything the callers may have found out before.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_memory(wanted: u64) -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let buffer = scratch.bytes();
    // SAFETY: nothing that is called from here touches them.
    let (memory, source) = unsafe { (&mut *scratch.memory.get(), &*scratch.source.get()) };
    // One piece, and the call has no more: no state to keep.
    if wanted <= u64::from(CHUNK) && wanted <= source.left {
        // SAFETY: the buffer has room for CHUNK; the helper checks `base`.
        let failed = unsafe { raw_read_user(buffer.cast(), wanted as u32, source.base as *const core::ffi::c_void) };
        return if failed == 0 { wanted } else { 0 };
    }
    *memory = *source;
    let mut piece = 0;
    while piece < PIECES {
        piece += 1;
        // SAFETY: a live map value; volatile, so that it is the map's memory that carries the state.
        let filled = unsafe { (&raw const memory.filled).read_volatile() };
        if filled >= wanted || filled >= HEAD_CAP as u64 {
            break;
        }
        if memory.left == 0 && !memory.next_piece() {
            break;
        }
        if memory.left == 0 {
            continue;
        }
        let mut length = wanted - filled;
        if length > memory.left {
            length = memory.left;
        }
        // Clamped, never masked: `length & (CHUNK - 1)` would turn CHUNK into 0.
        if length > u64::from(CHUNK) {
            length = u64::from(CHUNK);
        }
        // SAFETY: filled < HEAD_CAP and length <= CHUNK, which the buffer has room for; the helper checks `base`.
        let failed = unsafe {
            raw_read_user(buffer.add(filled as usize).cast(), length as u32, memory.base as *const core::ffi::c_void)
        };
        if failed != 0 {
            break;
        }
        memory.filled = filled + length;
        memory.base = memory.base.wrapping_add(length);
        memory.left -= length;
    }
    memory.filled
}

/// Reads the first bytes that the call moved, [`PREFIX`] or all of them, into the scratch buffer's record; says how many.
/// Of a few bytes in several pieces those of the first, if that is long enough ([`first_piece`]); else 0.
#[inline(always)]
pub fn read_prefix(call: &Call, moved: u64, buffer: *mut u8) -> u64 {
    let shape = call.shape.get();
    let (mut address, mut length) = (call.pointer.get(), moved);
    if shape == shape::MESSAGE {
        const VECTORS: u64 = core::mem::offset_of!(Message, vectors) as u64;
        let Some(vectors) = read_user::<u64>(address.wrapping_add(VECTORS)) else { return 0 };
        address = vectors;
    }
    if shape == shape::MESSAGE || shape == shape::VECTOR {
        let Some(first) = read_user::<IoVec>(address) else { return 0 };
        (address, length) = (first.base, first.length);
    } else if shape != shape::BUFFER {
        return 0;
    }
    let mut wanted = if moved > AT_ONCE { PREFIX } else { moved };
    if length < wanted {
        if length < PREFIX {
            return 0;
        }
        wanted = length;
    }
    let wanted = clamp(wanted, AT_ONCE);
    // SAFETY: the buffer has room for more; the helper checks the address.
    let failed = unsafe { raw_read_user(buffer.cast(), wanted as u32, address as *const core::ffi::c_void) };
    if failed == 0 { wanted } else { 0 }
}

/// How many bytes in the record are those of the call's first iovec, all of it; 0 where it was not read that way.
#[inline(always)]
fn first_piece(prefix: u64, moved: u64) -> u64 {
    if moved <= AT_ONCE && prefix < moved { prefix } else { 0 }
}

/// Reads from the current process; `None` when that memory is not there.
#[inline(always)]
pub fn read_user<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Sets the scratch buffer's `source` to the memory of its operation, which moved `moved` bytes; for
/// `shape::MESSAGES` these are all messages' bytes together, and the kernel has written each one's length.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memory_of_call() -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let (call, moved) = (&scratch.operation.call, scratch.operation.moved.get());
    // SAFETY: nothing that is called from here touches it.
    let source = unsafe { &mut *scratch.source.get() };
    source.clear();
    source.message_left = moved;
    let (shape, pointer) = (call.shape.get(), call.pointer.get());
    if shape == shape::BUFFER {
        source.base = pointer;
        source.left = moved;
    } else if shape == shape::VECTOR {
        source.vectors = pointer;
        source.vectors_left = call.length.get();
    } else if shape == shape::MESSAGE {
        source.vectors_of(pointer);
    } else if shape == shape::MESSAGES {
        source.message_left = 0;
        source.messages = pointer;
        source.messages_left = moved;
    }
    let first = first_piece(scratch.operation.prefix.get(), moved);
    if first > 0 && source.vectors_left > 0 {
        source.vectors = source.vectors.wrapping_add(size_of::<IoVec>() as u64);
        source.vectors_left -= 1;
        source.message_left -= first;
        source.filled = first;
    }
    0
}

/// Likewise for one message of a `sendmmsg`/`recvmmsg` call, for a hook that fires once a message and is not told which.
///
/// A thread works through the array in order, so a cursor per thread tells: it starts over when the array ends, when
/// another array, another length of it or another socket comes, and when a message was not moved, which ends the call (see
/// [`end_messages`]).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memory_of_message() -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    let (array, length) = (scratch.operation.call.pointer.get(), scratch.operation.call.length.get());
    // SAFETY: nothing that is called from here touches it.
    let source = unsafe { &mut *scratch.source.get() };
    let tid = task::ids(task::current()).tid;
    let (turn, sock) = (capture::turn_of_cursor(&scratch.operation), scratch.operation.sock.get());
    let mut index = 0;
    if let Some(cursor) = MESSAGE_CURSORS.get_ptr(&tid) {
        // SAFETY: a live map value of this thread.
        let cursor = unsafe { *cursor };
        let same = cursor.array == array && cursor.length == length && cursor.sock == sock;
        if same && cursor.index < length && cursor.turn == turn {
            index = cursor.index;
        }
    }
    if index + 1 >= length {
        end_messages();
    } else {
        let _ = MESSAGE_CURSORS.insert(&tid, &MessageCursor { array, length, index: index + 1, turn, sock }, 0);
    }
    source.clear();
    source.message_left = scratch.operation.moved.get();
    source.vectors_of(array.wrapping_add(index * MMSGHDR));
    0
}

/// The current thread's `sendmmsg`/`recvmmsg` call is over.
#[inline(always)]
pub fn end_messages() {
    let _ = MESSAGE_CURSORS.remove(&task::ids(task::current()).tid);
}

/// Whether a call that read nothing had room for something: otherwise it says nothing of the stream's end.
#[inline(always)]
pub fn had_room(call: &Call) -> bool {
    let shape = call.shape.get();
    if shape == shape::BUFFER {
        return call.length.get() > 0;
    }
    if shape == shape::VECTOR {
        return vectors_room(call.pointer.get(), call.length.get()) > 0;
    }
    shape == shape::MESSAGE
}

/// Bytes that the first iovecs of a call have room for.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn vectors_room(vectors: u64, count: u64) -> u64 {
    let mut room = 0u64;
    let mut i = 0;
    while i < 8 {
        if i >= count {
            break;
        }
        if let Some(vector) = read_user::<IoVec>(vectors.wrapping_add(i * 16)) {
            room |= vector.length;
        }
        i += 1;
    }
    room
}

/// The bytes all messages of a `shape::MESSAGES` call moved together, when `messages` of them did.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn moved_by_messages(array: u64, messages: u64) -> u64 {
    let mut total = 0;
    let mut i = 0;
    while i < 64 {
        if i >= messages {
            break;
        }
        if let Some(message) = read_user::<Message>(array.wrapping_add(i * MMSGHDR)) {
            total += u64::from(message.moved);
        }
        i += 1;
    }
    total
}

impl Memory {
    #[inline(always)]
    fn clear(&mut self) {
        maps::clear(&mut self.base);
        maps::clear(&mut self.left);
        maps::clear(&mut self.vectors);
        maps::clear(&mut self.vectors_left);
        maps::clear(&mut self.message_left);
        maps::clear(&mut self.messages);
        maps::clear(&mut self.messages_left);
        maps::clear(&mut self.filled);
    }

    /// Takes the iovecs of a `struct msghdr`.
    #[inline(always)]
    fn vectors_of(&mut self, header: u64) {
        if let Some(message) = read_user::<Message>(header) {
            self.vectors = message.vectors;
            self.vectors_left = message.vector_count;
        }
    }

    /// Goes to the next iovec or message; false at the end.
    #[inline(always)]
    fn next_piece(&mut self) -> bool {
        if self.message_left > 0 && self.vectors_left > 0 {
            let Some(vector) = read_user::<IoVec>(self.vectors) else { return false };
            self.vectors = self.vectors.wrapping_add(16);
            self.vectors_left -= 1;
            self.base = vector.base;
            self.left = if vector.length < self.message_left { vector.length } else { self.message_left };
            self.message_left -= self.left;
            return true;
        }
        if self.messages_left > 0 {
            let Some(message) = read_user::<Message>(self.messages) else { return false };
            self.messages = self.messages.wrapping_add(MMSGHDR);
            let moved = u64::from(message.moved);
            self.messages_left = self.messages_left.saturating_sub(moved);
            self.vectors = message.vectors;
            self.vectors_left = message.vector_count;
            self.message_left = moved;
            return moved > 0;
        }
        false
    }
}
