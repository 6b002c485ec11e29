//! Which coroutine the current thread runs. For Go: the address of the goroutine's `g`.
//!
//! Nobody says which processes are Go; a `g` shows by itself: its stack is the one that the system call was made on, and
//! it has the marks of an ordinary goroutine. So there is no table of processes to keep, the first record of a process
//! has its key already, and an `exec` leaves nothing behind that is wrong. What does not show is 0, unknown.
//!
//! A thread's `g` is in the word below the thread pointer. Go's linker fixes that (`computeTLSOffset` in
//! `cmd/link/internal/ld/sym.go`), and where it leaves the work to another linker, `runtime.tlsg` is the executable's
//! thread-local variable, which alone has the same place. The place is another, and the key unknown, where C code in the
//! executable has thread-local variables too (glibc linked statically), and in shared libraries written in Go.
//!
//! The thread pointer is the one that was set by `clone` or `arch_prctl`, as Go and C libraries do. What a program sets by
//! the `wrfsbase` instruction the kernel only knows after the next switch between tasks.
//!
//! Go makes system calls on the goroutine's own stack. C code that it calls runs on the thread's `g0`, which is none.

use crate::{kernel, memory::read_user, task};

/// The first fields of `struct g` in `runtime/runtime2.go`: Go's compiler knows their offsets.
#[repr(C)]
#[derive(Clone, Copy)]
struct G {
    stack_low: u64,
    stack_high: u64,
    stack_guard0: u64,
    /// All ones in goroutines; a bound of the stack in a thread's `g0` and `gsignal`.
    stack_guard1: u64,
}

/// The smallest stack of a goroutine; sizes are powers of two (`stackalloc` in `runtime/stack.go`).
const SMALLEST_STACK: u64 = 2048;

/// Key of the coroutine that made the current system call on the stack at `stack_pointer`; 0 when none is known. Go uses
/// a `g` again, so only living goroutines of a process differ by it.
///
/// A function of its own, so that the verifier walks through it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn current_coroutine(stack_pointer: u64) -> u64 {
    goroutine(stack_pointer).unwrap_or(0)
}

#[inline(always)]
fn goroutine(stack_pointer: u64) -> Option<u64> {
    if !kernel::has(&kernel::TASK_FSBASE) {
        return None;
    }
    let thread_pointer = kernel::load::<u64>(task::current(), &kernel::TASK_FSBASE);
    if thread_pointer == 0 {
        return None;
    }
    let address = read_user::<u64>(thread_pointer.wrapping_sub(8))?;
    // In other programs it is mostly no pointer, which is not worth a fault.
    if address == 0 || address % 8 != 0 {
        return None;
    }
    let g = read_user::<G>(address)?;
    let size = g.stack_high.wrapping_sub(g.stack_low);
    let runs_on_it = stack_pointer >= g.stack_low && stack_pointer < g.stack_high;
    let ordinary = g.stack_guard1 == u64::MAX && size >= SMALLEST_STACK && size & (size - 1) == 0;
    (runs_on_it && ordinary).then_some(address)
}
