//! `auditor replay`: the same pipeline over a recording.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::process::ExitCode;

use auditor::pipeline::Pipeline;
use auditor::sink::{self, Full, Written};
use auditor::source::recording::Reader;

use super::session;
use crate::cli::Replay;
use crate::exit::Failure;

pub(crate) fn run(args: &Replay) -> Result<ExitCode, Failure> {
    let path = args.file.display().to_string();
    let input: Box<dyn Read> = if path == "-" {
        sink::not_read(&args.output.specs, io::stdin())?;
        Box::new(io::stdin())
    } else {
        let file = File::open(&args.file).map_err(Failure::io(&path))?;
        sink::not_read(&args.output.specs, &file)?;
        Box::new(file)
    };
    let damaged = |error| Failure::Recording { path: path.clone(), error };
    let mut reader = Reader::new(BufReader::new(input)).map_err(damaged)?;
    let settings = session::settings(&args.services, &args.judge, &args.headers)?;
    let mut pipeline = Pipeline::new(settings.for_recording());
    let mut outputs = session::outputs(&args.output.specs, Full::Wait)?;
    let mut lines = Vec::new();
    // A recording that is cut off is replayed as far as it goes; the error comes after the lines.
    let mut failure = None;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => pipeline.push(record, &mut lines),
            Ok(None) => break,
            Err(error) => {
                failure = Some(damaged(error));
                break;
            }
        }
        if session::flush(&mut lines, &mut outputs) == Written::Closed {
            outputs.finish()?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    pipeline.finish(&mut lines);
    session::flush(&mut lines, &mut outputs);
    outputs.finish()?;
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}
