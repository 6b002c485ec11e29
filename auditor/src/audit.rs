//! Judges hops: what became of the context, and which rule that breaks.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod boundary;
mod hop;
pub mod ignore;
mod judge;
mod keys;
mod matcher;
mod outcome;
pub mod rules;
pub mod samples;
mod silence;

pub use crate::rule::{Code, Severity};
pub use boundary::Boundaries;
pub use hop::dropped;
pub use judge::{Found, Verdict, judge, judge_inbound};
pub use matcher::{Matcher, Subject};
pub use outcome::Outcome;
pub use samples::{Sample, Samples};
pub use silence::{Ignore, Silence};
