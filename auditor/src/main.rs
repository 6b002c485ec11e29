//! The `auditor` command: parses, wires up, runs, and turns the result into an exit code.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod config;
mod exit;
mod metrics;

use std::process::ExitCode;

use auditor::source::privilege;

use crate::cli::Command;
use crate::config::{Source, Stop};

fn main() -> ExitCode {
    // File capabilities may only be permitted, so that the program starts (and says what is missing) without some.
    privilege::raise();
    let args: Vec<_> = std::env::args_os().collect();
    let loaded = match config::load(&args, Source::Any) {
        Ok(loaded) => loaded,
        Err(Stop::Config(failure)) => return failure.report(),
        Err(Stop::Usage(error)) => {
            let wanted = !error.use_stderr();
            // A closed pipe behind `auditor --help | head` is nobody's problem.
            let _ = error.print();
            return if wanted { ExitCode::SUCCESS } else { ExitCode::from(exit::USAGE) };
        }
    };
    let cli = &loaded.cli;
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        .filter_module("auditor", cli.log_level.filter())
        .format_timestamp_millis()
        .init();
    let result = match &cli.command {
        Command::Run(args) => commands::run::run(args, &loaded),
        Command::Check(args) => commands::check::run(args, cli.log_level),
        Command::Record(args) => commands::record::run(args, cli.log_level),
        Command::Replay(args) => commands::replay::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Report(args) => commands::report::run(args),
        Command::Top(args) => commands::top::run(args, cli.log_level),
        Command::Explain(args) => commands::explain::run(args),
        Command::Schema => commands::schema::run(),
        Command::Config(args) => commands::config::run(args, &loaded),
        Command::Completions(args) => commands::completions::run(args),
        Command::Man(args) => commands::man::run(args),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
