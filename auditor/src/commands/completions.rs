//! `auditor completions`: what a shell needs to complete commands and options.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Completions};
use crate::exit::Failure;

pub(crate) fn run(args: &Completions) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "auditor", &mut text);
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
