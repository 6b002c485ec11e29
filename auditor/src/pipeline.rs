//! The stages wired together.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod back;
mod config;
mod lines;
mod upkeep;

pub use back::Back;
pub use config::Config;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worlds;
