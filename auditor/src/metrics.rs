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

/// An address that is ours. Who asks already waits.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes an address.
///
/// # Errors
/// When it is in use, or not one of this machine.
pub(crate) fn bind(address: SocketAddr) -> Result<Bound, Failure> {
    let bound = TcpListener::bind(address).and_then(|listener| Ok(Bound { address: listener.local_addr()?, listener }));
    bound.map_err(failure(address))
}

impl Bound {
    /// Begins to answer, once everything is attached: the thread that speaks with anybody is to have none of the
    /// privileges that only attaching needs.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn serve(self, capture: Capture) -> Result<Arc<Board>, Failure> {
        let board = Arc::new(Board::new(capture));
        serve::spawn(self.listener, Arc::clone(&board)).map_err(failure(self.address))?;
        stderr(format_args!("auditor: metrics at http://{}/metrics", self.address));
        Ok(board)
    }
}

fn failure(address: SocketAddr) -> impl FnOnce(std::io::Error) -> Failure {
    Failure::io(format!("--metrics-addr {address}"))
}
