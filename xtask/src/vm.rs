//! Runs the kernel tests on kernels that this machine does not run: Debian's cloud kernels in QEMU, with an initramfs
//! that holds busybox, the very auditor and test binary that this machine runs, and the shared libraries they need.
//! Nothing is installed on this machine.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{self, command};
use crate::toolchain::utf8;

/// A kernel line to test, and which tests it cannot run.
pub(crate) struct Line {
    /// Version prefix.
    pub(crate) version: &'static str,
    /// Arguments of the test binary: what cannot be tested there.
    skip: &'static str,
    /// What is, unless somebody asks for something else; nothing: all the rest.
    only: &'static str,
}

/// The kernels: the oldest that a current Debian supports, and the newest that it packages.
pub(crate) const LINES: [Line; 2] = [
    // There is no `sock_send_length` tracepoint before 6.3.
    Line { version: "6.1", skip: "--skip ::sock", only: "" },
    // Emulation is slow, and `syscall` is tested on an older and, as a rule, a newer one: here, that it works.
    Line {
        version: "6.12",
        skip: "",
        only: "::sock auto_ check_ missing_ usage_ dropping_service_is_found duration_ signals_",
    },
];

/// Emulated, a test takes some ten times as long as on the machine itself.
const TIMEOUT: Duration = Duration::from_secs(1200);

/// What a kernel or a verifier prints when something is wrong that the tests themselves may not notice.
const ALARMS: [&str; 9] = [
    "WARNING: CPU",
    "] WARNING:",
    "] BUG:",
    "Oops:",
    "Kernel panic",
    "cut here ]---",
    "BPF_PROG_LOAD` syscall failed",
    "Verifier output:",
    "verifier does not accept",
];

/// Options of `cargo xtask vm`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this kernel line, such as 6.1
    #[arg(long)]
    kernel: Option<String>,
    /// Only the tests whose name contains this
    #[arg(long, default_value = "")]
    filter: String,
    /// Run this script or program in place of the tests; /bin/auditor is there
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Boots every line in turn.
pub(crate) fn run(args: &Args) -> Result<()> {
    let lines: Vec<&Line> =
        LINES.iter().filter(|line| args.kernel.as_deref().is_none_or(|only| only == line.version)).collect();
    if lines.is_empty() {
        bail!("no such kernel line; there are {}", LINES.map(|line| line.version).join(" and "));
    }
    install_tools()?;
    let mut payload = Payload::build()?;
    if let Some(program) = &args.program {
        payload.files.retain(|(name, _)| *name != "native");
        payload.files.push(("native", program.clone()));
    }
    for line in lines {
        boot(line, &payload, &args.filter, |text| println!("{text}"))?;
    }
    Ok(())
}

/// The programs that run in the VM, by their name in `/bin`.
pub(crate) struct Payload {
    files: Vec<(&'static str, PathBuf)>,
}

impl Payload {
    /// Builds auditor, workload and tests as the tests on this machine do: nothing is compiled twice.
    pub(crate) fn build() -> Result<Self> {
        let programs = shell::build_programs()?;
        let mut tests = shell::cargo();
        tests.args(["test", "--no-run", "--quiet", "--message-format=json-render-diagnostics"]);
        tests.args(["--package", "auditor-tests", "--test", "native"]).stderr(Stdio::inherit());
        eprintln!("  $ {}", shell::display(&tests));
        let native = shell::output(&mut tests)?
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == "native")
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .next_back()
            .context("cargo built no program native")?;
        let program = |name: &'static str| (name, programs.join(name));
        Ok(Self { files: vec![program("auditor"), program("auditor-workload"), ("native", native)] })
    }

    /// The shared libraries of the programs, with the dynamic linker: at the same paths they are found.
    fn libraries(&self) -> BTreeSet<PathBuf> {
        let mut libraries = BTreeSet::new();
        for (_, file) in &self.files {
            // Scripts and static programs have none; `ldd` fails for them.
            let listed = shell::output(command("ldd").arg(file)).unwrap_or_default();
            let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
            libraries.extend(words.map(|word| PathBuf::from(word.trim_end_matches(':'))));
        }
        libraries
    }
}

/// What the console says when the emulator runs a breakpoint that is not there any more: the kernel patches its own code to
/// switch tracepoints on and off, and on a busy host the second processor may still run what it had translated.
const STALE_CODE: &str = "Oops: int3";

/// Boots one kernel line with the payload; every line of its console goes to `log` and to a file. When the emulator fails
/// as [`STALE_CODE`] says, once more.
pub(crate) fn boot(line: &Line, payload: &Payload, filter: &str, mut log: impl FnMut(&str)) -> Result<()> {
    match boot_once(line, payload, filter, &mut log) {
        Err(error) if error.to_string().contains(STALE_CODE) => {
            log(&format!("the emulator ran code that was gone, once more: {error}"));
            boot_once(line, payload, filter, log)
        }
        other => other,
    }
}

fn boot_once(line: &Line, payload: &Payload, filter: &str, mut log: impl FnMut(&str)) -> Result<()> {
    let dir = shell::target_dir().join("vm");
    std::fs::create_dir_all(&dir)?;
    let kernel = kernel(&dir, line)?;
    let only = if filter.is_empty() { line.only } else { filter };
    let initramfs = dir.join(format!("{}.cpio", line.version));
    // One at a time: two would keep requests open for so much of the time that a drop might be chance.
    write_initramfs(&initramfs, payload, &format!("--test-threads=1 {} {only}", line.skip))?;

    let mut qemu = command("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1G", "-no-reboot"])
        .args(["-nodefaults", "-display", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel)
        .arg("-initrd")
        .arg(&initramfs)
        // Emulation is slow and the host may be busy: its watchdogs would cry wolf.
        .args(["-append", "console=ttyS0 loglevel=5 panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1"]);
    log(&format!("booting {}", kernel.file_name().unwrap_or_default().to_string_lossy()));
    let console = dir.join(format!("{}.log", line.version));
    let mut file = std::fs::File::create(&console)?;
    let started = Instant::now();
    let mut verdicts = Vec::new();
    let mut alarms = Vec::new();
    let mut machine = Machine::start(&mut qemu)?;
    while let Some(text) = machine.line(TIMEOUT.saturating_sub(started.elapsed())).with_context(|| {
        format!("{}: no end after {} s; the console is in {}", line.version, TIMEOUT.as_secs(), console.display())
    })? {
        writeln!(file, "{text}")?;
        log(&text);
        if let Some(verdict) = text.strip_prefix("init: ") {
            verdicts.push(verdict.to_owned());
        }
        if ALARMS.iter().any(|alarm| text.contains(alarm)) {
            alarms.push(text);
        }
    }
    let seen = format!("the console is in {}", console.display());
    if let Some(alarm) = alarms.first() {
        bail!("kernel {}: {alarm}; {seen}", line.version);
    }
    match verdicts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["success"] => Ok(()),
        ["failure"] => bail!("kernel {}: tests failed; {seen}", line.version),
        [] => bail!("kernel {}: it ended without a verdict; {seen}", line.version),
        _ => bail!("kernel {}: several verdicts; {seen}", line.version),
    }
}

/// A running QEMU and the lines of its console; ended when dropped.
struct Machine {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Machine {
    fn start(qemu: &mut std::process::Command) -> Result<Self> {
        let mut child = qemu
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot start qemu-system-x86_64")?;
        let stdout = child.stdout.take().context("no console")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line);
                let text: String = text.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line; `None` when the machine is off.
    fn line(&mut self, timeout: Duration) -> Result<Option<String>> {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("timed out"),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// QEMU and what the initramfs is made of.
pub(crate) fn install_tools() -> Result<()> {
    let needed = [("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static"), ("dpkg", "dpkg")];
    let missing: Vec<&str> =
        needed.iter().filter(|(program, _)| shell::find(program).is_none()).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { shell::apt_install(&missing, "booting other kernels") }
}

/// The newest packaged kernel of a line: `vmlinuz`, unpacked below `dir`.
fn kernel(dir: &Path, line: &Line) -> Result<PathBuf> {
    let pattern = format!("^linux-image-{}\\.[0-9].*-cloud-amd64(-unsigned)?$", line.version.replace('.', "\\."));
    let mut names = shell::apt_search(&pattern)?;
    if names.is_empty() && shell::is_root() {
        // A new machine has no package lists.
        shell::run(command("apt-get").args(["update", "-qq"]))?;
        names = shell::apt_search(&pattern)?;
    }
    let name = names.last().with_context(|| format!("apt knows no cloud kernel {}", line.version))?;
    let unpacked = dir.join(name);
    if let Some(image) = vmlinuz(&unpacked) {
        return Ok(image);
    }
    let download = dir.join(format!("download-{}", line.version));
    std::fs::create_dir_all(&download)?;
    // apt drops to an unprivileged user for downloads, which may not reach this directory; root's own is all right.
    shell::run(command("apt-get").current_dir(&download).args([
        "-o",
        "APT::Sandbox::User=root",
        "download",
        "-qq",
        name,
    ]))?;
    let package = std::fs::read_dir(&download)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}_"))))
        .context("apt-get download left no package")?;
    // Unpacked beside and then moved: an interrupted run leaves nothing half done behind.
    let partial = dir.join(format!("{name}.partial"));
    let _ = std::fs::remove_dir_all(&partial);
    shell::run(command("dpkg").arg("-x").arg(&package).arg(&partial))?;
    // The modules are not used and are most of the package.
    let _ = std::fs::remove_dir_all(partial.join("lib"));
    let _ = std::fs::remove_dir_all(partial.join("usr/lib"));
    std::fs::rename(&partial, &unpacked)?;
    std::fs::remove_file(&package)?;
    vmlinuz(&unpacked).with_context(|| format!("{name} holds no kernel"))
}

fn vmlinuz(package: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(package.join("boot")).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
}

fn write_initramfs(path: &Path, payload: &Payload, arguments: &str) -> Result<()> {
    let busybox = shell::find("busybox").context("no busybox")?;
    let mut archive = Cpio::default();
    let libraries = payload.libraries();
    let mut dirs: BTreeSet<PathBuf> = ["bin", "dev", "proc", "sys", "tmp", "etc"].map(PathBuf::from).into();
    let of_libraries = libraries.iter().flat_map(|library| library.ancestors().skip(1));
    dirs.extend(of_libraries.filter_map(|dir| dir.strip_prefix("/").ok()).map(PathBuf::from));
    // Sorted, so that each comes after the one it is in.
    for dir in dirs.iter().filter(|dir| !dir.as_os_str().is_empty()) {
        archive.add(utf8(dir)?, 0o040755, (0, 0), &[]);
    }
    archive.add("dev/console", 0o020600, (5, 1), &[]);
    archive.add("bin/busybox", 0o100755, (0, 0), &std::fs::read(&busybox)?);
    for (name, file) in &payload.files {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", utf8(file).unwrap_or(name)))?;
        archive.add(&format!("bin/{name}"), 0o100755, (0, 0), &bytes);
    }
    for library in &libraries {
        let bytes = std::fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
        archive.add(utf8(library)?.trim_start_matches('/'), 0o100755, (0, 0), &bytes);
    }
    archive.add("init", 0o100755, (0, 0), init_script(arguments).as_bytes());
    std::fs::write(path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))
}

fn init_script(arguments: &str) -> String {
    let timeout = TIMEOUT.as_secs() - 60;
    format!(
        r#"#!/bin/busybox sh
# Prints exactly one verdict, then powers off.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TMPDIR=/tmp RUST_BACKTRACE=1
export AUDITOR_BIN=/bin/auditor AUDITOR_WORKLOAD=/bin/auditor-workload AUDITOR_TEST_SMALL=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ln -s /proc/self/fd /dev/fd
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
ip link set lo up
echo "kernel $(uname -r)"
if timeout {timeout} /bin/native {arguments}; then
    echo "init: success"
else
    echo "init: failure"
fi
poweroff -f
"#
    )
}

/// A `newc` archive, the format of an initramfs.
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_aligned_and_ends_with_its_trailer() {
        let mut archive = Cpio::default();
        archive.add("a", 0o100644, (0, 0), b"hello");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        // 110 bytes of header, the name, padding to 112, five bytes, padding to 120.
        assert_eq!(&bytes[112..117], b"hello");
        assert_eq!(&bytes[120..126], b"070701");
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
    }
}
