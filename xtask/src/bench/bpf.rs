//! What is asked of the kernel about programs without the auditor.
//!
//! Empty probes are programs of two instructions on the tracepoints of a hook strategy. What they cost is the floor of
//! every program that could be there.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_RAW_TRACEPOINT_OPEN: u32 = 17;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
/// `r0 = 0; exit`
const NOTHING: [u64; 2] = [0xb7, 0x95];

/// Where the programs of a hook strategy run for every operation.
fn tracepoints(hooks: &str) -> &'static [&'static str] {
    match hooks {
        "sock" => &["sock_send_length", "sock_recv_length", "inet_sock_set_state"],
        _ => &["sys_exit", "inet_sock_set_state"],
    }
}

/// Attached until dropped.
pub(super) struct Probes(#[expect(dead_code, reason = "it is what keeps them attached")] Vec<OwnedFd>);

impl Probes {
    pub(super) fn attach(hooks: &str) -> Result<Self> {
        let program = load().context("loading an empty program (needs CAP_BPF and CAP_PERFMON)")?;
        let open = |name: &&str| open(name, &program).with_context(|| format!("no tracepoint {name}"));
        tracepoints(hooks).iter().map(open).collect::<Result<_>>().map(Self)
    }
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes the rest for zeroes.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

fn load() -> io::Result<OwnedFd> {
    let license = c"GPL";
    bpf(
        BPF_PROG_LOAD,
        &Load {
            prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT,
            insn_cnt: NOTHING.len() as u32,
            insns: NOTHING.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log_buf: 0,
        },
    )
}

/// The same for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
struct Open {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

fn open(name: &str, program: &OwnedFd) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    let prog_fd = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    bpf(BPF_RAW_TRACEPOINT_OPEN, &Open { name: name.as_ptr() as u64, prog_fd, padding: 0 })
}

/// Nanoseconds and runs so far of the programs that a process has attached, by tracepoint. Counted while
/// `kernel.bpf_stats_enabled` is set.
pub(super) fn runs(pid: u32) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let link = std::fs::read_to_string(entry?.path()).unwrap_or_default();
        let (Some(name), Some(id)) = (field(&link, "tp_name:"), field(&link, "prog_id:")) else { continue };
        let id: u64 = id.parse().map_err(io::Error::other)?;
        // Its first word is the id, and no flags follow.
        let program = bpf(BPF_PROG_GET_FD_BY_ID, &[id, 0])?;
        let program = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd()))?;
        let number = |name| field(&program, name).and_then(|number| number.parse().ok()).unwrap_or(0);
        all.insert(name.to_owned(), (number("run_time_ns:"), number("run_cnt:")));
    }
    Ok(all)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// A call that gives a descriptor.
fn bpf<T>(command: u32, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `attributes`, which has that size, and what its pointers point at, which outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: a descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
