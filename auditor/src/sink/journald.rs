//! journald's native protocol: a datagram of fields. <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>

use std::fmt::Display;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::format::{each_leaf, render, sentence};
use super::spec::{Format, Spec};
use super::syslog::severity;
use super::worker::{Fault, Progress, Sink};

/// The longest name of a field.
const NAME: usize = 64;
/// How long journald may stand still.
const WRITE: Duration = Duration::from_secs(5);

/// Entries for journald.
#[derive(Debug)]
pub(super) struct Journald {
    path: PathBuf,
    format: Format,
    socket: Option<UnixDatagram>,
}

impl Journald {
    /// Connects with the first entry.
    pub(super) fn new(path: &Path, spec: &Spec) -> Self {
        Self { path: path.to_owned(), format: spec.format, socket: None }
    }

    fn send(&mut self, entry: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket.set_write_timeout(Some(WRITE))?;
                none.insert(socket)
            }
        };
        // An entry has at most some 30 KiB, of a line of 8: far below what a datagram can hold.
        socket.send(entry).map(drop)
    }
}

impl Sink for Journald {
    fn write(&mut self, lines: &[Arc<str>]) -> Progress {
        let mut progress = Progress::default();
        for line in lines {
            match self.send(&entry(line, self.format)) {
                Ok(()) => progress.done += 1,
                Err(error) => {
                    self.socket = None;
                    progress.fault = Some(Fault::from(error));
                    break;
                }
            }
        }
        progress
    }

    fn reopen(&mut self) {
        self.socket = None;
    }
}

/// `MESSAGE` in the format of the output, and every value of the line in a field of its own.
fn entry(line: &str, format: Format) -> Vec<u8> {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let mut entry = Vec::with_capacity(line.len() * 2);
    // journald has the time and the level itself.
    let message = if format == Format::Text { sentence(&value) } else { render(format, line).into_owned() };
    field(&mut entry, "MESSAGE", &message);
    field(&mut entry, "PRIORITY", severity(value.get("level").and_then(Value::as_str)));
    field(&mut entry, "SYSLOG_IDENTIFIER", "auditor");
    each_leaf(&value, |name, value| {
        if name == "message" {
            return;
        }
        let name = field_name(name);
        match value {
            Value::String(text) => field(&mut entry, &name, text),
            value => field(&mut entry, &name, value),
        }
    });
    entry
}

/// `finding.inbound.http.route` becomes `AUDITOR_FINDING_INBOUND_HTTP_ROUTE`.
fn field_name(name: &str) -> String {
    let name = name.strip_prefix("auditor.").unwrap_or(name);
    let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    "AUDITOR_".chars().chain(upper).take(NAME).collect()
}

fn field(entry: &mut Vec<u8>, name: &str, value: impl Display) {
    let value = value.to_string();
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        // A value with line feeds has its length before it.
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_fields() {
        let line = r#"{"message":"two\nlines","level":"warning","finding":{"count":3,"inbound":{"http.route":"/a"},"sent":null}}"#;
        let mut expected = b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY=4\nSYSLOG_IDENTIFIER=auditor\n".to_vec();
        expected.extend_from_slice(
            b"AUDITOR_FINDING_COUNT=3\nAUDITOR_FINDING_INBOUND_HTTP_ROUTE=/a\nAUDITOR_LEVEL=warning\n",
        );
        assert_eq!(entry(line, Format::Text), expected);
        let json = String::from_utf8_lossy(&entry(line, Format::Json)).into_owned();
        assert!(json.starts_with(&format!("MESSAGE={line}\n")), "{json}");
    }

    #[test]
    fn names_have_their_limits() {
        assert_eq!(field_name("record_type"), "AUDITOR_RECORD_TYPE");
        assert_eq!(field_name("auditor.host.name"), "AUDITOR_HOST_NAME");
        assert_eq!(field_name(&"é.".repeat(100)).len(), NAME);
    }
}
