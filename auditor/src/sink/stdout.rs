//! Lines on stdout.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::bytes::{self, Bytes};
use super::spec::Format;
use super::worker::{Fault, Progress, Sink};

/// Stdout without a buffer or a lock: its thread may be stuck in a write when the process ends.
#[derive(Debug)]
pub(super) struct Stdout {
    file: File,
    format: Format,
    /// How much of the next line is written already: stdout cannot take it back.
    begun: usize,
}

impl Stdout {
    pub(super) fn open(format: Format) -> io::Result<Self> {
        let file = io::stdout().as_fd().try_clone_to_owned().map(File::from)?;
        Ok(Self { file, format, begun: 0 })
    }
}

impl Sink for Stdout {
    fn write(&mut self, lines: &[Arc<str>]) -> Progress {
        let all = Bytes::of(lines, self.format, |_, _| true);
        let (written, result) = bytes::write(&mut self.file, all.bytes.get(self.begun..).unwrap_or_default());
        let written = self.begun + written;
        let (done, end) = all.whole(written);
        self.begun = written - end;
        let fault = result.err().map(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Fault::Gone,
            _ if bytes::is_full(&error) => Fault::Retry(error, None),
            _ => Fault::Broken(error),
        });
        Progress { done, fault, ..Progress::default() }
    }
}
