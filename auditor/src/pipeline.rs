//! The stages wired together.

mod back;
mod config;
mod lines;

pub use back::Back;
pub use config::Config;
