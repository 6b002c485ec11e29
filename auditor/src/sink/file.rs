//! Lines in a file: opened anew when somebody rotated it, rotated by itself when asked to, and none of them torn.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::bytes::{self, Bytes};
use super::format::render;
use super::spec::{Format, Spec};
use super::worker::{Fault, Progress, Sink};

/// How often somebody looks whether the file is still there.
const LOOK: Duration = Duration::from_secs(1);

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct Appended {
    path: PathBuf,
    format: Format,
    rotate_size: Option<u64>,
    rotate_age: Option<Duration>,
    keep: u32,
    open: Option<Open>,
    looked: Instant,
    /// Until then a rotation that failed is not tried again.
    rotate_after: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Only regular files can be cut and rotated.
    regular: bool,
    size: u64,
    begun: SystemTime,
    /// It ends in the middle of a line.
    torn: bool,
}

impl Appended {
    /// Opens it, or makes it. A named pipe that nobody reads is opened when somebody does.
    pub(super) fn open(path: &Path, spec: &Spec) -> io::Result<Self> {
        let open = match Open::at(path) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            opened => Some(opened?),
        };
        let Spec { format, rotate_size, rotate_age, keep, .. } = *spec;
        let (path, looked) = (path.to_owned(), Instant::now());
        Ok(Self { path, format, rotate_size, rotate_age, keep, open, looked, rotate_after: None })
    }

    /// Somebody may have removed it: what is written would be seen by nobody, and hold the disk.
    fn look(&mut self) {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let removed =
                |open: &Open| open.regular && open.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
            if self.open.as_ref().is_some_and(removed) {
                self.open = None;
            }
        }
    }

    fn length(&self, line: &str) -> usize {
        if self.rotate_size.is_some() { render(self.format, line).len() + 1 } else { 1 }
    }

    /// Begins a new file if it is time to; says why not if it cannot.
    fn rotate_if_due(&mut self, next: usize) -> Option<String> {
        let open = self.open.as_ref().filter(|open| open.regular && open.size > 0)?;
        let too_long = self.rotate_size.is_some_and(|limit| open.size + next as u64 > limit);
        let too_old = self.rotate_age.is_some_and(|limit| open.begun.elapsed().is_ok_and(|age| age >= limit));
        if !(too_long || too_old) || self.rotate_after.is_some_and(|after| Instant::now() < after) {
            return None;
        }
        match rotate(&self.path, self.keep) {
            Ok(()) => {
                self.open = None;
                None
            }
            Err(error) => {
                self.rotate_after = Some(Instant::now() + Duration::from_secs(60));
                Some(format!("cannot be rotated: {error}"))
            }
        }
    }
}

impl Open {
    /// Findings name internals of the audited services: for the owner's eyes only.
    ///
    /// It waits for nobody: a named pipe without a reader is not connected.
    fn at(path: &Path) -> io::Result<Self> {
        let waits_not = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(waits_not).open(path);
        let file = file.map_err(|error| match fs::metadata(path) {
            // Of what is no pipe it says that there is nothing behind it.
            Ok(there) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && there.file_type().is_fifo() => {
                io::Error::new(io::ErrorKind::NotConnected, "nobody reads this pipe")
            }
            _ => error,
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            // A pipe takes half a line and never gives it back: its thread waits for the rest.
            fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        }
        let begun = metadata.created().unwrap_or_else(|_| SystemTime::now());
        let torn = metadata.is_file() && ends_torn(path);
        Ok(Self { file, regular: metadata.is_file(), size: metadata.len(), begun, torn })
    }
}

/// Whether there is a last line without its end: whoever wrote it was killed.
fn ends_torn(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [b'\n'];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    last().is_ok_and(|byte| byte != b'\n')
}

/// `path` becomes `path.1`, that `path.2`, and so on; what is beyond `keep` is overwritten.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match fs::rename(path, numbered(1)) {
        // Somebody was faster.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Sink for Appended {
    fn write(&mut self, lines: &[Arc<str>]) -> Progress {
        self.look();
        let mut progress = Progress::default();
        loop {
            let rest = lines.get(progress.done..).unwrap_or_default();
            let next = rest.first().map_or(0, |line| self.length(line));
            if let Some(note) = self.rotate_if_due(next).filter(|_| next > 0) {
                progress.note = Some(note);
            }
            let open = match &mut self.open {
                Some(open) => open,
                closed => match Open::at(&self.path) {
                    Ok(open) => closed.insert(open),
                    Err(error) => return Progress { fault: Some(Fault::Retry(error, None)), ..progress },
                },
            };
            if rest.is_empty() {
                return progress;
            }
            let limit = self.rotate_size.filter(|_| open.regular && self.rotate_after.is_none());
            let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(open.size));
            let mut all = Bytes::of(rest, self.format, |length, next| {
                // One line fits in any file.
                length == 0 || (length + next) as u64 <= room
            });
            if std::mem::take(&mut open.torn) {
                all.bytes.insert(0, b'\n');
                all.ends.iter_mut().for_each(|end| *end += 1);
            }
            let (written, result) = bytes::write(&mut open.file, &all.bytes);
            let (done, end) = all.whole(written);
            progress.done += done;
            open.size += written as u64;
            let Err(error) = result else { continue };
            if written > end {
                // Half a line: away with it, or the next one begins on a line of its own.
                let whole = open.size - (written - end) as u64;
                open.torn = true;
                if open.regular && open.file.set_len(whole).is_ok() {
                    open.size = whole;
                    open.torn = ends_torn(&self.path);
                }
            }
            if !bytes::is_full(&error) {
                // Another file system may be there by now.
                self.open = None;
            }
            return Progress { fault: Some(Fault::Retry(error, None)), ..progress };
        }
    }

    fn reopen(&mut self) {
        self.open = None;
        self.rotate_after = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Target;

    /// A directory of the test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("auditor-file-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap_or_default()
        }

        fn open(&self, options: &str) -> Appended {
            let spec: Spec = format!("{}{options}", self.0.join("log").display()).parse().unwrap();
            let Target::File(path) = &spec.to else { panic!("{spec}") };
            Appended::open(path, &spec).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn lines(texts: &[&str]) -> Vec<Arc<str>> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    #[test]
    fn a_file_for_the_owner_that_is_opened_anew() {
        let dir = Dir::new("anew");
        let mut file = dir.open("");
        assert_eq!(fs::metadata(dir.0.join("log")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(file.write(&lines(&["a", "b"])).done, 2);
        fs::rename(dir.0.join("log"), dir.0.join("log.old")).unwrap();
        assert_eq!(file.write(&lines(&["c"])).done, 1);
        file.reopen();
        assert_eq!(file.write(&[]).done, 0);
        assert!(dir.0.join("log").exists(), "at once, not with the next line");
        assert_eq!(file.write(&lines(&["d"])).done, 1);
        assert_eq!((dir.read("log.old").as_str(), dir.read("log").as_str()), ("a\nb\nc\n", "d\n"));
    }

    #[test]
    fn a_line_that_somebody_left_unfinished_ends() {
        let dir = Dir::new("torn");
        fs::write(dir.0.join("log"), "{\"half").unwrap();
        assert_eq!(dir.open("").write(&lines(&["a"])).done, 1);
        assert_eq!(dir.open("").write(&lines(&["b"])).done, 1);
        assert_eq!(dir.read("log"), "{\"half\na\nb\n");
    }

    #[test]
    fn rotation_by_size_loses_nothing_and_keeps_so_many() {
        let dir = Dir::new("size");
        let mut file = dir.open("?rotate=8KiB&keep=3");
        let long = "x".repeat(1000);
        let texts: Vec<String> = (0..100).map(|number| format!("{number:03} {long}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(file.write(&lines(&texts)).done, 100);
        let kept: String = ["log.3", "log.2", "log.1", "log"].iter().map(|name| dir.read(name)).collect();
        let numbers: Vec<u32> = kept.lines().map(|line| line[..3].parse().unwrap()).collect();
        assert_eq!(numbers, (72..100).collect::<Vec<_>>(), "eight a file, four in the last");
        assert!(!dir.0.join("log.4").exists());
        assert!(["log.3", "log.1"].iter().all(|name| dir.read(name).len() <= 8192));
    }

    #[test]
    fn rotation_by_age() {
        let dir = Dir::new("age");
        let mut file = dir.open("?rotate-age=1s");
        assert_eq!(file.write(&lines(&["a"])).done, 1);
        file.open.as_mut().unwrap().begun -= Duration::from_secs(2);
        assert_eq!(file.write(&lines(&["b"])).done, 1);
        assert_eq!((dir.read("log.1").as_str(), dir.read("log").as_str()), ("a\n", "b\n"));
    }

    #[test]
    fn a_rotation_that_fails_is_told_and_stops_nothing() {
        let dir = Dir::new("stuck");
        let mut file = dir.open("?rotate=8KiB&keep=1");
        fs::create_dir_all(dir.0.join("log.1/full")).unwrap();
        let long = "x".repeat(5000);
        let progress = file.write(&lines(&[&long, &long, &long]));
        assert_eq!(progress.done, 3);
        assert!(progress.note.is_some_and(|note| note.contains("cannot be rotated")));
        assert_eq!(dir.read("log").lines().count(), 3);
    }

    #[test]
    fn a_file_that_was_removed_is_made_again() {
        let dir = Dir::new("removed");
        let mut file = dir.open("");
        assert_eq!(file.write(&lines(&["a"])).done, 1);
        fs::remove_file(dir.0.join("log")).unwrap();
        file.looked -= LOOK;
        assert_eq!(file.write(&lines(&["b"])).done, 1);
        assert_eq!(dir.read("log"), "b\n");
    }

    #[test]
    fn a_full_device_is_tried_again() {
        let spec = Spec::new(Target::File("/dev/full".into()));
        let mut file = Appended::open(Path::new("/dev/full"), &spec).unwrap();
        let progress = file.write(&lines(&["a"]));
        assert!(
            matches!(progress.fault, Some(Fault::Retry(error, None)) if error.kind() == io::ErrorKind::StorageFull)
        );
        assert_eq!(progress.done, 0);
    }
}
