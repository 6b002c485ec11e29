//! Running other programs: printed before they run, with an environment that `cargo run` has not coloured.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Root of the workspace.
pub(crate) fn root() -> PathBuf {
    // At run time first: the workspace may have moved since xtask was built.
    let here =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Where build output goes: `CARGO_TARGET_DIR` or `target` in the workspace.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Whether this process may do what root may.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, cannot fail and touches no memory.
    unsafe { libc::geteuid() == 0 }
}

/// Finds a program on `PATH`, where Debian keeps the administrator's programs, and where cargo installs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), cargo_home().join("bin")])
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Where cargo keeps its registry and what it installs.
pub(crate) fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cargo"),
        PathBuf::from,
    )
}

/// A command in the workspace without what `cargo run` adds to the environment for xtask itself.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["CARGO_MANIFEST", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if ours.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// The user's cargo.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Takes every trace of another toolchain out of a command's environment: the outer cargo's, rustup's choice, the
/// user's flags. Network and registry settings stay.
pub(crate) fn scrub_toolchain(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let keep = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "RUSTUP_HOME"];
        let gone = text.starts_with("CARGO")
            || text.starts_with("RUST")
            || matches!(&*text, "LD_LIBRARY_PATH" | "DYLD_FALLBACK_LIBRARY_PATH");
        if gone && !keep.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}

/// The command as a person would type it, without its environment.
pub(crate) fn display(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@+,%".contains(c);
            if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{word}'") }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Prints the command, runs it, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("  $ {}", display(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start {}", display(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", display(command));
    }
    Ok(())
}

/// Builds the auditor as users run it, and the workload of the demo; gives the directory they are in. One command for
/// all who need either: another selection of packages would compile everything again.
pub(crate) fn build_programs() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--package", "auditor", "--bin", "auditor"]);
    run(build.args(["--package", "auditor-tests", "--bin", "auditor-workload"]))?;
    Ok(target_dir().join("release"))
}

/// What the command prints on stdout; its stderr becomes part of the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", display(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", display(command), output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Installs Debian packages, or says how to.
pub(crate) fn apt_install(packages: &[&str], what_for: &str) -> Result<()> {
    let line = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    let Some(apt) = find("apt-get") else {
        bail!(
            "{what_for} needs the Debian packages `{}` or their like, and there is no apt-get here",
            packages.join(" ")
        )
    };
    if !is_root() {
        bail!("{what_for} needs some packages; as root: {line}")
    }
    eprintln!("installing what {what_for} needs:");
    let install = || {
        let mut command = command(&apt);
        command.args(["install", "--yes", "--no-install-recommends", "-qq"]).args(packages);
        // A package's own service must not start on the machine that runs the tests.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdout(Stdio::null());
        run(&mut command)
    };
    // Package lists may be old or missing: once more with new ones.
    install().or_else(|_| {
        run(command(&apt).args(["update", "-qq"]))?;
        install()
    })
}

/// Versions of a package family that apt knows, oldest first.
pub(crate) fn apt_search(pattern: &str) -> Result<Vec<String>> {
    let listed = output(command("apt-cache").args(["search", "--names-only", pattern]))?;
    let mut names: Vec<String> =
        listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort_by_key(|name| version_key(name));
    Ok(names)
}

/// Orders names by the numbers in them.
fn version_key(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(version_key("linux-image-6.12.101+deb12-cloud") > version_key("linux-image-6.12.99+deb12-cloud"));
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        assert_eq!(display(Command::new("a").args(["b c", "--d=e"])), "a 'b c' --d=e");
    }
}
