//! Where lines go: stdout, files, syslog, journald, OpenTelemetry collectors.
//!
//! ```text
//!              ┌ Queue ─▶ worker ─▶ format ─▶ stdout
//! Outputs ─────┼ Queue ─▶ worker ─▶ format ─▶ file, rotated
//! (one line    └ Queue ─▶ worker ─▶ format ─▶ syslog, journald, OTLP
//!  of JSON)
//! ```
//!
//! A queue is bounded: what finds no room is dropped and counted. A worker tries again, ever less often, until its output
//! works again.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod backoff;
mod bytes;
mod file;
mod format;
mod journald;
mod otlp;
mod outputs;
mod place;
mod queue;
mod signals;
mod spec;
mod stdout;
mod syslog;
mod target;
mod worker;

pub use outputs::{Full, Monitor, Outputs, OutputsError, Written};
pub use place::not_read;
pub use signals::reopen_on_sigusr1;
pub use spec::{Facility, Format, Protocol, Spec, SpecError};
pub use target::{Target, without_credentials};
pub use worker::{SinkCounters, Tell};
