//! What `/proc` says of a process: who it is, and whom it belongs to.
//!
//! Names are looked for in this order: `otel` (what the process declares of itself in its `environ`), `placement` (its
//! cgroups: container, pod, unit), `kubernetes` and `containers` (what the node's files call these), `script`. Which of
//! them is the service's is for `service_name`.

mod containers;
mod environ;
mod kubernetes;
mod otel;
mod placement;
pub(super) mod script;
mod service_name;

use std::fs;
use std::path::{Path, PathBuf};

use auditor_ebpf::wire;

use self::containers::Containers;
use self::environ::Environ;
use self::otel::Declared;
use self::placement::Placement;
use self::script::script_name;
use self::service_name::service_name;
use super::command_line::redact;
use super::{cgroup, node};
use crate::record::{BootNs, Process, ProcessId, Workload};

const COMMAND_LINE_CAP: usize = 1024;

/// Describes processes.
#[derive(Debug)]
pub struct Describer {
    /// Whether `/proc` shows the processes that the kernel side names.
    sees_host: bool,
    containers: Containers,
    /// Name of the node.
    node: String,
}

impl Describer {
    /// `host_root` is where the node's file system is: `/`, or where it is mounted in a container. `node` is its name.
    pub fn new(host_root: PathBuf, node: String) -> Self {
        Self { sees_host: node::sees_host_processes(), containers: Containers::new(host_root), node }
    }

    /// Reads what is known of a process.
    ///
    /// One that has already ended no longer says what it ran, nor where. What processes inherit is then read from the
    /// nearest of its ancestors that lives, if that is in the same cgroup: a container's first process inherits nothing
    /// from whoever starts containers. Of the program only `comm` is left. The same where `/proc` is another pid
    /// namespace's, in which the pid is somebody else's.
    pub fn describe(&mut self, id: ProcessId, comm: &[u8; 16], descent: &Descent, time: BootNs) -> Process {
        let comm = String::from_utf8_lossy(comm).trim_end_matches('\0').to_owned();
        // A process that reused the pid is another one: believe nothing of it.
        let own = self.sees_host.then(|| Living::read(id.tgid, |start| same_tick(start, id.start_ns))).flatten();
        let nearest = || {
            let lives = |pid: &u32| Some((*pid, Living::read(*pid, |start| !later_tick(start, id.start_ns))?));
            let (pid, living) = descent.ancestors.iter().find_map(lives)?;
            (cgroup::id_of(pid) == Some(descent.cgroup)).then_some(living)
        };
        let inherited = (own.is_none() && self.sees_host).then(nearest).flatten();
        let surroundings = own.as_ref().or(inherited.as_ref()).map(|living| living.surroundings.clone());
        let Surroundings { placement, environ } = surroundings.unwrap_or_default();
        let (executable, arguments) =
            own.as_ref().map_or((None, &[][..]), |own| (own.executable.clone(), &own.arguments));
        let executable = executable.unwrap_or(comm);
        let declared = Declared::of(&environ);
        let mut names = self.containers.names(&placement, time);
        names.pod.complete(&environ, &self.node);
        let script = script_name(&executable, arguments);
        let unnamed = format!("pid {}", id.tgid);
        let program = if executable.is_empty() { &unnamed } else { &executable };
        Process {
            id,
            time,
            service: service_name(declared.name, &placement, &names, script, program),
            executable,
            command_line: clip(arguments.join(" ").trim_end(), COMMAND_LINE_CAP),
            cgroup: placement.path,
            container_id: placement.container_id,
            workload: Workload {
                service_namespace: declared.namespace,
                service_version: declared.version,
                service_instance_id: declared.instance_id,
                deployment_environment: declared.environment,
                container_name: names.container,
                pod_uid: names.pod.uid,
                pod_name: names.pod.name,
                pod_namespace: names.pod.namespace,
                vpid: own.and_then(|own| own.vpid),
            },
        }
    }

    /// Command name of a process, NUL padded; empty when it has ended.
    pub fn comm(&self, tgid: u32) -> [u8; 16] {
        let mut comm = [0; 16];
        let text = if self.sees_host { fs::read(format!("/proc/{tgid}/comm")).unwrap_or_default() } else { Vec::new() };
        for (to, from) in comm.iter_mut().zip(text.into_iter().take_while(|&byte| byte != b'\n').take(15)) {
            *to = from;
        }
        comm
    }
}

/// Where a process comes from, as the kernel knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Descent {
    /// Pids, nearest first; 0 past init.
    pub ancestors: [u32; wire::ANCESTORS],
    /// cgroup v2 id.
    pub cgroup: u64,
}

/// What a process that has not ended says of itself.
struct Living {
    /// Where it may be read.
    executable: Option<String>,
    arguments: Vec<String>,
    /// Its pid in its own namespace, where that is another one.
    vpid: Option<u32>,
    surroundings: Surroundings,
}

/// What a process gives its children, unless one of them changes it.
#[derive(Clone, Default)]
struct Surroundings {
    placement: Placement,
    environ: Environ,
}

impl Living {
    /// Nothing when it has ended, or when `is_it` does not accept when it started (in clock ticks).
    fn read(pid: u32, is_it: impl Fn(u64) -> bool) -> Option<Self> {
        let proc = Path::new("/proc").join(pid.to_string());
        let read = |name: &str| fs::read(proc.join(name)).unwrap_or_default();
        let surroundings = Surroundings {
            placement: Placement::parse(&String::from_utf8_lossy(&read("cgroup"))),
            environ: Environ::read(&proc),
        };
        let vpid = vpid(&String::from_utf8_lossy(&read("status")));
        let executable = fs::read_link(proc.join("exe")).ok();
        let arguments = read("cmdline");
        // After the others: a process that has ended has neither, but who may not trace may still read the arguments.
        if executable.is_none() && arguments.is_empty() {
            return None;
        }
        let executable = executable.as_ref().and_then(|path| path.file_name());
        let executable = executable.map(|name| name.to_string_lossy().trim_end_matches(" (deleted)").to_owned());
        let arguments: Vec<String> =
            arguments.split(|&b| b == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        // Here, so that recordings hold no secrets; and before anything is derived from them.
        let arguments = redact(&arguments);
        // Last: while it is there, nobody else has its pid.
        let started = started(&read("stat"));
        started.is_some_and(is_it).then_some(Self { executable, arguments, vpid, surroundings })
    }
}

/// At most `cap` bytes of `text`.
fn clip(text: &str, cap: usize) -> String {
    let mut end = text.len().min(cap);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// `NSpid:` of `/proc/PID/status`: its pid in every namespace that it is in, its own last.
fn vpid(status: &str) -> Option<u32> {
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    pids.split_whitespace().skip(1).last()?.parse().ok()
}

/// Field 22 of `/proc/PID/stat`: when the process started, in clock ticks since boot.
fn started(stat: &[u8]) -> Option<u64> {
    let stat = String::from_utf8_lossy(stat);
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

/// USER_HZ is 100 on every architecture Linux offers to user space today.
const TICK_NS: u64 = 10_000_000;

fn same_tick(ticks: u64, start_ns: BootNs) -> bool {
    ticks.abs_diff(start_ns / TICK_NS) <= 1
}

fn later_tick(ticks: u64, start_ns: BootNs) -> bool {
    ticks > start_ns / TICK_NS + 1
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn describer() -> Describer {
        Describer::new(PathBuf::from("/"), "node-a".to_owned())
    }

    fn start_of(pid: u32) -> u64 {
        started(&fs::read(format!("/proc/{pid}/stat")).expect("proc")).expect("a time")
    }

    #[test]
    fn the_pid_in_its_own_namespace_is_the_last() {
        assert_eq!(vpid("Name:\tx\nNSpid:\t4121\t12\t1\nX:\t2\n"), Some(1));
        assert_eq!(vpid("NSpid:\t4121\n"), None);
        assert_eq!(vpid("NSpid:\n"), None);
        assert_eq!(vpid(""), None);
    }

    #[test]
    fn in_another_pid_namespace_nobody_is_taken_for_somebody_else() {
        let mut describer = describer();
        let id = ProcessId { tgid: std::process::id(), start_ns: start_of(std::process::id()) * TICK_NS };
        let comm = b"java\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_ne!(describer.comm(id.tgid), [0; 16]);
        describer.sees_host = false;
        let process = describer.describe(id, comm, &Descent::default(), 7);
        assert_eq!(
            (process.service.as_str(), process.command_line.as_str(), process.cgroup.as_str()),
            ("java", "", "")
        );
        assert_eq!(describer.comm(id.tgid), [0; 16]);
        let unnamed = describer.describe(id, &[0; 16], &Descent::default(), 7);
        assert_eq!((unnamed.service, unnamed.executable), (format!("pid {}", id.tgid), String::new()));
    }

    #[test]
    fn describes_this_process_and_only_it() {
        let mut describer = describer();
        let id = ProcessId { tgid: std::process::id(), start_ns: start_of(std::process::id()) * TICK_NS };
        let process = describer.describe(id, b"comm\0\0\0\0\0\0\0\0\0\0\0\0", &Descent::default(), 7);
        assert!(process.command_line.contains(&process.executable), "{process:?}");
        let other = describer.describe(
            ProcessId { start_ns: 1, ..id },
            b"comm\0\0\0\0\0\0\0\0\0\0\0\0",
            &Descent::default(),
            7,
        );
        assert_eq!((other.executable.as_str(), other.command_line.as_str()), ("comm", ""));
    }

    #[test]
    fn of_an_ended_process_is_known_what_it_inherited() {
        let named = |command: &mut Command| command.env("OTEL_SERVICE_NAME", "shop").spawn().expect("starts");
        let mut parent = named(Command::new("sleep").arg("60"));
        let started = start_of(parent.id());
        // Not waited for, it is in /proc without anything of its own.
        let mut child = named(Command::new("true").env("OTEL_SERVICE_NAME", "another"));
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).expect("proc").contains(") Z ") {
            std::thread::yield_now();
        }
        let id = ProcessId { tgid: child.id(), start_ns: (started + 1) * TICK_NS };
        let cgroup = cgroup::id_of(parent.id()).expect("cgroup v2 is mounted");
        let mut describer = describer();
        let mut describe = |id, above: u32, cgroup| {
            let mut descent = Descent { cgroup, ..Descent::default() };
            (descent.ancestors[0], descent.ancestors[1]) = (u32::MAX, above);
            let process = describer.describe(id, b"wget\0\0\0\0\0\0\0\0\0\0\0\0", &descent, 7);
            (process.service, process.executable)
        };
        let known = |service: &str| (service.to_owned(), "wget".to_owned());
        assert_eq!(describe(id, parent.id(), cgroup), known("shop"));
        assert_eq!(describe(id, 0, cgroup), known("wget"));
        // As of a container, whose first process was forked by what is outside.
        assert_eq!(describe(id, parent.id(), cgroup + 1), known("wget"));
        // Who started later is no ancestor, whatever its pid.
        assert_eq!(describe(ProcessId { start_ns: 0, ..id }, parent.id(), cgroup), known("wget"));
        for process in [&mut child, &mut parent] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
