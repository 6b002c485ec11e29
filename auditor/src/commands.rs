//! One module a command.

pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod man;
mod manager;
pub(crate) mod record;
mod reload;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
mod session;
pub(crate) mod top;

#[cfg(test)]
pub(crate) use session::settings;

use std::io::{self, Write};

use crate::exit::Failure;

/// Prints text on stdout; a closed pipe is fine.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("stdout")(error)),
        _ => Ok(()),
    }
}
