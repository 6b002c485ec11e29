//! The thread of an output: takes lines from its queue and writes them until that works, or never will.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::queue::{Queue, Taken};

/// How often an output that fails is tried while the run ends.
const HURRIED: Duration = Duration::from_millis(100);
/// One output complains of the same at most once in this time.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// Says something on stderr, whatever becomes of it.
pub type Tell = fn(&str);

/// Why a write did not go as it should.
#[derive(Debug)]
pub(super) enum Fault {
    /// The reader has gone away, which is its right.
    Gone,
    /// It will never work again.
    Broken(io::Error),
    /// Worth another try, when asked to no sooner than that.
    Retry(io::Error, Option<Duration>),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Retry(error, None)
    }
}

/// What became of some lines.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How many of them, from the first on, are done with.
    pub(super) done: usize,
    /// How many of those the other side did not want.
    pub(super) rejected: usize,
    /// Something that people should know.
    pub(super) note: Option<String>,
    /// Why the others are not done.
    pub(super) fault: Option<Fault>,
}

/// How many lines are written at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// At most.
    pub(super) lines: usize,
    /// How long the first may wait for others.
    pub(super) linger: Duration,
}

/// What a kind of output does.
pub(super) trait Sink: Send {
    /// Writes lines in their order.
    fn write(&mut self, lines: &[Arc<str>]) -> Progress;

    /// How many at a time.
    fn batch(&self) -> Batch {
        Batch { lines: 512, linger: Duration::ZERO }
    }

    /// Opens it anew before the next write: something moved it away.
    fn reopen(&mut self) {}
}

/// What an output counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkCounters {
    /// Lines that were taken by the other side.
    pub written: u64,
    /// Lines for which there was no room, and those that were given up.
    pub dropped: u64,
    /// Attempts to write after a failure.
    pub retried: u64,
    /// Failed attempts to write.
    pub errors: u64,
    /// Lines that wait.
    pub queue_len: u64,
}

/// What the thread of an output and the others share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) queue: Queue,
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) errors: AtomicU64,
    /// Since when it does not work.
    failing: Mutex<Option<Instant>>,
}

impl Shared {
    pub(super) fn new(name: String, queue: usize) -> Self {
        let [written, dropped, retried, errors] = [0; 4].map(AtomicU64::new);
        Self { name, queue: Queue::new(queue), written, dropped, retried, errors, failing: Mutex::default() }
    }

    pub(super) fn counters(&self) -> SinkCounters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SinkCounters {
            written: of(&self.written),
            dropped: of(&self.dropped),
            retried: of(&self.retried),
            errors: of(&self.errors),
            queue_len: self.queue.len() as u64,
        }
    }

    /// How long it has not worked; `None` while it does.
    pub(super) fn failing_for(&self) -> Option<Duration> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    fn set_failing(&self, failing: bool) -> bool {
        let mut since = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let was = since.is_some();
        *since = if failing { since.or_else(|| Some(Instant::now())) } else { None };
        was
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

/// Writes until the queue is closed and empty.
///
/// # Errors
/// When lines were left.
pub(super) fn run(shared: &Shared, sink: &mut dyn Sink, tell: Tell) -> Result<(), ()> {
    let mut pending = Vec::new();
    let result = write_all(shared, sink, tell, &mut pending);
    let left = pending.len() + shared.queue.end();
    match result {
        Err(()) if left > 0 => {
            add(&shared.dropped, left);
            Err(())
        }
        // Either nothing is left, or nobody wants it.
        _ => Ok(()),
    }
}

fn write_all(shared: &Shared, sink: &mut dyn Sink, tell: Tell, pending: &mut Vec<Arc<str>>) -> Result<(), ()> {
    let batch = sink.batch();
    let mut backoff = Backoff::default();
    let complain = |last: &mut Option<Instant>, text: String| {
        if last.is_none_or(|at| at.elapsed() >= COMPLAINTS) {
            *last = Some(Instant::now());
            tell(&format!("auditor: {}: {text}", shared.name));
        }
    };
    let (mut noted, mut failed) = (None, None);
    loop {
        if pending.is_empty() {
            match shared.queue.take(batch.lines) {
                Taken::Lines(lines) => *pending = lines,
                Taken::Woken => {}
                Taken::Closed => return Ok(()),
            }
            if !pending.is_empty() && !batch.linger.is_zero() {
                shared.queue.fill(pending, batch.lines, batch.linger);
            }
        }
        if shared.queue.reopen_wanted() {
            sink.reopen();
        }
        // Also without lines: what was opened anew is there at once.
        let progress = sink.write(pending);
        let done = progress.done.min(pending.len());
        let rejected = progress.rejected.min(done);
        pending.drain(..done);
        add(&shared.written, done - rejected);
        add(&shared.dropped, rejected);
        if let Some(note) = progress.note {
            add(&shared.errors, 1);
            complain(&mut noted, note);
        }
        match progress.fault {
            None => {
                shared.set_failing(false);
                backoff.reset();
            }
            Some(Fault::Gone) => return Ok(()),
            Some(Fault::Broken(error)) => {
                add(&shared.errors, 1);
                tell(&format!("auditor: {}: {error}", shared.name));
                return Err(());
            }
            Some(Fault::Retry(error, after)) => {
                add(&shared.errors, 1);
                if !shared.set_failing(true) {
                    complain(&mut failed, format!("{error}; trying again"));
                }
                match shared.queue.closed() {
                    None => shared.queue.pause(backoff.next(after)),
                    Some(until) => match until.saturating_duration_since(Instant::now()) {
                        Duration::ZERO => return Err(()),
                        left => std::thread::sleep(after.unwrap_or(HURRIED).min(left)),
                    },
                }
                add(&shared.retried, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails for a while, one line at a time.
    struct Moody {
        failures: usize,
        seen: Vec<String>,
    }

    impl Sink for Moody {
        fn write(&mut self, lines: &[Arc<str>]) -> Progress {
            if self.failures > 0 {
                self.failures -= 1;
                return Progress { fault: Some(io::Error::other("moody").into()), ..Progress::default() };
            }
            self.seen.extend(lines.first().map(|line| line.to_string()));
            Progress {
                done: 1,
                rejected: usize::from(lines.first().is_some_and(|line| &**line == "b")),
                ..Progress::default()
            }
        }
    }

    #[test]
    fn what_failed_is_written_again_and_counted() {
        let shared = Shared::new("moody".into(), 8);
        for line in ["a", "b", "c"] {
            shared.queue.offer(&line.into());
        }
        shared.queue.close(Instant::now() + Duration::from_secs(60));
        let mut sink = Moody { failures: 2, seen: Vec::new() };
        assert_eq!(run(&shared, &mut sink, |_| {}), Ok(()));
        assert_eq!(sink.seen, ["a", "b", "c"]);
        let expected = SinkCounters { written: 2, dropped: 1, retried: 2, errors: 2, queue_len: 0 };
        assert_eq!(shared.counters(), expected);
        assert_eq!(shared.failing_for(), None);
    }

    #[test]
    fn what_cannot_be_written_by_the_end_is_dropped() {
        let shared = Shared::new("moody".into(), 8);
        shared.queue.offer(&"a".into());
        shared.queue.offer(&"b".into());
        shared.queue.close(Instant::now());
        assert_eq!(run(&shared, &mut Moody { failures: usize::MAX, seen: Vec::new() }, |_| {}), Err(()));
        assert_eq!((shared.counters().dropped, shared.queue.has_ended()), (2, true));
    }
}
