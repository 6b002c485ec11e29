//! The systemd unit that is shipped, and its way to start a program, without systemd: the same user, capabilities,
//! `no_new_privs` and system calls.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A number that no user of the machine has.
pub const NOBODY: &str = "48151";

/// A file in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What is said of the four capabilities, as `setpriv` names them.
pub const CAPABILITIES: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];

/// A unit file.
#[derive(Debug)]
pub struct Unit(Vec<(String, String)>);

impl Unit {
    /// The one that is shipped.
    ///
    /// # Panics
    /// When it is not there.
    pub fn shipped() -> Self {
        let path = repository("deploy/systemd/auditor.service");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let settings = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        Self(settings.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
    }

    /// All values of a setting.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The last value of a setting, which counts; empty without one.
    pub fn get<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).last().unwrap_or_default()
    }

    /// The capabilities of a setting, as `setpriv` names them.
    pub fn capabilities(&self, name: &str) -> Vec<String> {
        self.get(name).split_whitespace().map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect()
    }

    /// Names of the system calls that are let through.
    ///
    /// # Panics
    /// When systemd does not know a set.
    pub fn system_calls(&self) -> BTreeSet<String> {
        let mut allowed = BTreeSet::new();
        for value in self.all("SystemCallFilter") {
            let (names, deny) = value.strip_prefix('~').map_or((value, false), |names| (names, true));
            let calls = names.split_whitespace().flat_map(members);
            if deny { calls.for_each(|call| _ = allowed.remove(&call)) } else { allowed.extend(calls) }
        }
        // Every allow list has it.
        allowed.extend(members("@default"));
        allowed
    }
}

/// What is in a set of system calls, and in the sets in it.
fn members(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let output = Command::new("systemd-analyze").args(["syscall-filter", name]).output();
    let output = output.expect("systemd-analyze is there (Debian: systemd)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let members: Vec<String> = names.flat_map(members).collect();
    assert!(!members.is_empty(), "systemd does not know {name}: {}", String::from_utf8_lossy(&output.stderr));
    members
}

/// `setpriv` with a user and exactly these capabilities, ambient as systemd gives them; what to run comes behind.
pub fn unprivileged(capabilities: &[&str]) -> Command {
    let set = capabilities.iter().fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"]);
    // What is not inheritable cannot be ambient.
    command.args(["--inh-caps", &set, "--ambient-caps", &set, "--bounding-set", &set]);
    command
}
