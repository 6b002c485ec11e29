//! From bytes to records, whatever lies between: log shippers put lines into envelopes or text in front of them, a writer
//! is interrupted in the middle, a file holds other lines as well.

use super::Report;
use super::entry::{Entry, Envelope};

/// Longest line that is looked at, with its envelope; the auditor's own end at 8 KiB.
const CAP: usize = 64 * 1024;

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Records of the auditor.
    pub records: u64,
    /// Lines in which no record was found.
    pub broken: u64,
    /// The last line ended in the middle of a record.
    pub cut_off: bool,
}

/// Takes bytes as they come, in any pieces, and adds the records in them to a report. Holds one line at most.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// The rest of the line is passed over.
    too_long: bool,
    read: Read,
}

impl Lines {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next bytes.
    pub fn push(&mut self, mut bytes: &[u8], report: &mut Report) {
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(at);
            if self.line.is_empty() && !self.too_long && line.len() <= CAP {
                self.take(line, report);
            } else {
                self.hold(line);
                self.end(report);
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.hold(bytes);
    }

    /// No more bytes come: what is left is a line, if it is whole.
    pub fn finish(&mut self, report: &mut Report) -> Read {
        let before = self.read.broken;
        self.end(report);
        if self.read.broken > before {
            self.read.broken = before;
            self.read.cut_off = true;
        }
        std::mem::take(&mut self.read)
    }

    /// What was read so far.
    pub fn read(&self) -> Read {
        self.read
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.too_long || self.line.len() + bytes.len() > CAP {
            self.too_long = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end(&mut self, report: &mut Report) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            self.read.broken += 1;
        } else {
            self.take(&line, report);
        }
    }

    fn take(&mut self, line: &[u8], report: &mut Report) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match record(line) {
            Some(entry) => {
                self.read.records += 1;
                report.add(entry);
            }
            None => self.read.broken += 1,
        }
    }
}

/// The record in a line.
fn record(line: &[u8]) -> Option<Entry> {
    // What CRI, Compose and syslog put in front of it holds no brace, or may hold one.
    let starts = line.iter().enumerate().filter(|(_, byte)| **byte == b'{').map(|(at, _)| at).take(3);
    starts.filter_map(|at| line.get(at..)).find_map(|line| {
        serde_json::from_slice(line).ok().or_else(|| {
            let envelope: Envelope = serde_json::from_slice(line).ok()?;
            serde_json::from_slice(envelope.content()?.trim_ascii()).ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = r#"{"record_type":"summary","edge":{"calls":3,"dropped":3},"attributes":{"http.request.method":"GET"},"resource":{"service.name":"shop"},"later":{"a":[1]}}"#;

    fn read(text: &[u8]) -> (u64, Read) {
        let mut whole = Report::default();
        let mut lines = Lines::new();
        lines.push(text, &mut whole);
        let read = lines.finish(&mut whole);
        // In single bytes it is the same.
        let (mut bytewise, mut lines) = (Report::default(), Lines::new());
        text.iter().for_each(|byte| lines.push(&[*byte], &mut bytewise));
        assert_eq!(lines.finish(&mut bytewise), read);
        let calls = |report: &Report| report.rows().iter().map(|row| row.tally.calls).sum();
        assert_eq!(calls(&bytewise), calls(&whole));
        (calls(&whole), read)
    }

    #[test]
    fn lines_of_any_shipper() {
        let escaped = serde_json::to_string(&format!("{SUMMARY}\n")).unwrap();
        let bytes: Vec<u8> = SUMMARY.bytes().collect();
        for line in [
            SUMMARY.to_owned(),
            format!("  {SUMMARY}\r"),
            format!(r#"{{"log":{escaped},"stream":"stdout","time":"2026-08-24T10:15:30Z"}}"#),
            format!(r#"{{"__CURSOR":"s=1","MESSAGE":{escaped},"PRIORITY":"6"}}"#),
            format!(r#"{{"MESSAGE":{bytes:?}}}"#),
            format!(r#"{{"message":{escaped},"tag":"a"}}"#),
            format!("2026-08-24T10:15:30.1Z stdout F {SUMMARY}"),
            format!("auditor-1  | {SUMMARY}"),
            format!("<13>1 2026-08-24T10:15:30Z node-a auditor 1 - [x {{y}}] {SUMMARY}"),
        ] {
            let expected = (6, Read { records: 2, broken: 0, cut_off: false });
            assert_eq!(read(format!("{line}\n{line}\n").as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_record_is_counted() {
        let long = "x".repeat(CAP + 1);
        let nested = format!("{{\"log\":{}", "[".repeat(10_000));
        for (text, records, broken, cut_off) in [
            (String::new(), 0, 0, false),
            ("\n\r\n \n".into(), 0, 0, false),
            (format!("{SUMMARY}\nnot JSON\n[1]\n{{}}\nnull\n{SUMMARY}\n"), 2, 4, false),
            (format!("{SUMMARY}\n{long}\n{SUMMARY}\n{nested}\n"), 2, 2, false),
            (format!("{SUMMARY}\n{}", &SUMMARY[..40]), 1, 0, true),
            (format!("{SUMMARY}\n{SUMMARY}"), 2, 0, false),
            (SUMMARY.replace("\"calls\":3", "\"calls\":\"3\"") + "\n", 0, 1, false),
            (r#"{"record_type":"profile","edge":1}"#.to_owned() + "\n", 1, 0, false),
        ] {
            let (calls, read) = read(text.as_bytes());
            assert_eq!(read, Read { records, broken, cut_off }, "{text:.200}");
            assert!(calls <= 3 * records);
        }
        let mut bytes = SUMMARY.as_bytes().to_vec();
        bytes.extend(b"\n\xff\xfe{\x00\n");
        assert_eq!(read(&bytes).1, Read { records: 1, broken: 1, cut_off: false });
    }
}
