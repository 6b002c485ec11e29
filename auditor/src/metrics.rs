//! Metrics and health over HTTP: `--metrics-addr`.
//!
//! What runs the pipeline pins up its numbers once a second ([`board`]). A thread with a runtime of its own answers who
//! asks ([`serve`]), so that a scraper that stands still does not hold up the capture.

mod address;
mod board;
mod families;
mod health;
mod negotiate;
mod own;
mod render;
mod serve;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

pub(crate) use address::address;
pub(crate) use board::{Board, Capture, OutputState, Snapshot};

use crate::exit::{Failure, stderr};

/// Begins to answer at this address.
///
/// # Errors
/// When it is in use, or not one of this machine.
pub(crate) fn start(address: SocketAddr) -> Result<Arc<Board>, Failure> {
    let failure = || Failure::io(format!("--metrics-addr {address}"));
    let listener = TcpListener::bind(address).map_err(failure())?;
    let bound = listener.local_addr().map_err(failure())?;
    let board = Arc::new(Board::new());
    serve::spawn(listener, Arc::clone(&board)).map_err(failure())?;
    stderr(format_args!("auditor: metrics at http://{bound}/metrics"));
    Ok(board)
}
