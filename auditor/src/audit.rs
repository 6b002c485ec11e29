//! Judges hops: what became of the context, and which rule that breaks.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod ignore;
pub mod outcome;
pub mod rules;

pub use crate::rule::{Code, Severity};
pub use outcome::{Outcome, Verdict, judge, judge_inbound};
