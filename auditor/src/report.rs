//! Output.
pub mod address;
pub mod route;
