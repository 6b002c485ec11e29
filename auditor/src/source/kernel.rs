//! Loads the BPF object, attaches the hooks, and reads what they deliver.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use auditor_ebpf::wire;
use aya::maps::{Array, HashMap as BpfHashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::tp_btf::BtfTracePointLink;
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use zerocopy::FromBytes;

use super::btf::{Btf, BtfError};
use super::cgroup::Subtree;
use super::leaves::Leaves;
use super::{layout, privilege};
use crate::record::{Blind, BlindReason, BootNs, DutyCycle, ProcessId};

/// The BPF object, built by `cargo xtask build-ebpf` and checked in.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../auditor-ebpf/auditor.bpf.o"));

/// Names another object to load in place of the built-in one: `build-ebpf --check` tries a fresh build with it.
pub const OBJECT_ENV: &str = "AUDITOR_BPF_OBJECT";

/// [`Options::log_level`] at which the verifier explains the steps that it refused.
const LOG_TRACE: u8 = 5;

/// How socket operations are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// Tracepoints in the socket layer; Linux 6.3 and later.
    Sock,
    /// The end of every system call.
    Syscall,
}

impl Hooks {
    /// As written on the command line and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sock => "sock",
            Self::Syscall => "syscall",
        }
    }
}

/// Which tasks the kernel side looks at; an empty list selects all, lists are ANDed.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Process ids.
    pub pids: Vec<u32>,
    /// Command names, at most 15 bytes each.
    pub comms: Vec<String>,
    /// cgroup v2 subtrees, at most 16.
    pub cgroups: Vec<Subtree>,
}

/// What to attach.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `None`: the best this kernel has.
    pub hooks: Option<Hooks>,
    /// Which tasks.
    pub selection: Selection,
    /// When; `None`: always.
    pub duty_cycle: Option<DutyCycle>,
    /// Ring buffer bytes, a power of two of at least a page.
    pub ring_bytes: u32,
    /// Level of the kernel side's own log, 0 (off) to 5 (trace).
    pub log_level: u8,
}

/// Why capturing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Not enough privilege.
    #[error("missing {}: run as root, or grant the capabilities to the auditor", .missing.join(" and "))]
    Privilege {
        /// Names of the capabilities.
        missing: Vec<&'static str>,
    },
    /// The kernel does not describe its types.
    #[error(
        "this kernel publishes no BTF ({}): boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (every major \
             distribution since 2021 has one)",
        super::btf::VMLINUX
    )]
    NoBtf,
    /// A structure is not as expected.
    #[error("{0}: this kernel is not supported; please report its version")]
    Layout(#[source] BtfError),
    /// The asked-for hooks do not exist here.
    #[error("this kernel has no {tracepoint} tracepoint, which --hooks {hooks} needs: {remedy}")]
    NoTracepoint {
        /// Which.
        tracepoint: &'static str,
        /// What was asked for.
        hooks: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The kernel refused the object.
    #[error("the kernel refused {what}: {reason}")]
    Refused {
        /// Program, map or object.
        what: String,
        /// In words, with a remedy.
        reason: &'static str,
        /// The raw error and the verifier's log, for `--log-level debug`.
        detail: String,
    },
    /// More selections than the kernel side holds.
    #[error("too many selections: {0}")]
    Selection(String),
}

/// The attached kernel side. Dropping it detaches and unloads everything.
pub struct Kernel {
    /// They own the programs, and these the maps that are not read here. In the order of [`programs`].
    links: Vec<BtfTracePointLink>,
    ring: RingBuf<MapData>,
    /// Records.
    taken: u64,
    counters: PerCpuArray<MapData, [u64; wire::COUNTERS]>,
    polled: Array<MapData, u32>,
    leaves: Option<Leaves>,
    blind: BpfHashMap<MapData, [u8; size_of::<wire::BlindKey>()], [u8; size_of::<wire::BlindCount>()]>,
    blind_seen: HashMap<wire::BlindKey, wire::BlindCount>,
    hooks: Hooks,
    duty_cycle: Option<DutyCycle>,
    logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

/// The hooks this kernel has, best first.
pub fn available(btf: &Btf) -> Vec<Hooks> {
    let mut hooks = Vec::new();
    if btf.has_tracepoint("sock_send_length") && btf.has_tracepoint("sock_recv_length") {
        hooks.push(Hooks::Sock);
    }
    if btf.has_tracepoint("sys_exit") {
        hooks.push(Hooks::Syscall);
    }
    hooks
}

impl Kernel {
    /// Loads and attaches.
    ///
    /// # Errors
    /// Says what this node lacks, and what to do about it.
    pub fn attach(options: &Options) -> Result<Self, AttachError> {
        let missing = privilege::missing(privilege::effective());
        if !missing.is_empty() {
            return Err(AttachError::Privilege { missing });
        }
        let btf = match Btf::of_kernel() {
            Ok(btf) => btf,
            Err(BtfError::Read(_)) => return Err(AttachError::NoBtf),
            Err(error) => return Err(AttachError::Layout(error)),
        };
        let hooks = choose(&btf, options.hooks)?;
        let mut ebpf = load(&btf, options)?;
        select(&mut ebpf, &options.selection)?;
        let kernel_types = aya::Btf::from_sys_fs().map_err(|error| refused("the kernel's BTF", &error))?;
        // All are verified before the first is attached: that takes a while, and until the last is attached one
        // direction of a conversation would be seen without the other.
        let programs = programs(hooks, &btf);
        for (name, tracepoint) in &programs {
            load_program(&mut ebpf, name, tracepoint, &kernel_types)?;
        }
        let mut links = Vec::new();
        for (name, tracepoint) in &programs {
            let program = program(&mut ebpf, name, tracepoint)?;
            let link = program.attach().and_then(|link| program.take_link(link));
            links.push(link.map_err(|error| refused(&what(tracepoint), &error))?);
        }
        let logger = if options.log_level > 0 {
            aya_log::EbpfLogger::init(&mut ebpf).inspect_err(|error| log::warn!("kernel side's log: {error}")).ok()
        } else {
            None
        };
        Ok(Self {
            links,
            ring: map(&mut ebpf, "RECORDS")?,
            taken: 0,
            counters: map(&mut ebpf, "COUNTERS")?,
            polled: map(&mut ebpf, "POLLED")?,
            leaves: Some(Leaves::new(map(&mut ebpf, "LEAVES")?, map(&mut ebpf, "LEAVES_ON")?)),
            blind: map(&mut ebpf, "BLIND")?,
            blind_seen: HashMap::new(),
            hooks,
            duty_cycle: options.duty_cycle,
            logger,
        })
    }

    /// The hooks in use.
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// When each process is looked at.
    pub fn duty_cycle(&self) -> Option<DutyCycle> {
        self.duty_cycle
    }

    /// Nothing new is looked at from now on; what was delivered can still be taken, and counted. A program that is
    /// running on another CPU runs to its end: [`Kernel::is_drained`].
    pub fn detach(&mut self) {
        // From the first, so that no call is seen whose request was not: sends go before receives.
        self.links.clear();
    }

    /// Whether every record that was counted was taken, and the other way round.
    pub fn is_drained(&self) -> bool {
        self.counters()[wire::COUNT_RECORDS] == self.taken
    }

    /// The next record's bytes, if one is waiting.
    pub fn take_record(&mut self) -> Option<impl std::ops::Deref<Target = [u8]> + '_> {
        let record = self.ring.next();
        self.taken += u64::from(record.is_some());
        record
    }

    /// Through which processes are left alone, for who decides that; the first time.
    pub fn take_leaves(&mut self) -> Option<Leaves> {
        self.leaves.take()
    }

    /// Whether records come without waking whoever waits for the descriptor.
    pub fn set_polled(&mut self, polled: bool) {
        match self.polled.set(0, u32::from(polled), 0) {
            Ok(()) => log::debug!("records {}", if polled { "are looked for" } else { "wake" }),
            // Then it looks once a second at least.
            Err(error) => log::warn!("the kernel side does not hear whether records wake: {error}"),
        }
    }

    /// The kernel side's counters, summed over the CPUs.
    pub fn counters(&self) -> [u64; wire::COUNTERS] {
        let mut sum = [0u64; wire::COUNTERS];
        if let Ok(values) = self.counters.get(&0, 0) {
            for cpu in values.iter() {
                for (total, value) in sum.iter_mut().zip(cpu) {
                    *total = total.wrapping_add(*value);
                }
            }
        }
        sum
    }

    /// What could not be seen since the last call.
    pub fn blind_spots(&mut self, now: BootNs) -> Vec<Blind> {
        let mut seen = HashMap::new();
        let mut blind = Vec::new();
        for (key, count) in self.blind.iter().filter_map(Result::ok) {
            let (Ok(key), Ok(count)) =
                (wire::BlindKey::read_from_bytes(&key), wire::BlindCount::read_from_bytes(&count))
            else {
                continue;
            };
            let before = self.blind_seen.get(&key).copied().unwrap_or_default();
            seen.insert(key, count);
            let reason = match key.reason {
                wire::BLIND_TLS => BlindReason::Tls,
                wire::BLIND_HTTP2 => BlindReason::Http2,
                wire::BLIND_IO_URING => BlindReason::IoUring,
                wire::BLIND_COMPAT => BlindReason::CompatSyscall,
                wire::BLIND_RECEIVES_FRAMES => BlindReason::Frames,
                _ => continue,
            };
            // An entry that was evicted and came back starts from zero again.
            let since = |now: u64, before: u64| if now >= before { now - before } else { now };
            let operations = since(count.operations, before.operations);
            if operations > 0 {
                blind.push(Blind {
                    process: ProcessId { tgid: key.tgid, start_ns: key.start_ns },
                    time: now,
                    reason,
                    connections: since(count.connections, before.connections),
                    operations,
                    bytes: since(count.bytes, before.bytes),
                });
            }
        }
        // Only what the (bounded) map still holds is remembered.
        self.blind_seen = seen;
        blind.sort_by_key(|b| (b.process, b.reason));
        blind
    }

    /// Passes the kernel side's log messages on to `log`.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }
}

/// For tokio, which still asks for the raw descriptor.
impl AsRawFd for Kernel {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_fd().as_raw_fd()
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn choose(btf: &Btf, wanted: Option<Hooks>) -> Result<Hooks, AttachError> {
    let available = available(btf);
    match wanted {
        Some(hooks) if available.contains(&hooks) => Ok(hooks),
        None if !available.is_empty() => Ok(*available.first().unwrap_or(&Hooks::Syscall)),
        Some(Hooks::Sock) => Err(AttachError::NoTracepoint {
            tracepoint: "sock_send_length",
            hooks: "sock",
            remedy: "it came with Linux 6.3; use --hooks auto or --hooks syscall",
        }),
        Some(Hooks::Syscall) | None => Err(AttachError::NoTracepoint {
            tracepoint: "sys_exit",
            hooks: "syscall",
            remedy: "boot a kernel built with CONFIG_FTRACE_SYSCALLS=y and CONFIG_DEBUG_INFO_BTF=y",
        }),
    }
}

/// (program in the object, tracepoint it goes to); what sees sends comes first.
fn programs(hooks: Hooks, btf: &Btf) -> Vec<(&'static str, &'static str)> {
    let mut programs = match hooks {
        Hooks::Sock => vec![("sock_send", "sock_send_length"), ("sock_recv", "sock_recv_length")],
        Hooks::Syscall => {
            let mut programs = vec![("syscall_exit", "sys_exit")];
            // Renamed in Linux 6.4; without io_uring there is neither.
            let submit =
                ["io_uring_submit_req", "io_uring_submit_sqe"].into_iter().find(|name| btf.has_tracepoint(name));
            programs.extend(submit.map(|name| ("io_uring_submit", name)));
            programs
        }
    };
    programs.push(("tcp_state", "inet_sock_set_state"));
    programs
}

fn load(btf: &Btf, options: &Options) -> Result<Ebpf, AttachError> {
    let globals = layout::globals(btf).map_err(AttachError::Layout)?;
    let own = std::process::id();
    let on = |list: bool| u8::from(list);
    let selection = &options.selection;
    let (pids, comms, cgroups) =
        (on(!selection.pids.is_empty()), on(!selection.comms.is_empty()), on(!selection.cgroups.is_empty()));
    let (audited, period) = options.duty_cycle.map_or((0, 0), |cycle| (cycle.audited_ms, cycle.period_ms));
    let mut loader = EbpfLoader::new();
    for (name, value) in &globals {
        loader.override_global(name, value, false);
    }
    loader
        .override_global("OWN_TGID", &own, false)
        .override_global("AUDITED_MS", &audited, false)
        .override_global("PERIOD_MS", &period, false)
        .override_global("SELECT_PIDS_ON", &pids, false)
        .override_global("SELECT_COMMS_ON", &comms, false)
        .override_global("SELECT_CGROUPS_ON", &cgroups, false)
        .override_global("LOG_LEVEL", &options.log_level, false)
        .map_max_entries("RECORDS", options.ring_bytes)
        .verifier_log_level(if options.log_level >= LOG_TRACE {
            VerifierLogLevel::DEBUG | VerifierLogLevel::STATS
        } else {
            VerifierLogLevel::STATS
        });
    match std::env::var_os(OBJECT_ENV) {
        Some(path) => loader.load_file(path),
        None => loader.load(OBJECT),
    }
    .map_err(|error| refused("the BPF object", &error))
}

fn what(tracepoint: &str) -> String {
    format!("the program for tracepoint {tracepoint}")
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str, tracepoint: &str) -> Result<&'a mut BtfTracePoint, AttachError> {
    let program =
        ebpf.program_mut(name).ok_or_else(|| refused(&what(tracepoint), &"the object has no such program"))?;
    program.try_into().map_err(|error: ProgramError| refused(&what(tracepoint), &error))
}

fn load_program(ebpf: &mut Ebpf, name: &str, tracepoint: &str, btf: &aya::Btf) -> Result<(), AttachError> {
    let program = program(ebpf, name, tracepoint)?;
    program.load(tracepoint, btf).map_err(|error| match &error {
        ProgramError::LoadError { io_error, verifier_log } => AttachError::Refused {
            what: what(tracepoint),
            reason: reason(io_error.raw_os_error(), &verifier_log.to_string()),
            detail: format!("{io_error}\n{verifier_log}"),
        },
        _ => refused(&what(tracepoint), &error),
    })?;
    if let Ok(info) = program.info() {
        log::debug!("{name}: {:?} instructions verified", info.verified_instruction_count());
    }
    Ok(())
}

/// What an errno of a BPF load means to the person who has to do something about it.
fn reason(errno: Option<i32>, verifier_log: &str) -> &'static str {
    match errno {
        // Also what the verifier says of memory that must not be touched; but then it explains itself.
        Some(libc::EPERM | libc::EACCES) if verifier_log.is_empty() => {
            "a security policy forbids it; look at kernel lockdown (/sys/kernel/security/lockdown must not be \
             'confidentiality'), seccomp and LSM rules, or run `auditor doctor`"
        }
        Some(libc::ENOMEM) => "not enough memory, or the RLIMIT_MEMLOCK of this process is too low",
        Some(libc::EPERM | libc::EACCES | libc::E2BIG | libc::EINVAL) => {
            "its verifier does not accept the program; this kernel is not supported, please report its version with \
             the output of --log-level debug"
        }
        _ => "see --log-level debug",
    }
}

fn refused(what: &str, error: &dyn std::fmt::Display) -> AttachError {
    AttachError::Refused { what: what.to_owned(), reason: "see --log-level debug", detail: error.to_string() }
}

fn map<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, AttachError>
where
    T: TryFrom<aya::maps::Map>,
    T::Error: std::fmt::Display,
{
    let map = ebpf.take_map(name).ok_or_else(|| refused(name, &"the object has no such map"))?;
    map.try_into().map_err(|error: T::Error| refused(name, &error))
}

fn map_mut<'a, T>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<T, AttachError>
where
    T: TryFrom<&'a mut aya::maps::Map>,
    T::Error: std::fmt::Display,
{
    let map = ebpf.map_mut(name).ok_or_else(|| refused(name, &"the object has no such map"))?;
    map.try_into().map_err(|error: T::Error| refused(name, &error))
}

fn select(ebpf: &mut Ebpf, selection: &Selection) -> Result<(), AttachError> {
    let error = |error: aya::maps::MapError| AttachError::Selection(error.to_string());
    // Borrowed, not taken: programs that are still to be loaded refer to these maps.
    let mut pids: BpfHashMap<&mut MapData, u32, u8> = map_mut(ebpf, "SELECT_PIDS")?;
    for pid in &selection.pids {
        pids.insert(pid, 1, 0).map_err(error)?;
    }
    let mut comms: BpfHashMap<&mut MapData, [u8; 16], u8> = map_mut(ebpf, "SELECT_COMMS")?;
    for comm in &selection.comms {
        // The kernel keeps 15 bytes and a NUL.
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(comm.bytes().take(15)) {
            *to = from;
        }
        comms.insert(key, 1, 0).map_err(error)?;
    }
    let mut cgroups: Array<&mut MapData, [u64; 2]> = map_mut(ebpf, "SELECT_CGROUPS")?;
    if selection.cgroups.len() > cgroups.len() as usize {
        return Err(AttachError::Selection(format!("at most {} cgroups", cgroups.len())));
    }
    for (index, cgroup) in (0..).zip(&selection.cgroups) {
        cgroups.set(index, [cgroup.id, cgroup.level], 0).map_err(error)?;
    }
    Ok(())
}
