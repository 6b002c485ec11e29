//! SIGHUP: the configuration is read again, beside the audit, and takes effect between two records.

use std::ffi::OsString;
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::task::{Context, Waker};
use std::thread;

use auditor::pipeline::Pipeline;
use auditor::report::Line;
use auditor::sink::Outputs;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::session;
use crate::cli::{Command, Run};
use crate::config::{self, Loaded, Source, Stop};
use crate::exit::{Failure, stderr};

/// What is fixed when the kernel side is loaded, when heads begin to be read and masked, or when the process starts.
const FIXED: [&str; 15] = [
    "pid",
    "comm",
    "cgroup",
    "duty-cycle",
    "leaf-rest",
    "hooks",
    "buffer",
    "header",
    "formats",
    "spec-level",
    "log-level",
    "duration",
    "metrics-addr",
    "host-root",
    "host-name",
];

/// Watches for SIGHUP.
pub(crate) struct Reload {
    hangup: Signal,
    /// A file that is being read.
    coming: Option<Receiver<Result<Loaded, Failure>>>,
    current: Vec<(String, Vec<String>)>,
    /// How often it was read, and how often it could not be used.
    done: u64,
    refused: u64,
}

impl Reload {
    /// From what is in effect now. Without a file there is nothing to read again, and SIGHUP ends the run as ever. To be
    /// called on the runtime.
    pub(crate) fn new(loaded: &Loaded) -> Result<Option<Self>, Failure> {
        if loaded.file.is_none() {
            return Ok(None);
        }
        let hangup = signal(SignalKind::hangup()).map_err(Failure::io("waiting for SIGHUP"))?;
        Ok(Some(Self { hangup, coming: None, current: loaded.effective.clone(), done: 0, refused: 0 }))
    }

    /// To be called now and then: it waits for nothing.
    pub(crate) fn look(&mut self, pipeline: &mut Pipeline, outputs: &mut Outputs, lines: &mut Vec<Line>) {
        let asked = pin!(self.hangup.recv()).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        // The file may have been read before this signal.
        if asked {
            self.coming = read();
        }
        let came = match self.coming.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(came)) => came,
            Some(Err(TryRecvError::Disconnected)) => Err(Failure::Config("the file could not be read".into())),
        };
        self.coming = None;
        match came.and_then(|loaded| self.apply(&loaded, pipeline, outputs, lines)) {
            Ok(()) => self.done += 1,
            Err(failure) => {
                self.refused += 1;
                say(format!("auditor: {failure}\nauditor: the configuration stays as it was"));
            }
        }
        pipeline.set_stage_counters("config", [("reloads", self.done), ("reloads_refused", self.refused)]);
    }

    fn apply(
        &mut self,
        loaded: &Loaded,
        pipeline: &mut Pipeline,
        outputs: &mut Outputs,
        lines: &mut Vec<Line>,
    ) -> Result<(), Failure> {
        let Command::Run(run) = &loaded.cli.command else { return Ok(()) };
        let header = self.values("header");
        let Run { services, judge, .. } = &**run;
        let settings = session::settings(services, judge, &crate::cli::Headers { header })?;
        // It is opened before anything changes; if it cannot be, nothing does.
        outputs.replace(&run.output.specs)?;
        let differs = |(key, values): &&(String, Vec<String>)| self.values(key) != *values;
        let changed: Vec<_> = loaded.effective.iter().filter(differs).map(|(key, _)| key.as_str()).collect();
        let (fixed, new): (Vec<_>, Vec<_>) = changed.into_iter().partition(|key| FIXED.contains(key));
        let what = if new.is_empty() { "nothing has changed".to_owned() } else { format!("new: {}", new.join(", ")) };
        let later = match fixed.is_empty() {
            true => String::new(),
            false => format!("; after a restart: {}", fixed.join(", ")),
        };
        let file = loaded.file.as_deref().map_or(String::new(), |file| format!(" from {}", file.display()));
        let message = format!("configuration reloaded{file}: {what}{later}");
        say(format!("auditor: {message}"));
        pipeline.reconfigure(settings, message, lines);
        // What needs a restart is told again next time.
        let kept = self.current.iter().filter(|(key, _)| FIXED.contains(&key.as_str())).cloned();
        let taken = loaded.effective.iter().filter(|(key, _)| !FIXED.contains(&key.as_str())).cloned();
        self.current = kept.chain(taken).collect();
        Ok(())
    }

    fn values(&self, key: &str) -> Vec<String> {
        self.current.iter().find(|(known, _)| known == key).map_or_else(Vec::new, |(_, values)| values.clone())
    }
}

/// Reads it on a thread of its own: a disk that hangs stops no capture.
fn read() -> Option<Receiver<Result<Loaded, Failure>>> {
    let (done, came) = channel();
    let read = move || {
        let args: Vec<OsString> = std::env::args_os().collect();
        let loaded = config::load(&args, Source::Regular).map_err(|stop| match stop {
            Stop::Config(failure) => failure,
            Stop::Usage(error) => Failure::Config(error.to_string().trim_end().to_owned()),
        });
        let _ = done.send(loaded);
    };
    thread::Builder::new().name("config".into()).spawn(read).ok().map(|_| came)
}

/// Not here: whoever reads stderr may stand still.
fn say(text: String) {
    let _ = thread::Builder::new().spawn(move || stderr(text));
}
