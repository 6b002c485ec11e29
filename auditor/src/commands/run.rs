//! `auditor run`.

use std::process::ExitCode;

use auditor::sink::Full;

use super::session;
use crate::cli::{LogLevel, Run};
use crate::exit::Failure;

pub(crate) fn run(args: &Run, log_level: LogLevel) -> Result<ExitCode, Failure> {
    let settings = session::settings(&args.services, &args.judge, &args.headers)?;
    let mut outputs = session::outputs(&args.output.specs, Full::Drop)?;
    let kernel = session::attach(&args.capture, log_level)?;
    session::audit(kernel, session::node(&args.capture), args.duration, settings, &mut outputs)?;
    outputs.finish()?;
    Ok(ExitCode::SUCCESS)
}
