//! Syslog over Unix sockets, UDP (RFC 5426) and TCP with octet counting (RFC 6587). It has no answers: what was handed to
//! the system counts as written.

use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::format::render_within;
use super::spec::{Facility, Format, Protocol, Spec};
use super::target::Target;
use super::worker::{Fault, Progress, Sink};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest text: with what is before it, a message has at most the 8 KiB that receivers take unless told otherwise.
const TEXT: usize = 8 * 1024 - 512;
/// How long a receiver may stand still.
const WRITE: Duration = Duration::from_secs(5);

/// Messages to a syslog receiver.
#[derive(Debug)]
pub(super) struct Syslog {
    to: Target,
    format: Format,
    header: Header,
    connection: Option<Connection>,
}

/// What all messages have in common.
#[derive(Debug)]
struct Header {
    protocol: Protocol,
    facility: Facility,
    host: String,
    pid: u32,
}

#[derive(Debug)]
enum Connection {
    UnixDatagram(UnixDatagram),
    UnixStream(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Syslog {
    /// Connects with the first message.
    pub(super) fn new(spec: &Spec, host: &str) -> Self {
        let host = host.chars().filter(char::is_ascii_graphic).take(255).collect();
        let header = Header { protocol: spec.protocol, facility: spec.facility, host, pid: std::process::id() };
        Self { to: spec.to.clone(), format: spec.format, header, connection: None }
    }

    fn connection(&mut self) -> io::Result<&mut Connection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(Connection::open(&self.to)?)),
        }
    }
}

impl Sink for Syslog {
    fn write(&mut self, lines: &[Arc<str>]) -> Progress {
        let mut progress = Progress::default();
        if self.connection.as_ref().is_some_and(Connection::is_closed) {
            self.connection = None;
        }
        for line in lines {
            let message = self.header.message(line, &render_within(self.format, line, TEXT));
            let sent = self.connection().and_then(|connection| connection.send(&message));
            match sent {
                Ok(()) => progress.done += 1,
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    progress.done += 1;
                    progress.rejected += 1;
                    progress.note = Some(format!("a message of {} bytes is dropped: {error}", message.len()));
                }
                Err(error) => {
                    self.connection = None;
                    progress.fault = Some(Fault::from(error));
                    break;
                }
            }
        }
        progress
    }

    fn reopen(&mut self) {
        self.connection = None;
    }
}

impl Header {
    /// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG`, or `<PRI>TAG: MSG`.
    fn message(&self, line: &str, text: &str) -> String {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let of = |name: &str| line.get(name).and_then(Value::as_str);
        let severity = severity(of("level"));
        let priority = self.facility as u8 * 8 + severity;
        if self.protocol == Protocol::Rfc3164 {
            return format!("<{priority}>auditor[{}]: {text}", self.pid);
        }
        let timestamp = of("timestamp").and_then(microseconds).unwrap_or_else(|| "-".to_owned());
        let host = if self.host.is_empty() { "-" } else { &self.host };
        let id = of("event_name").filter(|name| name.len() <= 32).unwrap_or("-");
        format!("<{priority}>1 {timestamp} {host} auditor {} {id} - {text}", self.pid)
    }
}

/// Severity of RFC 5424: error, warning, informational.
pub(super) fn severity(level: Option<&str>) -> u8 {
    match level {
        Some("error") => 3,
        Some("warning") => 4,
        _ => 6,
    }
}

/// RFC 5424 allows six digits of a second.
fn microseconds(timestamp: &str) -> Option<String> {
    let (seconds, fraction) = timestamp.strip_suffix('Z')?.split_once('.')?;
    Some(format!("{seconds}.{}Z", fraction.get(..6)?))
}

impl Connection {
    fn open(to: &Target) -> io::Result<Self> {
        match to {
            Target::SyslogUnix(path) => unix(path),
            Target::SyslogUdp(host, port) => {
                let address = resolve(host, *port)?;
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }
            Target::SyslogTcp(host, port) => {
                let stream = TcpStream::connect_timeout(&resolve(host, *port)?, CONNECT)?;
                stream.set_write_timeout(Some(WRITE))?;
                Ok(Self::Tcp(stream))
            }
            _ => Err(ErrorKind::Unsupported.into()),
        }
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        match self {
            Self::UnixDatagram(socket) => socket.send(message.as_bytes()).map(drop),
            Self::Udp(socket) => socket.send(message.as_bytes()).map(drop),
            // Messages have no line feed in them.
            Self::UnixStream(stream) => stream.write_all(format!("{message}\n").as_bytes()),
            Self::Tcp(stream) => stream.write_all(format!("{} {message}", message.len()).as_bytes()),
        }
    }

    /// Whether the other side has gone: what is written to it then is lost, and looks as if it was not.
    fn is_closed(&self) -> bool {
        let Self::Tcp(stream) = self else { return false };
        if stream.set_nonblocking(true).is_err() {
            return true;
        }
        let closed = match stream.peek(&mut [0]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        closed || stream.set_nonblocking(false).is_err()
    }
}

/// Most receivers have datagrams, some a stream.
fn unix(path: &Path) -> io::Result<Connection> {
    let socket = UnixDatagram::unbound()?;
    match socket.connect(path) {
        Ok(()) => {
            socket.set_write_timeout(Some(WRITE))?;
            Ok(Connection::UnixDatagram(socket))
        }
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(WRITE))?;
            Ok(Connection::UnixStream(stream))
        }
        Err(error) => Err(error),
    }
}

fn resolve(host: &str, port: u16) -> io::Result<std::net::SocketAddr> {
    (host, port).to_socket_addrs()?.next().ok_or_else(|| ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    const LINE: &str = r#"{"record_type":"finding","timestamp":"2026-08-24T10:15:30.123456789Z","level":"error","event_name":"auditor.finding"}"#;

    fn syslog(to: &str) -> Syslog {
        let mut syslog = Syslog::new(&to.parse().unwrap(), "node-a");
        syslog.header.pid = 7;
        syslog
    }

    fn message() -> String {
        format!("<27>1 2026-08-24T10:15:30.123456Z node-a auditor 7 auditor.finding - {LINE}")
    }

    #[test]
    fn datagrams() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut syslog = syslog(&format!("syslog+udp://{}", receiver.local_addr().unwrap()));
        assert_eq!(syslog.write(&[LINE.into()]).done, 1);
        let mut buffer = [0; 1024];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), message());
    }

    #[test]
    fn the_format_of_local_sockets() {
        let header = syslog("syslog+unix:/dev/log").header;
        assert_eq!(header.message(LINE, "text"), "<27>auditor[7]: text");
        let header = syslog("syslog+unix:/dev/log?protocol=rfc5424").header;
        assert_eq!(header.message(LINE, LINE), message());
    }

    #[test]
    fn octets_are_counted_and_connections_made_again() {
        let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut syslog = syslog(&format!("syslog+tcp://{}?facility=daemon", receiver.local_addr().unwrap()));
        for _ in 0..2 {
            assert_eq!(syslog.write(&[LINE.into(), LINE.into()]).done, 2);
            let (mut stream, _) = receiver.accept().unwrap();
            let expected = format!("{} {}", message().len(), message()).repeat(2);
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), expected);
        }
    }

    #[test]
    fn nobody_there_is_worth_another_try() {
        let progress = syslog("syslog+unix:/nonexistent/log").write(&[LINE.into()]);
        assert!(matches!(progress.fault, Some(Fault::Retry(..))) && progress.done == 0);
    }
}
