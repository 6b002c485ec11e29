//! `auditor record`: writes what the pipeline would take, in order and masked.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use auditor::pipeline::{Front, Settings};
use auditor::source::live;
use auditor::source::recording::Writer;

use super::session::{self, KNOWN_PROCESSES};
use crate::cli::{LogLevel, Record};
use crate::exit::Failure;

pub(crate) fn run(args: &Record, log_level: LogLevel) -> Result<ExitCode, Failure> {
    let path = args.output.display().to_string();
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.output).map_err(Failure::io(&path))?;
    let kernel = match session::attach(&args.capture, log_level) {
        Ok(kernel) => kernel,
        Err(failure) => {
            // Nothing was recorded: leave no empty file behind.
            let _ = std::fs::remove_file(&args.output);
            return Err(failure);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::io("starting"))?;
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 18, file)).map_err(Failure::io(&path))?;
    let settings = Settings::default();
    let mut front = Front::new(settings.stream, settings.exchange);
    let mut events = Vec::new();
    let mut failure = None;
    let (mut records, mut lost) = (0u64, 0u64);
    let mut count = |events: &mut Vec<auditor::exchange::Event>| {
        for event in events.drain(..) {
            if let auditor::exchange::Event::Lost { count, .. } = event {
                lost += count;
            }
        }
    };
    runtime
        .block_on(live::run(kernel, args.duration, KNOWN_PROCESSES, |record| {
            let tick = matches!(record, auditor::record::Record::Tick(_));
            if matches!(record, auditor::record::Record::Clock(_)) {
                eprintln!("auditor: recording to {path}; Ctrl-C ends it");
            }
            front.push(record, &mut events, |record| {
                records += 1;
                if failure.is_none() {
                    failure = writer.write(record).err();
                }
            });
            count(&mut events);
            if tick && failure.is_none() {
                failure = writer.flush().err();
            }
            if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }))
        .map_err(Failure::io("waiting for the kernel"))?;
    front.finish(&mut events, |record| {
        records += 1;
        if failure.is_none() {
            failure = writer.write(record).err();
        }
    });
    count(&mut events);
    if let Some(error) = failure.or_else(|| writer.flush().err()) {
        return Err(Failure::io(path)(error));
    }
    let _ = writeln!(std::io::stderr(), "auditor: {records} records written to {path}, {lost} lost");
    Ok(ExitCode::SUCCESS)
}
