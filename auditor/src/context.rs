//! Trace context as requests carry it: one file per propagation format, each parses and compares.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod format;
#[cfg(test)]
mod testing;

pub mod baggage;
pub mod w3c;

pub mod history;

/// Every format that is audited.
pub static FORMATS: [&dyn format::Format; 2] = [&w3c::W3C, &baggage::BAGGAGE];
