//! Writing lines to a descriptor so that it is known which of them arrived.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::format::render;
use super::spec::Format;

/// Lines as bytes, each with its line feed.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    /// Where each of them ends.
    pub(super) ends: Vec<usize>,
}

impl Bytes {
    /// In this format, of the first lines as many as `fits` says may still come: it gets the length so far and that of
    /// the next line.
    pub(super) fn of(lines: &[Arc<str>], format: Format, mut fits: impl FnMut(usize, usize) -> bool) -> Self {
        let mut all = Self::default();
        for line in lines {
            let text = render(format, line);
            if !fits(all.bytes.len(), text.len() + 1) {
                break;
            }
            all.bytes.extend_from_slice(text.as_bytes());
            all.bytes.push(b'\n');
            all.ends.push(all.bytes.len());
        }
        all
    }

    /// How many lines are within the first so many bytes, and where the last of them ends.
    pub(super) fn whole(&self, written: usize) -> (usize, usize) {
        let count = self.ends.partition_point(|end| *end <= written);
        let end = count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        (count, end)
    }
}

/// Writes as much as it can; says how much that was.
pub(super) fn write(file: &mut File, mut bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                written += count;
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Whether there may be room again later.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WouldBlock)
}
