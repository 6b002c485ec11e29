//! A file that is read as it grows, through rotation and truncation; or a pipe, to its end.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use super::Event;
use crate::commands::report::is_stdin;

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// How often a file is looked at that has not grown.
const LOOK: Duration = Duration::from_millis(200);

/// What is followed.
pub(super) enum Input {
    Stdin,
    File { path: PathBuf, file: File },
}

impl Input {
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if is_stdin(path) {
            return Ok(Self::Stdin);
        }
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self::File { path: path.to_owned(), file })
    }

    /// Sends what is there and what comes, until nobody takes it or nothing can come.
    pub(super) fn follow(mut self, events: &SyncSender<Event>) {
        let mut chunk = vec![0; CHUNK];
        loop {
            let event = match self.read(&mut chunk) {
                Ok(0) => match &mut self {
                    Self::Stdin => Event::End,
                    Self::File { path, file } => {
                        thread::sleep(LOOK);
                        if reopen(path, file) {
                            // A line that the old file did not end is not continued by the new one.
                            Event::Bytes(b"\n".to_vec())
                        } else {
                            continue;
                        }
                    }
                },
                Ok(count) => Event::Bytes(chunk.get(..count).unwrap_or_default().to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Event::Failed(error),
            };
            let last = matches!(event, Event::End | Event::Failed(_));
            if events.send(event).is_err() || last {
                return;
            }
        }
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stdin => io::stdin().read(chunk),
            Self::File { file, .. } => file.read(chunk),
        }
    }
}

/// Whether another file has taken its place, or it was emptied; then it is read from its beginning.
fn reopen(path: &Path, file: &mut File) -> bool {
    let Ok(now) = file.metadata() else { return false };
    if let Ok(there) = std::fs::metadata(path)
        && (there.dev(), there.ino()) != (now.dev(), now.ino())
        && let Ok(new) = File::open(path)
    {
        *file = new;
        return true;
    }
    now.is_file() && file.stream_position().is_ok_and(|at| now.len() < at) && file.rewind().is_ok()
}
