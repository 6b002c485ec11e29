//! Trace context as requests carry it: one file per propagation format, each parses and compares.

pub mod w3c;
