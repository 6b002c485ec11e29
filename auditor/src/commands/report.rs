//! `auditor report`: the lines of one or more runs, for people.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use auditor::view::text::Style;
use auditor::view::{Lines, Read, Report, html, json, text};
use tokio::signal::unix::{SignalKind, signal};

use super::{print, session};
use crate::cli::{self, ReportFormat};
use crate::exit::{Failure, stderr};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

pub(crate) fn run(args: &cli::Report) -> Result<ExitCode, Failure> {
    let stdin = [PathBuf::from("-")];
    let files = if args.file.is_empty() { &stdin[..] } else { &args.file };
    let (report, read) = read_all(files)?;
    let text = match args.format {
        ReportFormat::Text => text::report(&report, style()),
        ReportFormat::Html => html::page(&report, read),
        ReportFormat::Json => json::report(&report, read).map_err(|error| Failure::io("stdout")(error.into()))?,
    };
    print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// As stdout can show it.
pub(super) fn style() -> Style {
    let terminal = io::stdout().is_terminal();
    // https://no-color.org
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
    let size = terminal_size::terminal_size_of(io::stdout()).filter(|_| terminal);
    Style { width: size.map(|(width, _)| usize::from(width.0)), colour: terminal && !plain }
}

/// Adds all files up, and says on stderr what could not be read in them.
///
/// # Errors
/// When a file cannot be read, or none holds a record.
pub(super) fn read_all(files: &[PathBuf]) -> Result<(Report, Read), Failure> {
    let (mut report, mut sum) = (Report::default(), Read::default());
    for path in files {
        let name = name(path);
        let read = read_into(path, &mut report).map_err(Failure::io(&name))?;
        if read.broken > 0 {
            let (lines, are) = if read.broken == 1 { ("line", "is") } else { ("lines", "are") };
            stderr(format_args!("auditor: {name}: {} {lines} {are} no record of the auditor", read.broken));
        }
        if read.cut_off {
            stderr(format_args!("auditor: {name}: the last line is cut off"));
        }
        sum.records += read.records;
        sum.broken += read.broken;
        sum.cut_off |= read.cut_off;
    }
    if report.left_out > 0 {
        stderr(format_args!("auditor: {} records are left out: too many different hops or findings", report.left_out));
    }
    if sum.records == 0 {
        let names: Vec<_> = files.iter().map(|path| name(path)).collect();
        let names = names.join(", ");
        return Err(Failure::Input(format!("{names}: no record of the auditor; `auditor run` and `check` write them")));
    }
    Ok((report, sum))
}

fn name(path: &Path) -> String {
    if is_stdin(path) { "stdin".into() } else { path.display().to_string() }
}

/// `-`
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == OsStr::new("-")
}

fn read_into(path: &Path, report: &mut Report) -> io::Result<Read> {
    let mut input: Box<dyn io::Read> = if is_stdin(path) {
        if io::stdin().is_terminal() {
            stderr("auditor: reading lines from the terminal; end with Ctrl-D");
        } else {
            outlive_the_writer();
        }
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let mut lines = Lines::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(lines.finish(report)),
            Ok(count) => lines.push(chunk.get(..count).unwrap_or_default(), report),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ctrl-C in `auditor run | auditor report` ends the first, whose last lines are the report. A second one ends both.
fn outlive_the_writer() {
    let wait = || {
        let Ok(runtime) = session::runtime() else { return };
        runtime.block_on(async {
            let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return };
            interrupt.recv().await;
            interrupt.recv().await;
            std::process::exit(130);
        });
    };
    // Without it, Ctrl-C ends both at once.
    let _ = thread::Builder::new().name("signals".into()).spawn(wait);
}
