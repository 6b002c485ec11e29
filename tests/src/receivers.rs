//! What lines are sent to in the world: the distribution's syslog daemons, journald, and a receiver that takes OTLP by
//! OpenTelemetry's own definitions. Each on sockets and in a directory of its own.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::once::{made, run};
use crate::process::{Guard, PATIENCE, Service, TempDir, eventually};
use crate::venv;

/// A receiver, ended when dropped.
#[derive(Debug)]
pub struct Receiver {
    guard: Guard,
    dir: TempDir,
    /// Its ports: UDP, TCP.
    pub ports: (u16, u16),
}

impl Receiver {
    fn start(name: &str, prepare: impl FnOnce(&Path, (u16, u16)) -> Command, sockets: &[&str]) -> Self {
        let dir = TempDir::new(name);
        let ports = (free_udp_port(), free_tcp_port());
        let mut command = prepare(dir.path(), ports);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let guard = Guard(child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")));
        let receiver = Self { guard, dir, ports };
        let listens = || {
            let tcp = std::net::TcpStream::connect(("127.0.0.1", ports.1)).is_ok();
            sockets.iter().all(|socket| receiver.path(socket).exists()) && (tcp || name == "journald")
        };
        assert!(eventually(PATIENCE, listens), "{name} does not listen");
        receiver
    }

    /// rsyslogd: `log` (datagrams), UDP, TCP; whole messages in `out`. Only the module's defaults, but for where.
    ///
    /// # Panics
    /// When it does not start.
    pub fn rsyslog() -> Self {
        let prepare = |dir: &Path, (udp, tcp): (u16, u16)| {
            let at = dir.display();
            let config = format!(
                r#"global(workDirectory="{at}")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
module(load="mmjsonparse")
input(type="imuxsock" Socket="{at}/log")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
action(type="mmjsonparse" cookie="")
template(name="whole" type="string" string="%inputname%\t%pri%\t%timestamp:::date-rfc3339%\t%hostname%\t%app-name%\t%procid%\t%msgid%\t%parsesuccess%\t%msg%\n")
action(type="omfile" file="{at}/out" template="whole")
"#
            );
            write(&dir.join("config"), &config);
            let mut command = Command::new("/usr/sbin/rsyslogd");
            command.args(["-n", "-i", &format!("{at}/pid"), "-f", &format!("{at}/config")]);
            command
        };
        Self::start("rsyslog", prepare, &["log"])
    }

    /// syslog-ng: `log` (datagrams), `stream`, UDP, TCP; whole messages in `out`.
    ///
    /// # Panics
    /// When it does not start, or cannot be fetched.
    pub fn syslog_ng() -> Self {
        let root = syslog_ng_root();
        let prepare = |dir: &Path, (udp, tcp): (u16, u16)| {
            let at = dir.display();
            let config = format!(
                r#"@version: 3.38
options {{ keep-hostname(yes); keep-timestamp(yes); frac-digits(6); ts-format(iso); time-zone("+00:00"); }};
source unix_dgram {{ unix-dgram("{at}/log"); }};
source unix_stream {{ unix-stream("{at}/stream"); }};
source udp {{ syslog(ip(127.0.0.1) transport("udp") port({udp})); }};
source tcp {{ syslog(ip(127.0.0.1) transport("tcp") port({tcp})); }};
parser json {{ json-parser(prefix(".json.")); }};
destination out {{
    file("{at}/out" template("$SOURCE\t$PRI\t$ISODATE\t$HOST\t$PROGRAM\t$PID\t$MSGID\t${{.json.record_type}}\t$MSG\n"));
}};
log {{ source(unix_dgram); source(unix_stream); source(udp); source(tcp); parser(json); destination(out); }};
"#
            );
            write(&dir.join("config"), &config);
            let libraries = [
                root.join("usr/lib/syslog-ng"),
                root.join("usr/lib/x86_64-linux-gnu"),
                root.join("lib/x86_64-linux-gnu"),
            ];
            let libraries = libraries.map(|path| path.display().to_string()).join(":");
            let modules = fs::read_dir(root.join("usr/lib/syslog-ng")).expect("syslog-ng was unpacked");
            let modules =
                modules.flatten().map(|entry| entry.path()).find(|path| path.is_dir()).expect("it has modules");
            let mut command = Command::new(root.join("usr/sbin/syslog-ng"));
            command.env("LD_LIBRARY_PATH", libraries).args(["--foreground", "--no-caps", "--module-path"]).arg(modules);
            for (option, name) in [("-f", "config"), ("-R", "persist"), ("-c", "control"), ("-p", "pid")] {
                command.arg(option).arg(dir.join(name));
            }
            command
        };
        Self::start("syslog-ng", prepare, &["log", "stream"])
    }

    /// systemd-journald with a `/run` of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn journald() -> Self {
        let prepare = |dir: &Path, _| {
            let mut command = Command::new("unshare");
            let script = "mount --bind \"$0\" /run && exec /usr/lib/systemd/systemd-journald";
            command.args(["--mount", "sh", "-c", script]).arg(dir).stderr(Stdio::null());
            command
        };
        Self::start("journald", prepare, &["systemd/journal/socket"])
    }

    /// Something in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What it has written, once these are so many lines.
    ///
    /// # Panics
    /// When it does not get so far.
    pub fn lines(&self, count: usize) -> Vec<String> {
        let read = || fs::read_to_string(self.path("out")).unwrap_or_default();
        eventually(Duration::from_secs(10), || read().lines().count() >= count);
        read().lines().map(str::to_owned).collect()
    }

    /// What journald holds of the auditor: one entry a line, in JSON.
    ///
    /// # Panics
    /// When `journalctl` cannot be run.
    pub fn journal(&self, count: usize) -> Vec<String> {
        let mut entries = Vec::new();
        eventually(Duration::from_secs(10), || {
            let mut journalctl = Command::new("journalctl");
            journalctl.args(["--output=json", "--all", "--identifier=auditor"]);
            journalctl.arg(format!("--directory={}", self.path("log/journal").display()));
            let output = journalctl.output().expect("journalctl starts");
            entries = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
            entries.len() >= count
        });
        entries
    }

    /// SIGKILL.
    pub fn kill(self) -> TempDir {
        let Self { mut guard, dir, .. } = self;
        let _ = guard.0.kill();
        let _ = guard.0.wait();
        dir
    }
}

/// An OTLP receiver that appends what it accepts to a file.
///
/// # Panics
/// When it does not start.
pub fn otlp(out: &Path, arguments: &[&str]) -> Service {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("receivers/otlp.py");
    Service::spawn(Command::new(venv::python()).arg(script).arg(out).args(arguments))
}

/// A port that nobody listens on, for now.
///
/// # Panics
/// When there is none.
pub fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("it is bound").port()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The distribution's syslog-ng, unpacked: it cannot be installed beside rsyslog.
fn syslog_ng_root() -> PathBuf {
    made("syslog-ng", &[], |root| {
        let packages = TempDir::new("packages");
        fs::create_dir_all(packages.path().join("partial")).expect("a directory");
        let mut fetch = Command::new("apt-get");
        fetch.args(["install", "--download-only", "--yes", "--quiet", "--no-install-recommends", "--reinstall"]);
        fetch.args(["-o", "DPkg::Lock::Timeout=120"]);
        fetch.args(["-o", &format!("Dir::Cache::archives={}", packages.path().display()), "syslog-ng-core"]);
        run(fetch.stdout(Stdio::null()), "the tests need Debian's syslog-ng-core (`apt-get update` first?)");
        for package in fs::read_dir(packages.path()).expect("a directory").flatten().map(|entry| entry.path()) {
            if package.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(package).arg(root), "dpkg unpacks packages");
            }
        }
    })
}
