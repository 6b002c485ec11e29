//! A running fleet service, from its first line to its last.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cgroup::Group;
use super::model::{Launch, Model, Variant};
use crate::process::{PATIENCE, TempDir, eventually};
use crate::sys;

/// Ended with all its children when dropped.
pub struct FleetService {
    /// What it is.
    pub model: Model,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    _dir: TempDir,
    // Last: it can only go when the processes are gone.
    group: Group,
}

impl FleetService {
    /// Starts one in a cgroup below that of its fleet and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(model: &Model, variant: Variant, backend: u16, fleet: &Group) -> Self {
        let dir = TempDir::new(model.name);
        let port = if model.proxy { free_port() } else { 0 };
        let group = fleet.child(model.name);
        let command = (model.command)(&Launch { port, backend, variant, dir: dir.path() });
        let mut child = group
            .enter(&command)
            .env("OTEL_SERVICE_NAME", model.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A group of its own, so that its children can be ended with it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut service = Self { model: *model, port, child, lines, _dir: dir, group };
        let listens = eventually(PATIENCE, || service.listens() || matches!(service.child.try_wait(), Ok(Some(_))));
        // Whoever answers at a proxy's port is only the proxy when that runs.
        let runs = matches!(service.child.try_wait(), Ok(None));
        assert!(listens && runs && service.port != 0, "{} does not say where it listens: {command:?}", model.name);
        service
    }

    fn listens(&mut self) -> bool {
        if self.model.proxy {
            return TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        }
        let first = self.with_lines(|lines| lines.first().cloned());
        let port = first.and_then(|line| line.strip_prefix("listening ")?.parse().ok());
        self.port = port.unwrap_or(0);
        self.port != 0
    }

    fn with_lines<T>(&self, look: impl FnOnce(&[String]) -> T) -> T {
        look(&self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The process that was started.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The truth lines so far.
    pub fn truth_lines(&self) -> Vec<String> {
        self.with_lines(|lines| lines.get(1..).map(<[String]>::to_vec).unwrap_or_default())
    }

    /// Waits until so many calls were told of that a request made: those after the answer come late.
    pub fn wait_for_calls(&self, count: usize) {
        let told = |lines: &[String]| lines.iter().skip(1).filter(|line| !line.starts_with("- ")).count();
        eventually(Duration::from_secs(10), || self.with_lines(told) >= count);
    }
}

impl Drop for FleetService {
    fn drop(&mut self) {
        // Politely first: servers with workers end them, and proxies close their logs.
        let _ = sys::signal_group(self.child.id(), libc::SIGTERM);
        if !eventually(Duration::from_secs(5), || self.group.pids().is_empty()) {
            let _ = sys::signal_group(self.child.id(), libc::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port for a program that cannot choose one itself: below those that the kernel hands out, so that nobody who lets
/// the kernel choose is given it before the program listens.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests that run at the same time begin at different places.
    let first = std::process::id().wrapping_mul(61);
    let ports =
        std::iter::repeat_with(|| 20_000 + (first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000) as u16);
    let mut free = ports.take(12_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a port between 20000 and 32000 is free")
}
