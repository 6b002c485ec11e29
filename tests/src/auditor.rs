//! The auditor as a child process, from its first line to its last.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::audit::Audit;
use crate::kernel::require_root;
use crate::process::{Guard, PATIENCE, collect, eventually, program, text};

/// Path of the auditor: `AUDITOR_BIN`, or the one that was built beside the test.
pub fn auditor_path() -> PathBuf {
    program("AUDITOR_BIN", "auditor")
}

/// An `auditor` command whose settings come from its arguments alone.
pub fn auditor_command() -> Command {
    let mut command = Command::new(auditor_path());
    without_settings(&mut command);
    command
}

/// Takes what the auditor would read as its settings out of the environment of a command.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        // The auditor reads its own settings from AUDITOR_*; those of the tests are not meant for it.
        if name.to_string_lossy().starts_with("AUDITOR_") {
            command.env_remove(name);
        }
    }
}

/// A running `auditor` that prints JSON lines.
pub struct Auditor {
    guard: Guard,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Auditor {
    /// `auditor run` with one line a kind of record: nothing repeats before it stops.
    ///
    /// # Panics
    /// As [`Auditor::start`].
    pub fn run(hooks: &str, pids: &[u32]) -> Self {
        Self::run_with(hooks, pids, &[])
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// As [`Auditor::start`].
    pub fn run_with(hooks: &str, pids: &[u32], more: &[&str]) -> Self {
        let mut args = vec!["run".to_owned(), "--hooks".to_owned(), hooks.to_owned()];
        for pid in pids {
            args.extend(["--pid".to_owned(), pid.to_string()]);
        }
        let quiet = ["--aggregation-window", "3600s", "--summary-interval", "3600s", "--stats-interval", "3600s"];
        for (option, value) in quiet.chunks(2).filter_map(|pair| Some((pair.first()?, pair.last()?))) {
            if !more.contains(option) {
                args.extend([(*option).to_owned(), (*value).to_owned()]);
            }
        }
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let mut command = auditor_command();
        command.args(args);
        Self::start(&mut command)
    }

    /// Starts a command that prints JSON lines and waits until it says that it is attached.
    ///
    /// # Panics
    /// Without root, and when it does not attach; with what it wrote on stderr.
    pub fn start(command: &mut Command) -> Self {
        require_root();
        let auditor = Self::spawn(command);
        auditor.wait_for("auditor.attached");
        auditor
    }

    /// Starts a command and waits for nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { guard: Guard(child), lines, reader: Some(reader), stderr }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.guard.0.id()
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it wrote on stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Whether it prints nothing more.
    pub fn has_ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for a record with this `event_name`.
    ///
    /// # Panics
    /// When it does not come, or the auditor ends before it.
    pub fn wait_for(&self, event: &str) {
        let came = || self.lines().iter().any(|line| event_of(line).as_deref() == Some(event));
        eventually(PATIENCE, || came() || self.has_ended());
        // Its last lines may have come between the two questions.
        assert!(came(), "auditor printed no {event}; it said:\n{}\n{}", self.lines().join("\n"), self.stderr());
    }

    /// Sends SIGINT and waits for the end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(self) -> Audit {
        self.stop_by(libc::SIGINT)
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn terminate(self) -> Audit {
        self.stop_by(libc::SIGTERM)
    }

    fn stop_by(self, signal: i32) -> Audit {
        self.guard.signal(signal);
        self.wait_exit()
    }

    /// SIGHUP: it reads its configuration again.
    pub fn hang_up(&self) {
        self.guard.signal(libc::SIGHUP);
    }

    /// SIGSTOP: it stands still until [`Auditor::resume`].
    pub fn pause(&self) {
        self.guard.signal(libc::SIGSTOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.guard.signal(libc::SIGCONT);
    }

    /// SIGKILL: it gets no chance to clean up.
    pub fn kill(mut self) {
        let _ = self.guard.0.kill();
        let _ = self.guard.0.wait();
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_exit(mut self) -> Audit {
        let status: Option<ExitStatus> = self.guard.wait(PATIENCE);
        let status = status.unwrap_or_else(|| panic!("auditor does not end; it said:\n{}", self.stderr()));
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
        // Its stderr closed with it; the collector may still be at the last bytes.
        let mut last = self.stderr();
        eventually(Duration::from_millis(100), || std::mem::replace(&mut last, self.stderr()) == self.stderr());
        Audit::new(self.lines(), status, self.stderr())
    }
}

fn event_of(line: &str) -> Option<String> {
    let record: Value = serde_json::from_str(line).ok()?;
    record["event_name"].as_str().map(str::to_owned)
}
