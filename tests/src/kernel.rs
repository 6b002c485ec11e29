//! What a test asks the running kernel.

use crate::sys;

/// Ids of all BPF programs that the kernel holds.
///
/// # Panics
/// Without the privilege to list them.
pub fn bpf_program_ids() -> Vec<u32> {
    sys::bpf_program_ids().expect("listing BPF programs needs CAP_SYS_ADMIN: run the kernel tests as root")
}

/// The BPF programs that a process has attached.
///
/// # Panics
/// When that may not be asked.
pub fn programs_of(pid: u32) -> Vec<u32> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("root may list a process's files");
    let texts = files.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())).collect()
}

/// The hook strategy that `--hooks auto` has to choose here: the socket tracepoints came with Linux 6.3.
pub fn best_hooks() -> &'static str {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 3) { "sock" } else { "syscall" }
}

/// Whether the tests should keep to what an emulated machine can do in time.
pub fn is_small() -> bool {
    std::env::var_os("AUDITOR_TEST_SMALL").is_some()
}

/// Fails a test that cannot do its work: a kernel test is never skipped for want of privilege.
///
/// # Panics
/// When this process is not root.
pub fn require_root() {
    assert!(
        sys::is_root(),
        "this kernel test loads BPF programs and needs root (CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE)"
    );
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}

/// Processes that a process forked and that still live.
pub fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Command name of a process, as `--comm` selects it.
pub fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}
