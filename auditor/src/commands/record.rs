//! `auditor record`: writes what the pipeline would take, in order and masked.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::time::Duration;

use auditor::exchange::Event;
use auditor::pipeline::{Filter, Front, Settings};
use auditor::record::{Close, Record as PipelineRecord};
use auditor::source::recording::Writer;
use auditor::source::{live, node};

use super::session;
use crate::cli::{LogLevel, Record};
use crate::exit::{Failure, stderr};

pub(crate) fn run(args: &Record, log_level: LogLevel) -> Result<ExitCode, Failure> {
    let path = args.output.display().to_string();
    if path == "-" {
        return Err(Failure::Usage("--output: a recording is binary: name a file".to_owned()));
    }
    let filter = session::filter(&args.services)?;
    let selection = args.headers.selection()?;
    let masking = node::run_masking().map_err(Failure::io("making a key"))?;
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
    let runtime = session::runtime()?;
    let mut settings = Settings { masking, ..Settings::default() };
    settings.back.selection = selection;
    let mut front = Front::new(&settings);
    let mut recorder = Recorder {
        writer: Writer::new(BufWriter::with_capacity(1 << 18, file)).map_err(Failure::io(&path))?,
        filter,
        left_out: 0,
        records: 0,
        lost: 0,
        failure: None,
    };
    let mut events = Vec::new();
    runtime
        .block_on(live::run(
            kernel,
            live::Ends { after: args.duration, on_hangup: true },
            session::node(&args.capture, Duration::ZERO),
            |_| {},
            |record| {
                let tick = matches!(record, PipelineRecord::Tick(_));
                if matches!(record, PipelineRecord::Clock(_)) {
                    stderr(format_args!("auditor: recording to {path}; Ctrl-C ends it"));
                }
                front.push(record, &mut events, |record| recorder.take(record));
                recorder.settle(&mut events, tick);
                if recorder.failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        ))
        .map_err(Failure::io("waiting for the kernel"))?;
    front.finish(&mut events, |record| recorder.take(record));
    recorder.settle(&mut events, true);
    if let Some(error) = recorder.failure {
        return Err(Failure::io(path)(error));
    }
    stderr(format_args!("auditor: {} records written to {path}, {} lost", recorder.records, recorder.lost));
    Ok(ExitCode::SUCCESS)
}

struct Recorder {
    writer: Writer<BufWriter<File>>,
    filter: Filter,
    /// Records of processes that are not wanted. The others are renumbered, so that only a loss leaves a hole.
    left_out: u64,
    records: u64,
    lost: u64,
    failure: Option<std::io::Error>,
}

impl Recorder {
    fn take(&mut self, record: &PipelineRecord) {
        if !self.filter.record(record) {
            self.left_out += u64::from(record.seq().is_some());
            return;
        }
        if self.failure.is_some() {
            return;
        }
        self.records += 1;
        self.failure = match record {
            PipelineRecord::Data(data) if self.left_out > 0 => {
                let mut data = data.clone();
                data.seq -= self.left_out;
                self.writer.write(&PipelineRecord::Data(data)).err()
            }
            PipelineRecord::Close(close) if self.left_out > 0 => {
                let close = Close { seq: close.seq - self.left_out, ..*close };
                self.writer.write(&PipelineRecord::Close(close)).err()
            }
            record => self.writer.write(record).err(),
        };
    }

    fn settle(&mut self, events: &mut Vec<Event>, flush: bool) {
        for event in events.drain(..) {
            if let Event::Lost { count, .. } = event {
                self.lost += count;
            }
        }
        if flush && self.failure.is_none() {
            self.failure = self.writer.flush().err();
        }
    }
}
