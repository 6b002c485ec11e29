//! This node: clocks and names.

use crate::http::{Key, Masking};
use crate::record::{BootNs, Clock, DutyCycle};

/// Now, on `CLOCK_BOOTTIME`.
pub fn boot_now() -> BootNs {
    clock(libc::CLOCK_BOOTTIME)
}

/// Processor time that this process has taken, user and system.
pub fn cpu_time() -> std::time::Duration {
    std::time::Duration::from_nanos(clock(libc::CLOCK_PROCESS_CPUTIME_ID))
}

/// Masking under a key of this run, from the kernel's random numbers. The key lives nowhere else.
///
/// # Errors
/// When the kernel gives none.
pub fn run_masking() -> std::io::Result<Masking> {
    let mut bytes = [0u8; 16];
    // SAFETY: writes at most 16 bytes, which live here.
    let written = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    match usize::try_from(written) {
        // So few bytes come at once or not at all.
        Ok(16) => Ok(Masking::Keyed(Key::new(bytes))),
        Ok(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(std::io::Error::last_os_error()),
    }
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec, which lives here.
    let failed = unsafe { libc::clock_gettime(id, &raw mut time) };
    if failed != 0 {
        return 0;
    }
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Kernel release, such as `6.1.0-18-amd64`.
pub fn kernel_release() -> String {
    read_trimmed("/proc/sys/kernel/osrelease")
}

/// Name of the node, as this process's UTS namespace has it.
pub fn host_name() -> String {
    read_trimmed("/proc/sys/kernel/hostname")
}

/// Whether this process is in the initial pid namespace, whose pids the kernel side reports and compares.
///
/// # Errors
/// When `/proc` does not tell.
pub fn in_initial_pid_namespace() -> std::io::Result<bool> {
    std::fs::read_link("/proc/self/ns/pid").map(|link| is_initial(&link))
}

/// Whether `/proc` shows the processes of the node by the pids that the kernel side reports.
pub fn sees_host_processes() -> bool {
    // Its first process tells whose it is, where that may be asked; else it is taken to be this process's own.
    let first = std::fs::read_link("/proc/1/ns/pid").map(|link| is_initial(&link));
    first.or_else(|_| in_initial_pid_namespace()).unwrap_or(true)
}

/// Whether SIGHUP is ignored, as `nohup` has it.
pub fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is the first.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

fn is_initial(link: &std::path::Path) -> bool {
    // It has a fixed inode number (PROC_PID_INIT_INO).
    link.as_os_str() == "pid:[4026531836]"
}

fn read_trimmed(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The first record of a run on this node.
pub fn clock_record(hooks: &str, host_name: String, duty_cycle: Option<DutyCycle>, leaf_rest_ns: BootNs) -> Clock {
    Clock {
        boot_ns: boot_now(),
        unix_ns: i64::try_from(clock(libc::CLOCK_REALTIME)).unwrap_or(i64::MAX),
        host_name,
        kernel: kernel_release(),
        hooks: hooks.to_owned(),
        auditor_version: env!("CARGO_PKG_VERSION").to_owned(),
        auditor_pid: std::process::id(),
        duty_cycle,
        leaf_rest_ns,
    }
}
