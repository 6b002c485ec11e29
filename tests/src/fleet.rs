//! Services in other runtimes, whose sources are in `tests/fleets`, and the audit that each of them gets.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::audit::{Audit, Dropped, To};
use crate::auditor::Auditor;
use crate::client::Load;
use crate::kernel::children;
use crate::process::{PATIENCE, Service, TempDir, eventually};
use crate::socket::{Addr, Stream};

/// A file of `tests/fleets`, or of the directory that `AUDITOR_FLEETS` names: where it lies gets into recordings.
pub fn source(name: &str) -> PathBuf {
    let here = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fleets");
    std::env::var_os("AUDITOR_FLEETS").map_or_else(here, PathBuf::from).join(name)
}

/// What a service does with trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Sends it on.
    Forwards,
    /// Loses it.
    Drops,
}

impl Treatment {
    /// Name as the fleets' programs take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forwards => "forward",
            Self::Drops => "drop",
        }
    }
}

/// Starts a program of `tests/fleets` with an interpreter.
///
/// # Panics
/// When the interpreter is missing.
pub fn interpreted(interpreter: &str, file: &str, args: &[&str]) -> Service {
    let name = format!("{interpreter}-{}", args.join("-"));
    Service::spawn(Command::new(interpreter).arg(source(file)).args(args).env("OTEL_SERVICE_NAME", name))
}

/// One at a time, and 16 at once.
pub fn loads(addr: &Addr) -> [Load; 2] {
    let load = Load::new(addr, "/cart");
    [load.clone(), load.clients(16).total(320).gap(Duration::from_millis(20))]
}

/// Audits a service that calls `POST /charge` of `backend` for every request, under each load.
///
/// # Panics
/// When the auditor's word on it is not the truth.
pub fn audit_service(hooks: &str, service: &Service, backend: &Service, treatment: Treatment) {
    for load in loads(&service.addr) {
        let auditor = Auditor::run(hooks, &[service.pid()]);
        let calls = load.run().all();
        judge(&auditor.stop(), Some(service.pid()), backend, treatment, calls);
    }
}

/// Compares an audit with the truth.
///
/// # Panics
/// When they differ.
pub fn judge(audit: &Audit, pid: Option<u32>, backend: &Service, treatment: Treatment, calls: u64) {
    let port = backend.addr.port();
    match treatment {
        Treatment::Drops => {
            audit.assert_dropped(&Dropped { pid, inbound: "/cart", outbound: "/charge", to: To::Port(port), calls });
        }
        Treatment::Forwards => {
            audit.assert_no_errors();
            let seen = audit.outcomes(|summary| summary["attributes"]["server.port"] == port);
            let forwarded = seen["continued"] + seen["passed_through"];
            assert_eq!((seen["calls"], forwarded), (calls, calls), "{}", audit.explain());
        }
    }
}

/// A certificate for a server with TLS, and its key, in a directory of their own.
#[derive(Debug)]
pub struct Certificate(TempDir);

impl Certificate {
    /// Makes them.
    ///
    /// # Panics
    /// When openssl is missing.
    pub fn new(name: &str) -> Self {
        let new = Self(TempDir::new(name));
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-keyout", &new.key(), "-out", &new.path()])
            .output()
            .unwrap_or_else(|error| panic!("cannot start openssl: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        new
    }

    /// Where it is.
    pub fn path(&self) -> String {
        self.0.path().join("certificate.pem").display().to_string()
    }

    /// Where its key is.
    pub fn key(&self) -> String {
        self.0.path().join("key.pem").display().to_string()
    }
}

/// nginx as a reverse proxy, with a directory of its own.
#[derive(Debug)]
pub struct Nginx {
    master: std::process::Child,
    /// Where it listens.
    pub addr: Addr,
    _dir: TempDir,
}

impl Nginx {
    /// Starts one in front of a backend.
    ///
    /// # Panics
    /// When nginx is missing or does not start.
    pub fn start(backend: &Addr) -> Self {
        Self::start_with(backend, |config| config)
    }

    /// The same with a changed configuration.
    ///
    /// # Panics
    /// As [`Nginx::start`].
    pub fn start_with(backend: &Addr, change: impl FnOnce(String) -> String) -> Self {
        let dir = TempDir::new("nginx");
        let template = std::fs::read_to_string(source("nginx.conf")).expect("the template is there");
        let port = free_port();
        let config = change(template)
            .replace("@DIR@", &dir.path().display().to_string())
            .replace("@BACKEND@", &backend.to_string())
            .replace("@PORT@", &port.to_string());
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).expect("the configuration can be written");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut master = Command::new("nginx")
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            // What it says before it has read its configuration.
            .args(["-e", "stderr"])
            .env("PATH", format!("{path}:/usr/sbin"))
            .env("OTEL_SERVICE_NAME", "proxy")
            .stdin(std::process::Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start nginx: {error}; install it (nginx-light)"));
        let addr: Addr = format!("127.0.0.1:{port}").parse().expect("an address");
        let answers =
            eventually(PATIENCE, || matches!(master.try_wait(), Ok(Some(_))) || Stream::connect(&addr).is_ok());
        let nginx = Self { master, addr, _dir: dir };
        // It listens before it has started its workers.
        assert!(answers && eventually(PATIENCE, || nginx.pids().len() == 3), "nginx does not serve");
        nginx
    }

    /// Its processes: the master and the workers.
    pub fn pids(&self) -> Vec<u32> {
        let master = self.master.id();
        std::iter::once(master).chain(children(master)).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that the master ends its workers; they would outlive a SIGKILL.
        let _ = crate::sys::signal(self.master.id(), libc::SIGTERM);
        let ended = eventually(PATIENCE, || matches!(self.master.try_wait(), Ok(Some(_))));
        if !ended {
            let _ = self.master.kill();
            let _ = self.master.wait();
        }
    }
}

/// A port that was free a moment ago, for a program that cannot choose one itself.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
