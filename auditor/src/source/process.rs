//! What `/proc` says of a process.

use std::fs;
use std::path::Path;

use super::command_line::{MASK, redact};
use crate::record::{BootNs, Process, ProcessId};

const COMMAND_LINE_CAP: usize = 1024;
/// Environments are read up to here; a service name beyond it is not found.
const ENVIRON_CAP: u64 = 128 * 1024;

/// Programs whose first argument says more than they do.
const INTERPRETERS: &[&str] = &["python", "node", "ruby", "perl", "php", "bash", "sh", "dash", "java", "deno", "bun"];

/// Reads what is known of a process. When it has already ended, only `comm` is left.
pub fn describe(id: ProcessId, comm: &[u8; 16], time: BootNs) -> Process {
    let proc = Path::new("/proc").join(id.tgid.to_string());
    let read = |name: &str| fs::read(proc.join(name)).unwrap_or_default();
    let comm = String::from_utf8_lossy(comm).trim_end_matches('\0').to_owned();
    // A process that reused the pid is another one: believe nothing of it.
    let same = start_matches(&read("stat"), id.start_ns);
    let arguments: Vec<String> = if same {
        read("cmdline").split(|&b| b == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    } else {
        Vec::new()
    };
    // Here, so that recordings hold no secrets; and before anything is derived from them.
    let arguments = redact(&arguments);
    let executable = same
        .then(|| fs::read_link(proc.join("exe")).ok())
        .flatten()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .map(|name| name.trim_end_matches(" (deleted)").to_owned())
        .unwrap_or_else(|| comm.clone());
    let cgroup = if same { cgroup_path(&String::from_utf8_lossy(&read("cgroup"))) } else { String::new() };
    let container_id = container_id(&cgroup);
    let otel = if same { otel_service_name(&proc.join("environ")) } else { None };
    let service = otel
        .or_else(|| systemd_unit(&cgroup))
        .or_else(|| container_id.clone().map(|id| id.chars().take(12).collect()))
        .unwrap_or_else(|| script_name(&executable, &arguments).unwrap_or_else(|| executable.clone()));
    Process {
        id,
        time,
        service,
        executable,
        command_line: clip(arguments.join(" ").trim_end(), COMMAND_LINE_CAP),
        cgroup,
        container_id,
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

/// Field 22 of `/proc/PID/stat` is the same start time in clock ticks.
fn start_matches(stat: &[u8], start_ns: BootNs) -> bool {
    let stat = String::from_utf8_lossy(stat);
    let Some((_, fields)) = stat.rsplit_once(") ") else { return false };
    let Some(ticks) = fields.split(' ').nth(19).and_then(|field| field.parse::<u64>().ok()) else { return false };
    // USER_HZ is 100 on every architecture Linux offers to user space today.
    ticks.abs_diff(start_ns / 10_000_000) <= 1
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
        let process = describe(id, b"comm\0\0\0\0\0\0\0\0\0\0\0\0", 7);
        assert!(process.command_line.contains(&process.executable), "{process:?}");
        let other = describe(ProcessId { start_ns: 1, ..id }, b"comm\0\0\0\0\0\0\0\0\0\0\0\0", 7);
        assert_eq!((other.executable.as_str(), other.command_line.as_str()), ("comm", ""));
    }
}
