//! `auditor doctor`: can this node be audited, and if not, what is to be done.

use std::fs;
use std::io::Write;
use std::process::ExitCode;

use auditor::source::btf::{self, Btf};
use auditor::source::kernel::{self, AttachError, Hooks, Kernel, Options};
use auditor::source::{cgroup, node, privilege};
use serde::Serialize;

use crate::cli::{Doctor, Format};
use crate::exit::{self, Failure};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// As it should be.
    Ok,
    /// The audit works, but something will be missing.
    Warn,
    /// The audit does not work.
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, detail: detail.into(), fix: None }
    }

    fn warn(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn fail(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, detail: detail.into(), fix: Some(fix.into()) }
    }
}

pub(crate) fn run(args: &Doctor) -> Result<ExitCode, Failure> {
    let missing = privilege::missing(privilege::effective());
    let checks = checks(&missing);
    let mut text = Vec::new();
    for check in &checks {
        match args.format {
            Format::Json => {}
            Format::Text => {
                let mark = match check.status {
                    Status::Ok => "ok  ",
                    Status::Warn => "warn",
                    Status::Fail => "FAIL",
                };
                let fix = check.fix.as_ref().map(|fix| format!("\n       fix: {fix}")).unwrap_or_default();
                let _ = writeln!(text, "{mark} {:<16} {}{fix}", check.check, check.detail);
            }
        }
    }
    if args.format == Format::Json {
        serde_json::to_writer_pretty(&mut text, &checks).map_err(|e| Failure::io("stdout")(e.into()))?;
        text.push(b'\n');
    }
    super::print(&text)?;
    Ok(match checks.iter().any(|check| check.status == Status::Fail) {
        false => ExitCode::SUCCESS,
        true if !missing.is_empty() => ExitCode::from(exit::NO_PERMISSION),
        true => ExitCode::from(exit::UNAVAILABLE),
    })
}

fn checks(missing: &[&str]) -> Vec<Check> {
    let mut checks = vec![Check::ok("kernel", format!("Linux {} {}", node::kernel_release(), std::env::consts::ARCH))];
    checks.push(if missing.is_empty() {
        Check::ok("privilege", "CAP_BPF and CAP_PERFMON")
    } else if !privilege::in_initial_user_namespace() {
        Check::fail(
            "privilege",
            format!("{} must be held in the initial user namespace; this is another one", missing.join(" and ")),
            "run on the host, or in a container without a user namespace (hostUsers: true, --userns=host)",
        )
    } else {
        Check::fail(
            "privilege",
            format!("missing {}", missing.join(" and ")),
            format!("run as root, or grant {} (systemd: AmbientCapabilities=)", missing.join(" ")),
        )
    });
    let types = Btf::of_kernel();
    checks.push(match &types {
        Ok(_) => Check::ok("btf", btf::VMLINUX),
        Err(error) => Check::fail("btf", error.to_string(), "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"),
    });
    if let Ok(types) = &types {
        checks.push(match auditor::source::layout::globals(types) {
            Ok(globals) => Check::ok("layout", format!("{} kernel facts found", globals.len())),
            Err(error) => Check::fail("layout", error.to_string(), "report this kernel version"),
        });
        hooks(types, missing.is_empty(), &mut checks);
    }
    checks.push(lockdown());
    checks.push(pid_namespace());
    checks.push(match privilege::unreadable(privilege::effective()) {
        None => Check::ok("processes", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"),
        Some((what, lacking)) => Check::warn(
            "processes",
            format!("without {} this cannot be read of other users' processes: {what}", lacking.join(" and ")),
            format!("grant {}", lacking.join(" and ")),
        ),
    });
    if !privilege::lists_programs(privilege::effective()) {
        // Too great a privilege to ask for: no reason to warn where the auditor runs with the least.
        let detail = "without CAP_SYS_ADMIN nobody notices sk_msg and sk_skb programs, which may change traffic: see \
                      traffic_rewritten_below_socket";
        checks.push(Check::ok("programs", detail));
    }
    checks.push(match cgroup::mount_point() {
        Some(path) => Check::ok("cgroup", format!("v2 at {}", path.display())),
        None => Check::warn("cgroup", "no cgroup v2 hierarchy: --cgroup does not work", "mount cgroup2"),
    });
    checks.push(Check::ok(
        "blind spots",
        "TLS, HTTP/2, io_uring and 32-bit processes are not seen; each is reported per process when it occurs",
    ));
    checks
}

/// Really loads and attaches each strategy, watching nothing but this process (which is never captured).
fn hooks(types: &Btf, privileged: bool, checks: &mut Vec<Check>) {
    let available = kernel::available(types);
    for (hooks, check) in [(Hooks::Sock, "hooks sock"), (Hooks::Syscall, "hooks syscall")] {
        checks.push(if !available.contains(&hooks) {
            let detail = "this kernel does not have these tracepoints";
            match hooks {
                Hooks::Sock if available.contains(&Hooks::Syscall) => {
                    Check::warn(check, detail, "none needed: --hooks syscall works; sock is cheaper from Linux 6.3 on")
                }
                _ => Check::fail(check, detail, "boot a kernel with CONFIG_FTRACE_SYSCALLS=y"),
            }
        } else if privileged {
            let mut options = Options { hooks: Some(hooks), ring_bytes: 4096, ..Options::default() };
            options.selection.pids = vec![std::process::id()];
            match Kernel::attach(&options) {
                Ok(_) => Check::ok(check, "loads and attaches"),
                Err(AttachError::Refused { what, reason, detail }) => {
                    log::debug!("{detail}");
                    Check::fail(check, format!("the kernel refused {what}"), reason)
                }
                Err(error) => Check::fail(check, error.to_string(), "see above"),
            }
        } else {
            Check::warn(check, "there, but not tried for lack of privilege", "run doctor as root")
        });
    }
}

fn lockdown() -> Check {
    match fs::read_to_string("/sys/kernel/security/lockdown") {
        Ok(modes) if modes.contains("[confidentiality]") => Check::fail(
            "lockdown",
            "confidentiality mode forbids reading memory from BPF programs",
            "boot with lockdown=integrity or none",
        ),
        Ok(modes) => Check::ok("lockdown", modes.trim().to_owned()),
        Err(_) => Check::ok("lockdown", "not visible (securityfs is not mounted)"),
    }
}

/// The kernel side reports pids of the initial namespace; in another one `/proc` would describe other processes.
fn pid_namespace() -> Check {
    match node::in_initial_pid_namespace() {
        Ok(true) => Check::ok("pid namespace", "the host's"),
        Ok(false) => Check::warn(
            "pid namespace",
            "not the host's: services are named by their command only, --pid matches nothing",
            "run on the host, or with hostPID: true / --pid=host",
        ),
        Err(error) => Check::warn("pid namespace", error.to_string(), "mount /proc"),
    }
}
