//! `auditor top`: the hop table in the terminal, as calls come. Whoever makes the lines hands them to the screen through
//! a bounded queue, so that a terminal that stands still stops nobody.

mod follow;
mod screen;
mod terminal;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use auditor::report::Line;
use auditor::sink::{Full, Outputs, Written};
use auditor::view::{Lines, Report, text};
use tokio::signal::unix::{SignalKind, signal};

use super::session::{self, Audit, Take};
use super::{print, report};
use crate::cli::{LogLevel, Top};
use crate::exit::Failure;

/// Pieces of input that wait for the screen.
const QUEUE: usize = 1024;
/// How long `--once` audits when nothing else is said.
const ONCE: Duration = Duration::from_secs(5);

/// What the screen is told.
enum Event {
    /// Lines, in any pieces.
    Bytes(Vec<u8>),
    /// No more come; what there is stays.
    End,
    /// The input failed.
    Failed(io::Error),
    /// A signal asks to end.
    Stop,
}

pub(crate) fn run(args: &Top, log_level: LogLevel) -> Result<ExitCode, Failure> {
    match (&args.file, args.once) {
        (Some(file), true) => once_from(file)?,
        (Some(file), false) => follow_file(file)?,
        (None, true) => once(args, log_level)?,
        (None, false) => live(args, log_level)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn needs_terminal() -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::Usage(
        "top draws on a terminal, and stdout is none: `auditor top --once` prints the table once, `auditor report` reads \
         the lines of a run"
            .into(),
    ))
}

fn settings(args: &Top) -> Result<auditor::pipeline::Settings, Failure> {
    let mut settings = session::settings(&args.services, &args.judge, &args.headers)?;
    settings.back.summary_interval = args.interval.max(Duration::from_millis(100));
    Ok(settings)
}

fn live(args: &Top, log_level: LogLevel) -> Result<(), Failure> {
    needs_terminal()?;
    let settings = settings(args)?;
    let kernel = session::attach(&args.capture, log_level)?;
    let (sender, events) = sync_channel(QUEUE);
    let mut feed = Feed { sender, outputs: session::outputs(&[], Full::Drop)? };
    let terminal = terminal::Terminal::enter().map_err(Failure::io("terminal"))?;
    let title = format!("audited with {} hooks", kernel.hooks().as_str());
    let draw = move || {
        let ended = screen::run(terminal, &title, &events);
        // As Ctrl-C would: the capture ends by itself.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
        ended
    };
    let screen = thread::Builder::new().name("screen".into()).spawn(draw).map_err(Failure::io("starting"))?;
    let runtime = session::runtime()?;
    let result =
        session::audit(Audit::new(kernel, &args.capture, &args.rest, args.duration, settings, &runtime), &mut feed);
    drop(feed);
    let ended = screen.join().map_err(|_| Failure::Input("the screen failed".into()))?;
    result?;
    ended.map_err(Failure::io("terminal"))
}

fn follow_file(file: &Path) -> Result<(), Failure> {
    needs_terminal()?;
    let name = file.display().to_string();
    let input = follow::Input::open(file).map_err(Failure::io(&name))?;
    let (sender, events) = sync_channel(QUEUE);
    stop_on_signal(sender.clone())?;
    let reader = move || input.follow(&sender);
    thread::Builder::new().name("reader".into()).spawn(reader).map_err(Failure::io("starting"))?;
    let terminal = terminal::Terminal::enter().map_err(Failure::io("terminal"))?;
    screen::run(terminal, &name, &events).map_err(Failure::io(&name))
}

fn stop_on_signal(sender: SyncSender<Event>) -> Result<(), Failure> {
    let wait = move || {
        let Ok(runtime) = session::runtime() else { return };
        runtime.block_on(async {
            let all = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
            let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = all else { return };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            let _ = sender.send(Event::Stop);
        });
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map_err(Failure::io("starting"))?;
    Ok(())
}

fn once_from(file: &Path) -> Result<(), Failure> {
    let (report, _) = report::read_all(&[PathBuf::from(file)])?;
    print(text::report(&report, report::style()).as_bytes())
}

fn once(args: &Top, log_level: LogLevel) -> Result<(), Failure> {
    let settings = settings(args)?;
    let kernel = session::attach(&args.capture, log_level)?;
    let (report, lines) = (Report::default(), Lines::new());
    let mut collect = Collect { report, lines, outputs: session::outputs(&[], Full::Drop)? };
    let duration = Some(args.duration.unwrap_or(ONCE));
    let runtime = session::runtime()?;
    session::audit(Audit::new(kernel, &args.capture, &args.rest, duration, settings, &runtime), &mut collect)?;
    print(text::report(&collect.report, report::style()).as_bytes())
}

fn bytes(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| (line.to_json() + "\n").into_bytes()).collect()
}

/// Hands lines to the screen.
struct Feed {
    sender: SyncSender<Event>,
    outputs: Outputs,
}

impl Take for Feed {
    fn take(&mut self, lines: &[Line]) -> Written {
        if lines.is_empty() {
            return Written::Yes;
        }
        match self.sender.try_send(Event::Bytes(bytes(lines))) {
            Err(TrySendError::Disconnected(_)) => Written::Closed,
            // The terminal stands still; the capture does not.
            Ok(()) | Err(TrySendError::Full(_)) => Written::Yes,
        }
    }

    fn outputs(&mut self) -> &mut Outputs {
        &mut self.outputs
    }
}

/// Adds lines up.
struct Collect {
    report: Report,
    lines: Lines,
    outputs: Outputs,
}

impl Take for Collect {
    fn take(&mut self, lines: &[Line]) -> Written {
        self.lines.push(&bytes(lines), &mut self.report);
        Written::Yes
    }

    fn outputs(&mut self) -> &mut Outputs {
        &mut self.outputs
    }
}

/// What the screen waits for.
type Events = Receiver<Event>;
