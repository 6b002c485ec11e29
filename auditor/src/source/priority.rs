//! How much of the processors the auditor gets beside services that take all of them.

use std::io;

/// Its nice value. At 0 it gets as much as one of the services' threads, which may be less than it needs to see all that the
/// others do: then records are lost. It takes no more for it than it uses.
const NICE: i32 = -5;

/// Asks for the higher priority, for this thread and those that it will start. Whoever chose a nice value for it is obeyed.
///
/// # Errors
/// Without `CAP_SYS_NICE`, or when a security policy forbids it.
pub fn raise() -> io::Result<()> {
    if rustix::process::getpriority_process(None)? == 0 {
        rustix::process::setpriority_process(None, NICE)?;
    }
    Ok(())
}
