//! `auditor man`: the man pages, made from the command line's own definition.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man as Page;

use crate::cli::{Cli, Man};
use crate::exit::Failure;

pub(crate) fn run(args: &Man) -> Result<ExitCode, Failure> {
    let mut auditor = Cli::command();
    auditor.build();
    if let Some(dir) = &args.dir {
        let failed = |error| Failure::io(dir.display().to_string())(error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        for command in std::iter::once(&auditor).chain(auditor.get_subcommands()) {
            page(command).generate_to(dir).map_err(failed)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let command = match &args.command {
        None => Some(&auditor),
        Some(wanted) => auditor.get_subcommands().find(|command| command.get_name() == wanted),
    };
    let Some(command) = command else {
        let known: Vec<_> = auditor.get_subcommands().map(clap::Command::get_name).collect();
        return Err(Failure::Usage(format!("there is no such command; there are {}", known.join(", "))));
    };
    let mut text = Vec::new();
    page(command).render(&mut text).map_err(Failure::io("the man page"))?;
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Without a date: the same sources make the same page.
fn page(command: &clap::Command) -> Page {
    Page::new(command.clone()).source(concat!("auditor ", env!("CARGO_PKG_VERSION"))).manual("auditor")
}
