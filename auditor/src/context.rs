//! Trace context as requests carry it: one file per propagation format, each parses and compares.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod format;
pub mod identity;
mod evidence;
mod hex;
#[cfg(test)]
mod testing;

pub mod w3c;
mod trace;
pub mod b3;
pub mod jaeger;
pub mod datadog;
pub mod xray;
pub mod google;
pub mod ids;
pub mod opaque;

pub mod agreement;
pub mod translate;

pub use trace::TraceFormat;
