//! The stages wired together.

mod back;
mod config;
mod lines;

pub use back::Back;
pub use config::Config;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worlds;
