//! Where the fields of kernel structures are.
//!
//! Rust BPF has no CO-RE relocations, so the daemon looks the offsets up in the running kernel's BTF and writes them
//! here before the load (`auditor/src/source/btf.rs` holds the same names). The sections they live in are read-only and
//! frozen, so the verifier treats them as constants.

use aya_ebpf::{Global, helpers::bpf_probe_read_kernel};

/// A field the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub static $name: Global<u32> = Global::new(ABSENT);)*
    };
}

offsets! {
    TASK_FLAGS; TASK_GROUP_LEADER; TASK_EXEC_ID; TASK_START_BOOTTIME; TASK_REAL_PARENT; TASK_TGID; TASK_PID; TASK_FILES;
    /// x86 only: where the kernel notes that the current system call is a 32-bit one.
    TASK_THREAD_STATUS;
    /// x86-64 only: the base of the `fs` segment, which is the thread pointer of user space.
    TASK_FSBASE;
    FILES_FDT; FDTABLE_MAX_FDS; FDTABLE_FD;
    FILE_INODE; FILE_PRIVATE_DATA; INODE_INO; INODE_MODE;
    SOCKET_FILE; SOCKET_SK;
    SOCK_FAMILY; SOCK_STATE; SOCK_FLAGS; SOCK_NUM; SOCK_DPORT; SOCK_DADDR; SOCK_RCV_SADDR; SOCK_V6_DADDR; SOCK_V6_RCV_SADDR; SOCK_NET;
    SOCK_TYPE; SOCK_PROTOCOL; SOCK_SHUTDOWN; SOCK_SOCKET; SOCK_PEER_PID; SOCK_MAX_ACK_BACKLOG;
    NET_INUM;
    TCP_WRITE_SEQ; TCP_COPIED_SEQ; TCP_RCV_NXT; ICSK_ULP_OPS;
    UNIX_ADDR; UNIX_PEER; UNIX_ADDRESS_LEN; UNIX_ADDRESS_NAME;
    PID_NUMBERS;
    REGS_NR; REGS_ARG0; REGS_ARG1; REGS_ARG2; REGS_ARG3; REGS_SP; REGS_COMPAT_ARG0;
    IO_KIOCB_OPCODE; IO_KIOCB_FD;
}

/// Reads the field at `offset` of the kernel structure at `base`; `None` when that memory is not there.
#[inline(always)]
pub fn read<T>(base: u64, offset: &Global<u32>) -> Option<T> {
    let address = base.wrapping_add(u64::from(offset.load()));
    // SAFETY: the helper checks the address and fails on one that is not mapped.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Reads the field at `offset` of a structure whose type the verifier knows: the current task, its registers, what a
/// tracepoint is given, and whatever their pointers lead to. One instruction, where [`read`] is a call; but only while
/// the address stays in registers and on the stack. What cannot be read is 0.
#[inline(always)]
pub fn load<T: Copy>(base: u64, offset: &Global<u32>) -> T {
    let address = base.wrapping_add(u64::from(offset.load()));
    // SAFETY: the verifier compares address and size with the kernel's types, and the kernel handles the fault.
    unsafe { (address as *const T).read_volatile() }
}

/// Reads a pointer field; `None` also when it is null.
#[inline(always)]
pub fn pointer(base: u64, offset: &Global<u32>) -> Option<u64> {
    match read::<u64>(base, offset) {
        Some(0) | None => None,
        some => some,
    }
}

/// Whether the running kernel has the field.
#[inline(always)]
pub fn has(offset: &Global<u32>) -> bool {
    offset.load() != ABSENT
}

/// The smaller of the two, in a way that the verifier follows on every kernel.
///
/// The bound is on the register that is used, and on the one that is spilled: before Linux 6.8 a check after a spill
/// does not reach the spilled copy. The mask is wider than the bound, so it changes nothing; it keeps the sign bit known
/// on paths that are impossible but that old verifiers walk all the same.
#[inline(always)]
pub fn clamp(value: u64, most: u64) -> u64 {
    let value = opaque(value);
    opaque(if value > most { most } else { value }) & ((most + 1).next_power_of_two() - 1)
}

/// The same value, but the compiler no longer knows where it came from: checks that follow stay on the register that
/// is used, which is the one the verifier has to see them on.
#[inline(always)]
fn opaque(mut value: u64) -> u64 {
    // SAFETY: moves a register onto itself. (An empty instruction would break the object's line information.)
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
