//! `auditor run`.

use std::process::ExitCode;

use auditor::sink::Full;

use super::session;
use crate::cli::{LogLevel, Run};
use crate::exit::Failure;
use crate::metrics;

pub(crate) fn run(args: &Run, log_level: LogLevel) -> Result<ExitCode, Failure> {
    let settings = session::settings(&args.services, &args.judge, &args.headers)?;
    let mut outputs = session::outputs(&args.output.specs, Full::Drop)?;
    // Before anything is attached: an address in use ends it.
    let metrics = args.metrics_addr.map(metrics::bind).transpose()?;
    let kernel = session::attach(&args.capture, log_level)?;
    let board = metrics.map(|bound| bound.serve(session::capture(&args.capture, &kernel, &settings))).transpose()?;
    session::audit(kernel, session::node(&args.capture), args.duration, settings, &mut outputs, board.as_deref())?;
    outputs.finish()?;
    Ok(ExitCode::SUCCESS)
}
