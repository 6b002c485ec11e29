//! Trace context as requests carry it: one file per propagation format, each parses and compares.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod format;
pub mod w3c;
