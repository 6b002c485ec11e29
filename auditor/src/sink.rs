//! Where lines go: stdout, files, syslog, journald, OpenTelemetry collectors.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod spec;
mod target;

pub use spec::{Facility, Format, Spec, SpecError};
pub use target::Target;
