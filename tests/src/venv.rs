//! The Python packages that some fleets and receivers need, in a virtual environment below the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::once::place;

/// What is installed. Ranges, because the newest release of each supports only newer Pythons.
const PACKAGES: [&str; 3] = ["aiohttp>=3.9,<4", "gunicorn>=21", "opentelemetry-proto>=1.31"];

/// A Python that has the packages, installed on first use.
///
/// # Panics
/// When it cannot be installed; with what is missing.
pub(crate) fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(install).clone()
}

fn install() -> PathBuf {
    let dir = place("python");
    let (python, stamp) = (dir.join("bin/python"), dir.join("packages"));
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && works(&python) {
        return python;
    }
    eprintln!("installing {} into {}:", PACKAGES.join(", "), dir.display());
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir),
        "python3 with its venv module (on Debian: python3-venv)",
    );
    run(
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES),
        "a package index that pip can reach, or a mirror that it is configured for",
    );
    std::fs::write(&stamp, wanted).unwrap_or_else(|error| panic!("{}: {error}", stamp.display()));
    python
}

/// Whether the interpreter that the environment was made with is still there.
fn works(python: &Path) -> bool {
    let mut version = Command::new(python);
    version.args(["-c", "import aiohttp, gunicorn, opentelemetry.proto"]).stdin(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn run(command: &mut Command, needs: &str) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let done = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(done, "{command:?} failed ({status:?}): the Python fleets need {needs}");
}
