//! With the least privilege: what the unit and the DaemonSet grant is enough, each capability less is named, and what is
//! not needed any more is given up.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use auditor_tests::audit::Audit;
use auditor_tests::auditor::{Auditor, auditor_path, without_settings};
use auditor_tests::client::Load;
use auditor_tests::kernel::{best_hooks, require_root};
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually, workload_path};
use auditor_tests::unit::{CAPABILITIES, NOBODY, Unit, unprivileged};
use auditor_tests::with_both_hooks;

/// Enough that a drop is certain.
const CALLS: usize = 60;

/// A service of another user that drops the context, a backend that it calls, and the auditor where any user may run it.
struct Scene {
    dir: TempDir,
    backend: Service,
    service: Service,
}

impl Scene {
    fn new() -> Self {
        require_root();
        let dir = TempDir::new("privileges");
        let workload = placed(&dir, &workload_path(), "auditor-workload");
        placed(&dir, &auditor_path(), "auditor");
        let backend = Service::backend();
        let mut service = Command::new("setpriv");
        service.args(["--reuid", "1", "--regid", "1", "--clear-groups"]).arg(workload);
        service.args(["--mode", "drop", "--call", &backend.call("POST", "/charge")]).env("OTEL_SERVICE_NAME", "cart");
        Self { backend, service: Service::spawn(&mut service), dir }
    }

    fn auditor(&self) -> PathBuf {
        self.dir.path().join("auditor")
    }

    /// `command`, which runs what comes behind it, with `auditor run` of the service and the backend.
    fn start(&self, mut command: Command, hooks: &str) -> Auditor {
        without_settings(&mut command);
        command.arg(self.auditor()).args(["run", "--hooks", hooks]);
        Auditor::start(command.args(["--pid", &self.service.pid_arg(), "--pid", &self.backend.pid_arg()]))
    }

    /// The service is found out; gives the name by which.
    fn audited(&self, auditor: Auditor) -> (String, Audit) {
        Load::new(&self.service.addr, "/cart").total(CALLS).run().all();
        let audit = auditor.terminate();
        audit.assert_clean();
        let found = audit.findings("traceparent_dropped");
        let finding = found.first().unwrap_or_else(|| panic!("nothing was found: {}", audit.lines.join("\n")));
        (finding["resource"]["service.name"].as_str().unwrap_or_default().to_owned(), audit)
    }

    fn doctor(&self, mut command: Command) -> (Option<i32>, String) {
        let output = command.arg(self.auditor()).arg("doctor").output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Copies a program to where everybody may run it.
fn placed(dir: &TempDir, program: &Path, name: &str) -> PathBuf {
    let to = dir.path().join(name);
    std::fs::copy(program, &to).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    for (path, mode) in [(dir.path(), 0o755), (&to, 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    to
}

/// A line of `/proc/PID/task/TID/status`, of every thread.
fn of_threads(pid: u32, name: &str) -> BTreeSet<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let status = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok());
    let line = |text: String| text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned());
    status.filter_map(line).collect()
}

fn capabilities(of: &[u32]) -> BTreeSet<String> {
    BTreeSet::from([format!("{:016x}", of.iter().fold(0u64, |set, number| set | 1 << number))])
}

const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const BPF: u32 = 39;

/// No thread has more than these, nor a way to get more.
fn assert_left(auditor: &Auditor, left: &[u32]) {
    // The thread that spoke last on stderr may still be ending.
    for set in ["CapPrm:", "CapEff:"] {
        assert_eq!(of_threads(auditor.pid(), set), capabilities(left), "{set}");
    }
    for set in ["CapInh:", "CapAmb:"] {
        assert_eq!(of_threads(auditor.pid(), set), capabilities(&[]), "{set}");
    }
    assert_eq!(of_threads(auditor.pid(), "NoNewPrivs:"), BTreeSet::from(["1".to_owned()]));
}

/// Enforces a list of system calls on what it runs, as systemd does.
const SECCOMP: &str = "
import os, sys, errno
try:
    import seccomp
except ImportError:
    sys.exit('python3 has no seccomp: install python3-seccomp')
filter = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
for name in sys.argv[1].split(','):
    try:
        filter.add_rule(seccomp.ALLOW, name)
    except (RuntimeError, ValueError):
        pass  # of another architecture
filter.load()
os.execv(sys.argv[2], sys.argv[2:])
";

/// User, capabilities, `no_new_privs`, system calls and messages to the service manager are those of the unit.
fn as_the_unit_starts_it(hooks: &str) {
    let scene = Scene::new();
    let unit = Unit::shipped();
    assert_eq!((unit.get("Type"), unit.get("NoNewPrivileges"), unit.get("User")), ("notify", "yes", "auditor"));
    let granted = unit.capabilities("AmbientCapabilities");
    assert_eq!(granted, unit.capabilities("CapabilityBoundingSet"));
    assert_eq!(granted, CAPABILITIES);

    let path = scene.dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a name");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time");
    let told = || {
        let mut bytes = [0; 1024];
        let length = manager.recv(&mut bytes).expect("the manager is told something");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };

    let mut command = unprivileged(&CAPABILITIES);
    let calls: Vec<String> = unit.system_calls().into_iter().collect();
    command.args(["/usr/bin/python3", "-c", SECCOMP, &calls.join(",")]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1200000");
    let auditor = scene.start(command, hooks);
    assert_eq!(told(), format!("READY=1\nSTATUS=attached with {hooks} hooks\n"));
    assert_eq!(of_threads(auditor.pid(), "Uid:"), BTreeSet::from([[NOBODY; 4].join("\t")]));
    assert_eq!(of_threads(auditor.pid(), "Seccomp:"), BTreeSet::from(["2".to_owned()]));
    // Loading is over.
    assert_left(&auditor, &[BPF, SYS_PTRACE, DAC_READ_SEARCH]);
    for _ in 0..2 {
        let text = told();
        assert!(text.starts_with("WATCHDOG=1\nSTATUS="), "{text}");
    }
    let (service, audit) = scene.audited(auditor);
    assert_eq!(service, "cart", "the environment of another user's process is read: {}", audit.stderr);
    assert_eq!(audit.stderr, "");
    manager.set_read_timeout(Some(Duration::from_millis(1))).expect("a time");
    let rest: Vec<String> = std::iter::from_fn(|| {
        let mut bytes = [0; 1024];
        manager.recv(&mut bytes).ok().map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned())
    })
    .collect();
    assert!(rest.last().is_some_and(|text| text.starts_with("STOPPING=1\n")), "{rest:?}");
}

with_both_hooks!(as_the_unit_starts_it);

/// Kubernetes has no ambient capabilities: those of the file are what a user that is not root gets.
#[test]
fn as_the_daemon_set_starts_it() {
    let scene = Scene::new();
    let files = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+p";
    let status = Command::new("/usr/sbin/setcap").arg(files).arg(scene.auditor()).status();
    assert!(status.is_ok_and(|status| status.success()), "setcap is needed (Debian: libcap2-bin)");
    let bounded = |capabilities: &[&str]| {
        let set = capabilities.iter().fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.args(["--inh-caps", "-all", "--bounding-set", &set]);
        command
    };
    let auditor = scene.start(bounded(&CAPABILITIES), best_hooks());
    assert_left(&auditor, &[BPF, SYS_PTRACE, DAC_READ_SEARCH]);
    assert_eq!(scene.audited(auditor).0, "cart");
    // A runtime that grants less does not keep it from starting, and saying so.
    let (code, text) = scene.doctor(bounded(&["bpf", "sys_ptrace", "dac_read_search"]));
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains("missing CAP_PERFMON"), "{text}");

    // The other way: root with these capabilities alone, which policies may prefer.
    let set = CAPABILITIES.iter().fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
    let mut root = Command::new("setpriv");
    root.args(["--no-new-privs", "--inh-caps", "-all", "--bounding-set", &set]);
    // Not the file with capabilities: to root they would be a limit.
    let auditor = scene.dir.path().join("plain");
    std::fs::copy(auditor_path(), &auditor).expect("it is there");
    let output = root.arg(auditor).arg("doctor").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains("warn "), "{text}");
}

/// One less each.
#[test]
fn what_is_missing_is_named() {
    let scene = Scene::new();
    let without = |missing: &str| {
        let rest: Vec<&str> = CAPABILITIES.into_iter().filter(|name| *name != missing).collect();
        unprivileged(&rest)
    };
    for (missing, name) in [("bpf", "CAP_BPF"), ("perfmon", "CAP_PERFMON")] {
        let (code, text) = scene.doctor(without(missing));
        assert_eq!(code, Some(77), "{text}");
        assert!(text.contains(&format!("missing {name}\n")), "{text}");
        let output =
            without(missing).arg(scene.auditor()).args(["run", "--duration", "1s"]).output().expect("it starts");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(77), &b""[..]));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&format!("missing {name}:")), "{stderr}");
    }
    // Without these it audits, but knows less of the services of others.
    for (missing, name, known_as) in [
        ("sys_ptrace", "CAP_SYS_PTRACE", "auditor-workloa"),
        ("dac_read_search", "CAP_DAC_READ_SEARCH", "auditor-workload"),
    ] {
        let (code, text) = scene.doctor(without(missing));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(&format!("without {name} this cannot be read")), "{text}");
        let (service, audit) = scene.audited(scene.start(without(missing), best_hooks()));
        assert_eq!(service, known_as, "{}", audit.stderr);
        assert!(audit.stderr.contains(&format!("without {name} ")), "{}", audit.stderr);
    }
}

/// Root loses what only loading and attaching needed; outputs are open, and their threads have no more than the rest.
#[test]
fn root_gives_up_what_is_not_needed() {
    let scene = Scene::new();
    let lines = scene.dir.path().join("lines");
    let mut command = Command::new(auditor_path());
    without_settings(&mut command);
    command.args(["run", "--output", "-", "--output"]).arg(&lines).args(["--pid", &scene.service.pid_arg()]);
    let auditor = Auditor::start(&mut command);
    assert!(eventually(PATIENCE, || lines.metadata().is_ok_and(|file| file.len() > 0)), "the file is written");
    assert_left(&auditor, &[BPF, SYS_PTRACE, DAC_READ_SEARCH, DAC_OVERRIDE, SYS_ADMIN]);
    assert_eq!(scene.audited(auditor).0, "cart");
}
