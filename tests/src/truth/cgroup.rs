//! A cgroup for the processes of a fleet, so that the auditor can be told to look at all of them, whatever they fork,
//! and at nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::eventually;

/// A cgroup (v2), removed when dropped.
#[derive(Debug)]
pub struct Group(PathBuf);

impl Group {
    /// Makes one at the top of the hierarchy.
    ///
    /// # Panics
    /// Without a writable cgroup v2 hierarchy.
    pub fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut fields = mounts.lines().map(|line| line.split(' '));
        let mount = fields.find_map(|mut field| field.nth(1).filter(|_| field.next() == Some("cgroup2")));
        let mount = Path::new(mount.expect("the fleets are selected by cgroup: this needs a cgroup v2 hierarchy"));
        Self::make(mount.join(format!("auditor-truth-{}-{count}", std::process::id())))
    }

    /// Makes one in it.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn child(&self, name: &str) -> Self {
        Self::make(self.0.join(name))
    }

    fn make(path: PathBuf) -> Self {
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make cgroup {}: {error}", path.display()));
        Self(path)
    }

    /// Where it is, as `--cgroup` takes it.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("the path is made of ASCII")
    }

    /// The command, run by a process that enters the group first.
    pub fn enter(&self, command: &Command) -> Command {
        let mut entering = Command::new("/bin/sh");
        entering.args(["-c", r#"echo $$ >"$0" && exec "$@""#]);
        entering.arg(self.0.join("cgroup.procs")).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entering.env(name, value),
                None => entering.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            entering.current_dir(directory);
        }
        entering
    }

    /// Processes that are in it.
    pub fn pids(&self) -> Vec<u32> {
        let listed = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        listed.lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was killed leaves its group a moment later. One that does not is the reader's to see.
        if !eventually(Duration::from_secs(5), || std::fs::remove_dir(&self.0).is_ok()) {
            eprintln!("cannot remove cgroup {}: processes {:?} are in it", self.path(), self.pids());
        }
    }
}
