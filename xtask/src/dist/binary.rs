//! The binary of a release: static, so that one file runs on every distribution and in an empty container.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{self, cargo, command, output};

/// Puts the binary, without symbols, below `out`: the given one, or one built for it.
pub(super) fn provide(given: Option<&Path>, out: &Path) -> Result<PathBuf> {
    let built = match given {
        Some(path) => path.to_path_buf(),
        None => build()?,
    };
    let binary = out.join("auditor");
    fs::copy(&built, &binary).with_context(|| built.display().to_string())?;
    let strip = shell::find("strip").context("strip is not there: install binutils")?;
    shell::run(command(strip).arg("--strip-all").arg(&binary))?;
    Ok(binary)
}

fn build() -> Result<PathBuf> {
    let target = target()?;
    let cargo_home = shell::cargo_home();
    // Paths of this machine have no place in it.
    let flags = format!(
        "-C target-feature=+crt-static --remap-path-prefix={}=/auditor --remap-path-prefix={}=/cargo",
        shell::root().display(),
        cargo_home.display(),
    );
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--package", "auditor", "--bin", "auditor", "--target", &target]);
    build.env("RUSTFLAGS", flags).env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    shell::run(&mut build)?;
    Ok(shell::target_dir().join(target).join("release/auditor"))
}

/// musl where it is installed (`rustup target add x86_64-unknown-linux-musl`): a static glibc still loads libraries of
/// the node to look up names of hosts.
fn target() -> Result<String> {
    let arch = std::env::consts::ARCH;
    let musl = format!("{arch}-unknown-linux-musl");
    let libraries = output(command("rustc").args(["--print", "target-libdir", "--target", &musl]))?;
    if Path::new(libraries.trim()).is_dir() { Ok(musl) } else { Ok(format!("{arch}-unknown-linux-gnu")) }
}

/// The Debian packages that the binary needs: none, where it is static.
pub(super) fn depends(binary: &Path) -> Result<String> {
    let listed = output(command("objdump").arg("-p").arg(binary))?;
    let needed = |library| listed.lines().any(|line| line.trim().starts_with("NEEDED") && line.ends_with(library));
    let mut depends = Vec::new();
    if needed("libc.so.6") {
        let versions = listed.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
        let newest = versions.max_by_key(|version| numbers(version)).unwrap_or("2.31");
        depends.push(format!("libc6 (>= {newest})"));
    }
    if needed("libgcc_s.so.1") {
        depends.push("libgcc-s1".to_owned());
    }
    Ok(depends.join(", "))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(numbers("2.34") > numbers("2.4"));
        assert!(numbers("2.3.4") > numbers("2.3"));
    }
}
