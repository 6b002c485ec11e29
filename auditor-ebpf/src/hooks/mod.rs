//! The programs, one kernel tracepoint a file.

pub mod close;
pub mod io_uring;
pub mod sock;
pub mod syscall;
