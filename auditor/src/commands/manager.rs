//! What the service manager is told (`sd_notify(3)`), where it asks for it by `NOTIFY_SOCKET`: that everything is
//! attached, that the capture is alive, that the end has begun.
//!
//! Datagrams that find no room are left out: nothing here may block the capture.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How often the status is told where no watchdog waits for it.
const STATUS: Duration = Duration::from_secs(10);

/// The service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    /// Whether it restarts the service when it hears nothing.
    watchdog: bool,
    every: Duration,
    next: Instant,
}

impl Manager {
    /// As the environment says.
    pub(crate) fn from_env() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            connect(&name)
                .inspect_err(|error| log::warn!("the service manager cannot be told anything: NOTIFY_SOCKET: {error}"))
                .ok()
        });
        let for_us = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let watchdog = std::env::var("WATCHDOG_USEC").ok().filter(|_| for_us).and_then(|text| text.parse().ok());
        // Three times before it is due: one may be late, another find no room.
        let every = watchdog.map_or(STATUS, |usec| Duration::from_micros(usec) / 3);
        Self { socket, watchdog: watchdog.is_some(), every, next: Instant::now() }
    }

    /// Everything is attached.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// The capture loop came round. Says so when it is time.
    pub(crate) fn alive(&mut self, status: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.socket.is_none() || now < self.next {
            return;
        }
        self.next = now + self.every;
        let ping = if self.watchdog { "WATCHDOG=1\n" } else { "" };
        self.send(&format!("{ping}STATUS={}\n", status()));
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=writing what is left\n");
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            log::debug!("the service manager was not told {text:?}: {error}");
        }
    }
}

/// A name that begins with `@` is in the abstract namespace.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(name: &OsStr, watchdog: bool, every: Duration) -> Manager {
        Manager { socket: Some(connect(name).unwrap()), watchdog, every, next: Instant::now() }
    }

    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 256];
        socket.set_nonblocking(true).unwrap();
        socket.recv(&mut bytes).ok().map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    #[test]
    fn it_is_told_in_time_and_not_more_often() {
        let name = format!("auditor-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let mut manager = manager(OsStr::new(&format!("@{name}")), true, Duration::from_secs(3600));
        manager.ready("attached");
        manager.alive(|| "fine".to_owned());
        manager.alive(|| panic!("too early"));
        manager.stopping();
        let told: Vec<_> = std::iter::from_fn(|| received(&socket)).collect();
        let stopping = "STOPPING=1\nSTATUS=writing what is left\n";
        assert_eq!(told, ["READY=1\nSTATUS=attached\n", "WATCHDOG=1\nSTATUS=fine\n", stopping]);
    }

    #[test]
    fn a_manager_that_reads_nothing_blocks_nothing() {
        let name = format!("auditor-test-full-{}", std::process::id());
        let _socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let mut manager = manager(OsStr::new(&format!("@{name}")), false, Duration::ZERO);
        for _ in 0..10_000 {
            manager.alive(|| "fine".to_owned());
        }
    }

    #[test]
    fn a_wrong_name_is_an_error() {
        assert!(connect(OsStr::new("/nowhere/at/all")).is_err());
        assert!(connect(OsStr::new(&"x".repeat(300))).is_err());
    }
}
