//! Where lines go: stdout, files. Each output has a thread of its own behind a bounded queue, so that a reader that
//! stands still stops neither the capture nor the other outputs. A closed pipe ends an output quietly, anything else is
//! an error that is told at once and again by the exit code.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use auditor::report::Line;

use crate::exit::{Failure, stderr};
use crate::metrics::OutputState;

/// Lines that wait for one output.
const QUEUE: usize = 8192;
/// How long the end of a run waits for outputs that do not take what is left.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a full queue is looked at again at the end of a run.
const RETRY: Duration = Duration::from_millis(5);

/// What to do while the queue of an output is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Drop the line and count it: the source does not wait.
    Drop,
    /// Wait: every line counts.
    Wait,
}

/// Whether anybody still takes lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Somebody does, or will once its queue has room.
    Yes,
    /// Every reader has gone away, every output has failed.
    Closed,
}

/// Several destinations for the same lines.
pub(crate) struct Outputs {
    outputs: Vec<Output>,
    full: Full,
    /// At the end of a run there is time: until then full queues are waited for.
    deadline: Option<Instant>,
}

struct Output {
    name: String,
    /// Lines for which its queue had no room.
    dropped: u64,
    /// Its thread still writes.
    alive: Arc<AtomicBool>,
    queue: SyncSender<Arc<str>>,
    /// What became of it, once its thread ends.
    end: Receiver<io::Result<()>>,
}

impl Outputs {
    /// Opens them: `-` is stdout, anything else a file that is appended to.
    pub(crate) fn open(paths: &[PathBuf], full: Full) -> Result<Self, Failure> {
        let mut outputs = Self { outputs: Vec::new(), full, deadline: None };
        for path in paths {
            let name = path.display().to_string();
            let (name, file) = match name.as_str() {
                "-" => ("stdout".to_owned(), stdout()),
                _ => (name, append(path)),
            };
            let file = file.map_err(Failure::io(&name))?;
            outputs.start(name, file)?;
        }
        Ok(outputs)
    }

    /// Stdout alone.
    pub(crate) fn stdout(full: Full) -> Result<Self, Failure> {
        Self::open(&[PathBuf::from("-")], full)
    }

    fn start(&mut self, name: String, file: File) -> Result<(), Failure> {
        let (queue, lines) = sync_channel(QUEUE);
        let (ended, end) = sync_channel(1);
        let alive = Arc::new(AtomicBool::new(true));
        let (lives, whose) = (Arc::clone(&alive), name.clone());
        let writer = move || {
            let result = write_all(file, &lines);
            if let Err(error) = &result {
                stderr(format_args!("auditor: {whose}: {error}"));
            }
            lives.store(false, Ordering::Relaxed);
            // Nobody waits for it when the run had to end without it.
            let _ = ended.send(result);
        };
        thread::Builder::new().name("output".into()).spawn(writer).map_err(Failure::io("starting"))?;
        self.outputs.push(Output { name, dropped: 0, alive, queue, end });
        Ok(())
    }

    /// Queues lines for every output that is left.
    pub(crate) fn write(&mut self, lines: &[Line]) -> Written {
        for line in lines {
            let mut line = line.to_json();
            line.push('\n');
            let line: Arc<str> = line.into();
            let told = self.outputs.iter().any(|output| output.dropped > 0);
            for output in &mut self.outputs {
                let lost = match self.full {
                    Full::Drop => !queued(&output.queue, &line, self.deadline),
                    Full::Wait => {
                        // An output that has ended takes nothing; why is told at the end.
                        let _ = output.queue.send(Arc::clone(&line));
                        false
                    }
                };
                if lost && !told {
                    let name = output.name.clone();
                    // Not here: stderr may go where this output goes.
                    let _ = thread::Builder::new().spawn(move || {
                        stderr(format_args!(
                            "auditor: {name} does not keep up: lines are dropped, and counted in stats as \
                             output.dropped"
                        ));
                    });
                }
                output.dropped += u64::from(lost);
            }
        }
        let lives = self.outputs.iter().any(|output| output.alive.load(Ordering::Relaxed));
        if lives { Written::Yes } else { Written::Closed }
    }

    /// What each says of itself.
    pub(crate) fn states(&self) -> Vec<OutputState> {
        let state = |output: &Output| OutputState {
            name: output.name.clone(),
            dropped: output.dropped,
            up: output.alive.load(Ordering::Relaxed),
        };
        self.outputs.iter().map(state).collect()
    }

    /// The source has ended: from now on full queues are waited for, but not for long.
    pub(crate) fn hurry(&mut self) {
        self.deadline = Some(Instant::now() + PATIENCE);
    }

    /// Waits until everything is written, or nobody takes it.
    ///
    /// # Errors
    /// When an output failed, now or before.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
        let mut failed = Vec::new();
        // Without their senders all threads come to an end at the same time.
        let ends: Vec<_> = self.outputs.into_iter().map(|output| (output.name, output.end)).collect();
        for (name, end) in ends {
            let result = match self.full {
                Full::Wait => end.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Full::Drop => end.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            };
            match result {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => failed.push(name),
                Err(RecvTimeoutError::Timeout) => {
                    stderr(format_args!("auditor: {name} is stalled: its last lines are not written"));
                }
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(Failure::Outputs(failed.join(", "))) }
    }
}

/// Whether the line found room, or an output that has ended and needs none.
fn queued(queue: &SyncSender<Arc<str>>, line: &Arc<str>, deadline: Option<Instant>) -> bool {
    loop {
        match queue.try_send(Arc::clone(line)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => return true,
            Err(TrySendError::Full(_)) if deadline.is_some_and(|deadline| Instant::now() < deadline) => {
                thread::sleep(RETRY);
            }
            Err(TrySendError::Full(_)) => return false,
        }
    }
}

/// Writes lines as they come and hands them to the operating system as soon as none waits. A reader that has gone away
/// is no error.
fn write_all(file: File, lines: &Receiver<Arc<str>>) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    let result = loop {
        let Ok(line) = lines.recv() else { break Ok(()) };
        let written = std::iter::once(line)
            .chain(lines.try_iter())
            .try_for_each(|line| writer.write_all(line.as_bytes()))
            .and_then(|()| writer.flush());
        if written.is_err() {
            break written;
        }
    };
    // What could not be written would be tried again when the buffer is dropped.
    let _ = writer.into_parts();
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Stdout without a buffer or a lock: its thread may be stuck in a write when the process ends.
fn stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Findings name internals of the audited services: for the owner's eyes only.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Prints text on stdout; a closed pipe is fine.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("stdout")(error)),
        _ => Ok(()),
    }
}
