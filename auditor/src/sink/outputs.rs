//! Several outputs at once: each has a thread of its own behind a bounded queue, so that one that stands still stops
//! neither the capture nor the others.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::file::Appended;
use super::journald::Journald;
use super::otlp::Otlp;
use super::place;
use super::queue::Offered;
use super::spec::Spec;
use super::stdout::Stdout;
use super::syslog::Syslog;
use super::target::Target;
use super::worker::{self, Shared, Sink, SinkCounters, Tell};
use crate::report::Line;
use crate::source::node;

/// How long the end of a run waits for outputs that do not take what is left.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an output that is to end may take to write what waits while the run goes on.
const DRAIN: Duration = Duration::from_secs(10);
/// How long one that waits for room, waits for an output that fails.
const TOLERANCE: Duration = Duration::from_secs(10);
/// How often a full queue is looked at again.
const RETRY: Duration = Duration::from_millis(100);

/// What to do while the queue of an output is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Drop the line and count it: the source does not wait.
    Drop,
    /// Wait, for all but an output that fails: every line counts.
    Wait,
}

/// Whether anybody still takes lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Somebody does, or will once its queue has room.
    Yes,
    /// Every reader has gone away, every output has failed for good.
    Closed,
}

/// Outputs that cannot be so.
#[derive(Debug, thiserror::Error)]
pub enum OutputsError {
    /// Two would write into the same place.
    #[error("output {0} is there twice")]
    Twice(String),
    /// One would write into what is read.
    #[error("output {0} is the file that is read")]
    Read(String),
    /// One cannot be opened.
    #[error("{name}: {error}")]
    Open {
        /// Which.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// Not everything was written.
    #[error("not everything could be written to {0}")]
    Unwritten(String),
}

/// Several outputs for the same lines.
#[derive(Debug)]
pub struct Outputs {
    outputs: Vec<Output>,
    /// Those that were replaced and still write.
    draining: Vec<Output>,
    full: Full,
    tell: Tell,
    /// At the end of a run there is time: until then full queues are waited for.
    deadline: Option<Instant>,
    monitor: Monitor,
    told: bool,
    /// Names of those that were replaced and did not write everything.
    failed: Vec<String>,
}

#[derive(Debug)]
struct Output {
    spec: Spec,
    shared: Arc<Shared>,
    thread: thread::JoinHandle<Result<(), ()>>,
}

/// A view of the outputs for other threads.
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    outputs: Vec<Arc<Shared>>,
    /// What outputs counted that are not there any more.
    before: SinkCounters,
}

impl Monitor {
    /// What each output counts, by name.
    pub fn counters(&self) -> Vec<(String, SinkCounters)> {
        self.watched(|watched| watched.outputs.iter().map(|one| (one.name.clone(), one.counters())).collect())
    }

    /// Names of those that take nothing now: they fail, or have ended.
    pub fn down(&self) -> Vec<String> {
        let is_down = |one: &&Arc<Shared>| one.failing_for().is_some() || one.queue.has_ended();
        self.watched(|watched| watched.outputs.iter().filter(is_down).map(|one| one.name.clone()).collect())
    }

    /// What all outputs counted together since the start.
    pub fn total(&self) -> SinkCounters {
        self.watched(|watched| watched.outputs.iter().fold(watched.before, |sum, one| sum.plus(one.counters())))
    }

    /// Files are opened anew, connections made anew: something was moved away.
    pub fn reopen(&self) {
        self.watched(|watched| watched.outputs.iter().for_each(|output| output.queue.reopen()));
    }

    fn watched<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SinkCounters {
    /// Of two outputs together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            written: self.written + other.written,
            dropped: self.dropped + other.dropped,
            retried: self.retried + other.retried,
            errors: self.errors + other.errors,
            queue_len: self.queue_len + other.queue_len,
        }
    }
}

impl Outputs {
    /// Opens them.
    ///
    /// # Errors
    /// When a file cannot be opened, or two outputs go to the same place. A receiver that is not there is none: it may
    /// come.
    pub fn open(specs: &[Spec], full: Full, tell: Tell) -> Result<Self, OutputsError> {
        let mut outputs = Self {
            outputs: Vec::new(),
            draining: Vec::new(),
            full,
            tell,
            deadline: None,
            monitor: Monitor::default(),
            told: false,
            failed: Vec::new(),
        };
        outputs.replace(specs)?;
        Ok(outputs)
    }

    /// From now on these: what is the same goes on, what is new is opened, what is gone writes what it has.
    ///
    /// # Errors
    /// As [`Outputs::open`]; then all stays as it was.
    pub fn replace(&mut self, specs: &[Spec]) -> Result<(), OutputsError> {
        place::distinct(specs)?;
        let alive = |output: &Output| !output.shared.queue.has_ended();
        let new = specs.iter().filter(|spec| !self.outputs.iter().any(|output| output.spec == **spec && alive(output)));
        let new = new.map(|spec| Ok((spec.clone(), open(spec)?))).collect::<Result<Vec<_>, OutputsError>>()?;
        let (stay, go) = std::mem::take(&mut self.outputs)
            .into_iter()
            .partition::<Vec<_>, _>(|output| specs.contains(&output.spec) && alive(output));
        self.outputs = stay;
        for output in go {
            output.shared.queue.close(Instant::now() + DRAIN);
            self.draining.push(output);
        }
        for (spec, sink) in new {
            let before = self.draining.iter().rev().find(|output| output.spec.to == spec.to);
            let before = before.map(|output| Arc::clone(&output.shared));
            let name = spec.to.name();
            let output =
                Output::start(spec, sink, before, self.tell).map_err(|error| OutputsError::Open { name, error })?;
            self.outputs.push(output);
        }
        self.forget_drained();
        Ok(())
    }

    /// Queues lines for every output that is left.
    pub fn write(&mut self, lines: &[Line]) -> Written {
        for line in lines {
            let line: Arc<str> = line.to_json().into();
            for output in &self.outputs {
                if offer(&output.shared, &line, self.full, self.deadline) {
                    continue;
                }
                output.shared.dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if !std::mem::replace(&mut self.told, true) {
                    let (tell, name) = (self.tell, output.shared.name.clone());
                    // Not here: stderr may go where this output goes.
                    let _ = thread::Builder::new().spawn(move || {
                        tell(&format!(
                            "auditor: {name} does not keep up: lines are dropped, and counted in stats as output.dropped"
                        ));
                    });
                }
            }
        }
        if !self.draining.is_empty() {
            self.forget_drained();
        }
        let ended = self.outputs.iter().all(|output| output.shared.queue.has_ended());
        if ended && !self.outputs.is_empty() { Written::Closed } else { Written::Yes }
    }

    /// What each output counts, by name.
    pub fn counters(&self) -> Vec<(String, SinkCounters)> {
        self.monitor.counters()
    }

    /// The same for other threads.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// The source has ended: from now on full queues are waited for, but not for long.
    pub fn hurry(&mut self) {
        self.deadline = Some(Instant::now() + PATIENCE);
    }

    /// Waits until everything is written, or nobody takes it.
    ///
    /// # Errors
    /// When an output failed and lines were left.
    pub fn finish(mut self) -> Result<(), OutputsError> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
        let all: Vec<_> = self.draining.drain(..).chain(self.outputs.drain(..)).collect();
        for output in &all {
            // One that only waits for the last moment gives up in time to be told of.
            output.shared.queue.close(deadline.checked_sub(RETRY * 2).unwrap_or(deadline));
        }
        let mut failed = self.failed;
        for output in all {
            let shared = &output.shared;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let stuck = match self.full {
                    Full::Drop => left.is_zero(),
                    // A reader that only is slow, such as a person with a pager, is waited for.
                    Full::Wait => left.is_zero() && shared.failing_for().is_some(),
                };
                if shared.queue.wait_for_end(left.max(RETRY)) || stuck {
                    break;
                }
            }
            if shared.queue.has_ended() {
                if output.thread.join().is_ok_and(|result| result.is_ok()) {
                    continue;
                }
                failed.push(shared.name.clone());
            } else if shared.failing_for().is_some() {
                failed.push(shared.name.clone());
            } else {
                (self.tell)(&format!("auditor: {} is stalled: its last lines are not written", shared.name));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(OutputsError::Unwritten(failed.join(", "))) }
    }

    fn forget_drained(&mut self) {
        let drained = std::mem::take(&mut self.draining);
        let (ended, draining) = drained.into_iter().partition::<Vec<_>, _>(|output| output.shared.queue.has_ended());
        self.draining = draining;
        let shared = |outputs: &[Output]| outputs.iter().map(|one| Arc::clone(&one.shared)).collect::<Vec<_>>();
        let now: Vec<_> = shared(&self.outputs).into_iter().chain(shared(&self.draining)).collect();
        let gone = ended.iter().fold(SinkCounters::default(), |sum, one| sum.plus(one.shared.counters()));
        self.monitor.watched(|watched| {
            watched.before = watched.before.plus(gone);
            watched.outputs = now;
        });
        for output in ended {
            let name = output.shared.name.clone();
            if !output.thread.join().is_ok_and(|result| result.is_ok()) && !self.failed.contains(&name) {
                self.failed.push(name);
            }
        }
    }
}

impl Output {
    /// Starts its thread; it waits for the one that wrote to the same place `before`.
    fn start(spec: Spec, mut sink: Box<dyn Sink>, before: Option<Arc<Shared>>, tell: Tell) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(spec.to.name(), spec.queue));
        let ours = Arc::clone(&shared);
        let work = move || {
            if let Some(before) = before {
                before.queue.wait_for_end(DRAIN);
                // It may have rotated the file.
                sink.reopen();
            }
            worker::run(&ours, &mut *sink, tell)
        };
        let thread = thread::Builder::new().name("output".into()).spawn(work)?;
        Ok(Self { spec, shared, thread })
    }
}

fn open(spec: &Spec) -> Result<Box<dyn Sink>, OutputsError> {
    let failed = |error| OutputsError::Open { name: spec.to.name(), error };
    Ok(match &spec.to {
        Target::Stdout => Box::new(Stdout::open(spec.format).map_err(failed)?),
        Target::File(path) => Box::new(Appended::open(path, spec).map_err(failed)?),
        Target::SyslogUnix(_) | Target::SyslogUdp(..) | Target::SyslogTcp(..) => {
            Box::new(Syslog::new(spec, &node::host_name()))
        }
        Target::Journald(path) => Box::new(Journald::new(path, spec)),
        Target::Otlp(url) => Box::new(Otlp::new(url)),
    })
}

/// Whether the line found room, or an output that has ended and needs none.
fn offer(shared: &Shared, line: &Arc<str>, full: Full, deadline: Option<Instant>) -> bool {
    loop {
        match shared.queue.offer(line) {
            Offered::Taken | Offered::Ended => return true,
            Offered::Full => {}
        }
        let wait = match full {
            Full::Drop => deadline.is_some_and(|deadline| Instant::now() < deadline),
            Full::Wait => shared.failing_for().is_none_or(|time| time < TOLERANCE),
        };
        if !wait {
            return false;
        }
        shared.queue.wait_for_room(RETRY);
    }
}

#[cfg(test)]
mod tests;
