//! SIGUSR1: whoever rotates files says that they are to be opened anew.

use std::io;
use std::thread;

use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;

use super::outputs::Monitor;

/// From now on SIGUSR1 opens the outputs anew, and does not end the process.
///
/// # Errors
/// When the signal cannot be taken, or no thread started.
pub fn reopen_on_sigusr1(monitor: Monitor) -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1])?;
    let wait = move || signals.forever().for_each(|_| monitor.reopen());
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}
