//! `auditor config`: configuration files.

use std::path::Path;
use std::process::ExitCode;

use super::print;
use crate::cli::Config;
use crate::config::{self, Loaded};
use crate::exit::{Failure, stderr};

pub(crate) fn run(args: &Config, loaded: &Loaded) -> Result<ExitCode, Failure> {
    match args {
        Config::Check { file } => check(file.as_deref()),
        Config::Dump(_) => print(config::dump(loaded).as_bytes()).map(|()| ExitCode::SUCCESS),
        Config::Example => print(config::example().as_bytes()).map(|()| ExitCode::SUCCESS),
    }
}

fn check(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let named = std::env::var_os("AUDITOR_CONFIG").map(Into::into);
    let file = file.map(Path::to_owned).or(named).unwrap_or_else(|| config::DEFAULT_FILE.into());
    config::check(&file)?;
    stderr(format_args!("auditor: {}: OK", file.display()));
    Ok(ExitCode::SUCCESS)
}
