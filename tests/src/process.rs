//! Guards for what a test starts: ended when dropped, and only that.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::socket::Addr;
use crate::sys;

/// Longest wait for anything that should come at once: a machine under emulation is slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is yes, or too much time has passed; whether it was yes.
pub fn eventually(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a child and takes its exit status, whatever state it is in.
#[derive(Debug)]
pub(crate) struct Guard(pub(crate) Child);

impl Guard {
    pub(crate) fn signal(&self, signal: i32) {
        // It may be gone already, which is as good.
        let _ = sys::signal(self.0.id(), signal);
    }

    /// Waits, but not for ever.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let mut status = None;
        eventually(patience, || {
            status = self.0.try_wait().ok().flatten();
            status.is_some()
        });
        status
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Collects a stream in the background.
pub(crate) fn collect(mut stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let collected = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&collected);
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(&chunk[..length]);
        }
    });
    collected
}

/// Text that was collected so far.
pub(crate) fn text(collected: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&collected.lock().unwrap_or_else(std::sync::PoisonError::into_inner)).into_owned()
}

/// A running service that said where it listens.
#[derive(Debug)]
pub struct Service {
    guard: Guard,
    /// What it prints after its first line.
    lines: mpsc::Receiver<String>,
    /// Where it listens.
    pub addr: Addr,
}

impl Service {
    /// Starts a program that prints `listening ADDR` as its first line and ends when its standard input does.
    ///
    /// # Panics
    /// When it does not start or does not say where it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let guard = Guard(child);
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // When nobody listens any more, the pipe is still to be kept empty.
                let _ = sender.send(line);
            }
        });
        let line =
            receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{command:?} does not say where it listens"));
        let addr = address(&line).unwrap_or_else(|| panic!("{command:?} said {line:?}"));
        Self { guard, lines: receiver, addr }
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn tell(&mut self, text: &str) {
        let stdin = self.guard.0.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(text.as_bytes()).expect("it reads its standard input");
    }

    /// The address it says it listens on when it says so again.
    ///
    /// # Panics
    /// When it does not.
    pub fn listens_again(&self) -> Addr {
        let line = self.lines.recv_timeout(PATIENCE).expect("it says where it listens");
        address(&line).unwrap_or_else(|| panic!("it said {line:?}"))
    }

    /// Starts the workload of this package.
    ///
    /// # Panics
    /// As [`Service::spawn`].
    pub fn workload(name: &str, args: &[&str]) -> Self {
        Self::spawn(Command::new(workload_path()).args(args).env("OTEL_SERVICE_NAME", name))
    }

    /// A service that answers after some milliseconds and calls nobody.
    ///
    /// # Panics
    /// As [`Service::spawn`].
    pub fn backend() -> Self {
        Self::workload("backend", &["--delay-ms", "6"])
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.guard.0.id()
    }

    /// Its process as an argument.
    pub fn pid_arg(&self) -> String {
        self.pid().to_string()
    }

    /// A call to it, as the workload's `--call` takes it.
    pub fn call(&self, method: &str, path: &str) -> String {
        format!("{method} {path} {}", self.addr)
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let _ = self.guard.0.kill();
        let _ = self.guard.0.wait();
    }
}

fn address(line: &str) -> Option<Addr> {
    line.strip_prefix("listening ")?.parse().ok()
}

/// Directory of the programs that were built with this test.
pub(crate) fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    // target/PROFILE/deps/TEST
    let dir = test.parent().unwrap_or(Path::new("."));
    if dir.ends_with("deps") { dir.parent().unwrap_or(dir).to_path_buf() } else { dir.to_path_buf() }
}

/// Finds a program of this workspace: named by a variable, or built beside this test.
pub(crate) fn program(variable: &str, name: &str) -> PathBuf {
    built(std::env::var_os(variable).map_or_else(|| profile_dir().join(name), PathBuf::from))
}

fn built(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} is not there: build it (`cargo build --workspace --bins`)", path.display());
    path
}

/// Path of another program of this package.
///
/// # Panics
/// When it was not built.
pub fn sibling(name: &str) -> PathBuf {
    built(profile_dir().join(name))
}

/// Path of the workload program.
pub fn workload_path() -> PathBuf {
    program("AUDITOR_WORKLOAD", "auditor-workload")
}

/// A directory that is removed with what is in it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one.
    ///
    /// # Panics
    /// When there is no place for it.
    pub fn new(name: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("auditor-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
