//! Audits trace-context propagation: which hop received `traceparent` and did not forward it.
//!
//! One pure, synchronous state machine between a source and a sink. Time comes only from the records; nothing between
//! [`record`] and [`report`] knows the kernel, `/proc`, a clock, the environment or an async runtime, so a recording
//! replays to the identical output on a machine without BPF and without root.
//!
//! ```text
//! kernel ─▶ Record ─▶ stream ─▶ Message ─▶ Exchange ─▶ Hop ─▶ Finding ─▶ line
//!  hooks     source    order     http       request +   pair    audit     report
//!            wire      gaps      heads      response            rules     sink
//! ```
//!
//! The modules in the order a byte travels through them:

pub mod source;

pub mod record;
pub mod stream;
pub mod http;
pub mod exchange;
pub mod rule;
pub mod context;
pub mod pair;
pub mod audit;
pub mod report;

pub mod pipeline;
pub mod view;

pub mod sink;
pub mod units;

#[doc(hidden)]
pub mod testing;
