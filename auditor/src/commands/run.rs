//! `auditor run`.

use std::process::ExitCode;

use auditor::sink::Full;

use super::print;
use super::reload::Reload;
use super::session::{self, Audit};
use crate::cli::Run;
use crate::config::{self, Loaded};
use crate::exit::Failure;
use crate::metrics;

pub(crate) fn run(args: &Run, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let settings = session::settings(&args.services, &args.judge, &args.headers)?;
    if args.dump_config {
        print(config::dump(loaded).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = session::runtime()?;
    // From the start: before, a SIGHUP would end the process.
    let reload = {
        let _on_it = runtime.enter();
        Reload::new(loaded)?
    };
    // Before anything is attached: an address in use ends it.
    let metrics = args.metrics_addr.map(metrics::bind).transpose()?;
    let kernel = session::attach(&args.capture, loaded.cli.log_level)?;
    // After it: the threads of the outputs have no more privilege than is left then.
    let mut outputs = session::outputs(&args.output.specs, Full::Drop)?;
    let board = metrics.map(|bound| bound.serve(session::capture(&args.capture, &kernel, &settings))).transpose()?;
    let audit = Audit::new(kernel, &args.capture, &args.rest, args.duration, settings, &runtime);
    session::audit(Audit { board: board.as_deref(), reload, ..audit }, &mut outputs)?;
    outputs.finish()?;
    Ok(ExitCode::SUCCESS)
}
