//! Runs everything the project checks, one step after the other, and ends with a table and one line of totals.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{self, cargo};
use crate::vm;

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the other kernels
    #[arg(long)]
    skip_vm: bool,
    /// Only this step
    #[arg(long, value_name = "STEP", value_parser = clap::builder::PossibleValuesParser::new(STEPS.map(|step| step.name)))]
    only: Vec<String>,
}

/// One thing that is checked.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Tally) -> Result<()>,
}

const STEPS: [Step; 9] = [
    Step { name: "tools", what: "programs that the tests use as workloads", run: tools },
    Step { name: "fmt", what: "formatting", run: fmt },
    Step { name: "clippy", what: "lints, warnings denied", run: clippy },
    Step { name: "deny", what: "licences, sources, duplicates of dependencies", run: deny },
    Step { name: "unit", what: "unit, property and replay tests (no privilege)", run: unit },
    Step { name: "ebpf", what: "the checked-in BPF object against its sources", run: ebpf },
    Step { name: "kernel", what: "kernel tests on this machine, README commands", run: kernel },
    Step { name: "demo", what: "cargo xtask demo, for a few seconds", run: demo },
    Step { name: "vm", what: "kernel tests on Linux 6.1 and 6.12", run: other_kernels },
];

/// Runs the steps.
pub(crate) fn run(args: &Args) -> Result<()> {
    let wanted = |step: &&Step| {
        let skipped = args.skip_vm && step.name == "vm";
        !skipped && (args.only.is_empty() || args.only.iter().any(|only| only == step.name))
    };
    let mut rows = Vec::new();
    for step in STEPS.iter().filter(wanted) {
        println!("\n=== {}: {}", step.name, step.what);
        let started = Instant::now();
        let mut tally = Tally::default();
        let result = (step.run)(&mut tally);
        tally.settle(&result);
        if let Err(error) = &result {
            eprintln!("FAILED {}: {error:#}", step.name);
        }
        rows.push((step.name, tally, started.elapsed(), result.err()));
    }
    print_table(&rows);
    let sum = |of: fn(&Tally) -> u64| rows.iter().map(|(_, tally, _, _)| of(tally)).sum::<u64>();
    println!("{} passed, {} failed", sum(|tally| tally.passed), sum(|tally| tally.failed));
    if rows.iter().any(|(.., error)| error.is_some()) {
        // Not as an error: nothing may come after the totals, whoever reads both streams as one.
        std::process::exit(1);
    }
    Ok(())
}

fn print_table(rows: &[(&str, Tally, Duration, Option<anyhow::Error>)]) {
    println!("\n{:<9} {:<7} {:>7} {:>7} {:>8}", "step", "", "passed", "failed", "seconds");
    for (name, tally, time, error) in rows {
        let verdict = if error.is_some() { "FAILED" } else { "ok" };
        println!("{name:<9} {verdict:<7} {:>7} {:>7} {:>8.1}", tally.passed, tally.failed, time.as_secs_f64());
    }
    for (name, _, _, error) in rows {
        if let Some(error) = error {
            println!("{name}: {error:#}");
        }
    }
    println!();
}

/// How many tests a step ran; a step that runs none counts as one.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Takes in a line of libtest: `test result: ok. 12 passed; 0 failed; …`.
    fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.trim().strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        let counts: BTreeMap<&str, u64> = counts
            .split("; ")
            .filter_map(|part| part.split_once(' '))
            .filter_map(|(count, what)| Some((what, count.parse().ok()?)))
            .collect();
        self.passed += counts.get("passed").unwrap_or(&0);
        self.failed += counts.get("failed").unwrap_or(&0);
    }

    fn settle(&mut self, result: &Result<()>) {
        match result {
            Ok(()) if self.passed == 0 => self.passed = 1,
            Err(_) if self.failed == 0 => self.failed = 1,
            _ => {}
        }
    }
}

/// Runs a test command, shows its output as it comes and counts its tests.
fn counted(tally: &mut Tally, command: &mut Command) -> Result<()> {
    println!("  $ {}", shell::display(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shell::display(command)))?;
    let stdout = child.stdout.take().context("no output")?;
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        tally.read(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", shell::display(command));
    }
    Ok(())
}

/// Programs and the Debian packages that have them.
const TOOLS: [(&str, &str); 27] = [
    ("nginx", "nginx-light"),
    ("haproxy", "haproxy"),
    ("apache2", "apache2-bin"),
    ("javac", "default-jdk-headless"),
    ("wrk", "wrk"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("openssl", "openssl"),
    ("node", "nodejs"),
    ("python3", "python3-venv"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("setpriv", "util-linux"),
    ("setcap", "libcap2-bin"),
    ("systemd-analyze", "systemd"),
    ("lintian", "lintian"),
    ("buildah", "buildah"),
    ("mandoc", "mandoc"),
    ("man", "man-db"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("strip", "binutils"),
    ("rsyslogd", "rsyslog"),
    ("logrotate", "logrotate"),
    ("journalctl", "systemd"),
];

fn tools(_: &mut Tally) -> Result<()> {
    // Debian splits it off from python3. The Python fleets have packages in a virtual environment.
    let venv = || shell::output(shell::command("python3").args(["-c", "import ensurepip"]));
    if shell::find("python3").is_some() && venv().is_err() {
        shell::apt_install(&["python3-venv"], "the Python fleets")?;
    }
    // A module for the distribution's own Python, which is not the first on every PATH.
    let seccomp = || shell::output(shell::command("/usr/bin/python3").args(["-c", "import seccomp"]));
    if seccomp().is_err() {
        shell::apt_install(&["python3-seccomp"], "the test of the systemd unit")?;
    }
    let missing: Vec<(&str, &str)> = TOOLS.into_iter().filter(|(program, _)| shell::find(program).is_none()).collect();
    if missing.is_empty() {
        println!("all there: {}", TOOLS.map(|(program, _)| program).join(", "));
        return Ok(());
    }
    let new_services =
        ["nginx", "haproxy", "prometheus"].map(|name| (name, missing.iter().any(|(program, _)| *program == name)));
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    shell::apt_install(&packages, "the tests' workloads")?;
    for (name, _) in new_services.iter().filter(|(_, is_new)| *is_new) {
        // The package starts its service where it can; the tests start their own.
        let _ = shell::command("service").args([name, "stop"]).stderr(Stdio::null()).status();
    }
    Ok(())
}

fn fmt(_: &mut Tally) -> Result<()> {
    shell::run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(_: &mut Tally) -> Result<()> {
    shell::run(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn deny(_: &mut Tally) -> Result<()> {
    if shell::find("cargo-deny").is_none() {
        shell::run(cargo().args(["install", "--quiet", "--locked", "cargo-deny"]))?;
    }
    // Not `advisories`: its database comes from a place that an offline machine cannot reach.
    shell::run(cargo().args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))
}

fn unit(tally: &mut Tally) -> Result<()> {
    counted(tally, cargo().args(["test", "--quiet", "--workspace", "--exclude", "auditor-tests"]))?;
    counted(tally, cargo().args(["test", "--quiet", "--package", "auditor-tests", "--lib", "--bins"]))
}

fn ebpf(_: &mut Tally) -> Result<()> {
    crate::build_ebpf::check()
}

/// Kernel tests whose auditors look at the processes of the test alone, and which mostly wait: several at once.
const TOGETHER: [&str; 18] = [
    "blind_spots",
    "coroutine",
    "files",
    "formats",
    "metrics",
    "native",
    "nginx",
    "node",
    "operations",
    "packaging",
    "privileges",
    "python",
    "report",
    "secrets",
    "sinks",
    "sockets",
    "unseen",
    "workloads",
];

fn kernel(tally: &mut Tally) -> Result<()> {
    // Optimised as users run it: under full load a debug build measures itself.
    let programs = shell::build_programs()?;
    let sources = std::fs::read_dir(shell::root().join("tests/tests")).context("tests/tests")?;
    let all = sources.flatten().filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()));
    let (together, alone): (Vec<_>, Vec<_>) = all.partition(|name| TOGETHER.contains(&name.as_str()));
    let mut result = Ok(());
    for (names, threads) in [(together, 2), (alone, 1)] {
        let mut tests = cargo();
        tests.args(["test", "--no-fail-fast", "--package", "auditor-tests"]);
        tests.args(names.iter().flat_map(|name| ["--test", name]));
        tests.args(["--", &format!("--test-threads={threads}")]);
        if kernel_release() < (6, 3) {
            // No sock_send_length tracepoint before 6.3.
            tests.args(["--skip", "::sock"]);
        }
        tests.env("AUDITOR_BIN", programs.join("auditor"));
        result = result.and(counted(tally, &mut tests));
    }
    result
}

fn demo(_: &mut Tally) -> Result<()> {
    crate::demo::run(&crate::demo::Args { duration: 4 })
}

/// Major and minor version of the running kernel.
fn kernel_release() -> (u32, u32) {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// All at once: emulation of a mostly waiting kernel keeps no core busy.
fn other_kernels(tally: &mut Tally) -> Result<()> {
    let payload = vm::Payload::build()?;
    vm::install_tools()?;
    std::thread::scope(|scope| {
        let machines = vm::LINES.each_ref().map(|line| scope.spawn(|| in_vm(line, &payload)));
        let mut result = Ok(());
        for machine in machines {
            let (counted, booted) = machine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            tally.passed += counted.passed;
            tally.failed += counted.failed;
            result = result.and(booted);
        }
        result
    })
}

fn in_vm(line: &vm::Line, payload: &vm::Payload) -> (Tally, Result<()>) {
    let mut tally = Tally::default();
    let result = vm::boot(line, payload, "", |text| {
        tally.read(text);
        println!("{:<4} {text}", line.version);
    });
    (tally, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_libtest_add_up() {
        let mut tally = Tally::default();
        tally.read("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s");
        tally.read("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        tally.read("test native::a ... ok");
        assert_eq!((tally.passed, tally.failed), (15, 2));
    }

    #[test]
    fn a_step_without_tests_counts_once() {
        let mut tally = Tally::default();
        tally.settle(&Ok(()));
        assert_eq!((tally.passed, tally.failed), (1, 0));
    }
}
