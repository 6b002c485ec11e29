//! What `/proc` says of a process.

use std::fs;
use std::path::Path;

use auditor_ebpf::wire;

use super::cgroup;
use super::command_line::{MASK, redact};
use crate::record::{BootNs, Process, ProcessId};

const COMMAND_LINE_CAP: usize = 1024;
/// Environments are read up to here; a service name beyond it is not found.
const ENVIRON_CAP: u64 = 128 * 1024;

/// Programs whose first argument says more than they do.
const INTERPRETERS: &[&str] = &["python", "node", "ruby", "perl", "php", "bash", "sh", "dash", "java", "deno", "bun"];

/// Reads what is known of a process.
///
/// One that has already ended no longer says what it ran, nor where. What processes inherit is then read from the nearest
/// of its ancestors that lives, if that is in the same cgroup: a container's first process inherits nothing from whoever
/// starts containers. Of the program only `comm` is left.
pub fn describe(id: ProcessId, comm: &[u8; 16], descent: &Descent, time: BootNs) -> Process {
    let comm = String::from_utf8_lossy(comm).trim_end_matches('\0').to_owned();
    // A process that reused the pid is another one: believe nothing of it.
    let own = Living::read(id.tgid, |start| same_tick(start, id.start_ns));
    let nearest = || {
        let lives = |pid: &u32| Some((*pid, Living::read(*pid, |start| !later_tick(start, id.start_ns))?));
        let (pid, living) = descent.ancestors.iter().find_map(lives)?;
        (cgroup::id_of(pid) == Some(descent.cgroup)).then_some(living)
    };
    let inherited = own.is_none().then(nearest).flatten();
    let (executable, arguments) = own.as_ref().map_or((None, &[][..]), |own| (own.executable.clone(), &own.arguments));
    let executable = executable.unwrap_or(comm);
    let Surroundings { cgroup, otel } =
        own.as_ref().or(inherited.as_ref()).map(|living| living.surroundings.clone()).unwrap_or_default();
    let container_id = container_id(&cgroup);
    let service = otel
        .or_else(|| systemd_unit(&cgroup))
        .or_else(|| container_id.clone().map(|id| id.chars().take(12).collect()))
        .unwrap_or_else(|| script_name(&executable, arguments).unwrap_or_else(|| executable.clone()));
    let command_line = clip(arguments.join(" ").trim_end(), COMMAND_LINE_CAP);
    Process { id, time, service, executable, command_line, cgroup, container_id }
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
    surroundings: Surroundings,
}

/// What a process gives its children, unless one of them changes it.
#[derive(Clone, Default)]
struct Surroundings {
    cgroup: String,
    /// `OTEL_SERVICE_NAME`.
    otel: Option<String>,
}

impl Living {
    /// Nothing when it has ended, or when `is_it` does not accept when it started (in clock ticks).
    fn read(pid: u32, is_it: impl Fn(u64) -> bool) -> Option<Self> {
        let proc = Path::new("/proc").join(pid.to_string());
        let read = |name: &str| fs::read(proc.join(name)).unwrap_or_default();
        let surroundings = Surroundings {
            cgroup: cgroup_path(&String::from_utf8_lossy(&read("cgroup"))),
            otel: otel_service_name(&proc.join("environ")),
        };
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
        started(&read("stat")).is_some_and(is_it).then_some(Self { executable, arguments, surroundings })
    }
}

/// Command name of a process, NUL padded; empty when it has ended.
pub fn comm(tgid: u32) -> [u8; 16] {
    let mut comm = [0; 16];
    let text = fs::read(format!("/proc/{tgid}/comm")).unwrap_or_default();
    for (to, from) in comm.iter_mut().zip(text.into_iter().take_while(|&byte| byte != b'\n').take(15)) {
        *to = from;
    }
    comm
}

fn clip(text: &str, cap: usize) -> String {
    let mut end = text.len().min(cap);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
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

/// The v2 path, or the longest of the v1 ones.
fn cgroup_path(text: &str) -> String {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let v2 = text.lines().find_map(|line| line.strip_prefix("0::")).filter(|path| *path != "/");
    v2.or_else(|| paths.max_by_key(|path| path.len())).unwrap_or("/").to_owned()
}

/// 64 hexadecimal digits in the last part of the path, whatever the runtime puts around them.
fn container_id(cgroup: &str) -> Option<String> {
    cgroup
        .rsplit('/')
        .find_map(|part| part.split(|c: char| !c.is_ascii_hexdigit()).find(|run| run.len() == 64).map(str::to_owned))
}

/// `…/NAME.service`; user sessions' and init's own scopes say nothing of the workload.
fn systemd_unit(cgroup: &str) -> Option<String> {
    let unit = cgroup.rsplit('/').find(|part| part.ends_with(".service"))?;
    (!unit.starts_with("user@")).then(|| unit.trim_end_matches(".service").to_owned())
}

fn otel_service_name(environ: &Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(environ).ok()?.take(ENVIRON_CAP).read_to_end(&mut bytes).ok()?;
    let value = bytes.split(|&b| b == 0).find_map(|entry| entry.strip_prefix(b"OTEL_SERVICE_NAME="))?;
    let value = clip(String::from_utf8_lossy(value).trim(), 256);
    (!value.is_empty()).then_some(value)
}

/// `python3 -u /srv/shop/app.py --port 80` → `app.py`.
fn script_name(executable: &str, arguments: &[String]) -> Option<String> {
    if !is_interpreter(executable) {
        return None;
    }
    let mut arguments = arguments.iter().skip(1).map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            // What follows names the program.
            "-m" | "-jar" => {
                let name = arguments.next().filter(|name| !name.contains(MASK))?;
                return Some(basename(name).to_owned());
            }
            // Code on the command line, and options with a value: no name to find.
            "-c" | "-e" | "-cp" | "-classpath" | "-r" => return None,
            option if option.starts_with('-') => {}
            name if name.contains(MASK) => {}
            name if !name.is_empty() => return Some(basename(name).to_owned()),
            _ => {}
        }
    }
    None
}

/// Of the path of a program.
pub(super) fn is_interpreter(program: &str) -> bool {
    INTERPRETERS.contains(&basename(program).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn script(executable: &str, line: &str) -> Option<String> {
        script_name(executable, &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn interpreters_give_the_name_of_the_script() {
        assert_eq!(script("python3.11", "python3 -u /srv/app.py --port 80").as_deref(), Some("app.py"));
        assert_eq!(script("python3.11", "python3 -m gunicorn app").as_deref(), Some("gunicorn"));
        assert_eq!(script("node", "node /srv/server.js").as_deref(), Some("server.js"));
        assert_eq!(script("java", "java -Xmx1g -jar /opt/shop.jar").as_deref(), Some("shop.jar"));
        assert_eq!(script("python3", "python3 -c print()"), None);
        assert_eq!(script("nginx", "nginx -c x"), None);
        assert_eq!(script("node", "node --token *** server.js").as_deref(), Some("server.js"));
        assert_eq!(script("java", "java -jar /opt/***"), None);
    }

    #[test]
    fn cgroups_name_units_and_containers() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(container_id(&format!("/system.slice/docker-{id}.scope")), Some(id.clone()));
        assert_eq!(container_id(&format!("/kubepods/burstable/pod1/{id}")), Some(id));
        assert_eq!(container_id("/system.slice/nginx.service"), None);
        assert_eq!(systemd_unit("/system.slice/nginx.service").as_deref(), Some("nginx"));
        assert_eq!(systemd_unit("/user.slice/user-0.slice/user@0.service"), None);
        assert_eq!(cgroup_path("4:memory:/a/b\n0::/\n"), "/a/b");
        assert_eq!(cgroup_path("0::/system.slice/x.service\n"), "/system.slice/x.service");
    }

    #[test]
    fn describes_this_process_and_only_it() {
        let stat = fs::read("/proc/self/stat").expect("proc");
        let text = String::from_utf8_lossy(&stat).into_owned();
        let ticks: u64 = text.rsplit_once(") ").expect("stat").1.split(' ').nth(19).expect("22").parse().expect("n");
        let id = ProcessId { tgid: std::process::id(), start_ns: ticks * 10_000_000 };
        let process = describe(id, b"comm\0\0\0\0\0\0\0\0\0\0\0\0", &Descent::default(), 7);
        assert!(process.command_line.contains(&process.executable), "{process:?}");
        let other = describe(ProcessId { start_ns: 1, ..id }, b"comm\0\0\0\0\0\0\0\0\0\0\0\0", &Descent::default(), 7);
        assert_eq!((other.executable.as_str(), other.command_line.as_str()), ("comm", ""));
    }

    #[test]
    fn of_an_ended_process_is_known_what_it_inherited() {
        let named = |command: &mut Command| command.env("OTEL_SERVICE_NAME", "shop").spawn().expect("starts");
        let mut parent = named(Command::new("sleep").arg("60"));
        let started = started(&fs::read(format!("/proc/{}/stat", parent.id())).expect("proc")).expect("a time");
        // Not waited for, it is in /proc without anything of its own.
        let mut child = named(Command::new("true").env("OTEL_SERVICE_NAME", "another"));
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).expect("proc").contains(") Z ") {
            std::thread::yield_now();
        }
        let id = ProcessId { tgid: child.id(), start_ns: (started + 1) * TICK_NS };
        let cgroup = cgroup::id_of(parent.id()).expect("cgroup v2 is mounted");
        let describe = |id, above: u32, cgroup| {
            let mut descent = Descent { cgroup, ..Descent::default() };
            (descent.ancestors[0], descent.ancestors[1]) = (u32::MAX, above);
            let process = describe(id, b"wget\0\0\0\0\0\0\0\0\0\0\0\0", &descent, 7);
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
