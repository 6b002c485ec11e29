//! What people look at: the lines of one or more runs, added up and shown as a table, a page or JSON.
//!
//! Every byte of a line may come from a stranger: [`mod@clean`] makes text of it that no terminal and no browser acts on.
//!
//! ```text
//! bytes ─▶ read ─▶ Entry ─▶ Report ─▶ rows ─▶ text, JSON
//!          lines            adds up      └──▶ graph ─▶ layout ─▶ HTML
//! ```

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod add;
pub mod clean;
mod counts;
mod entry;
mod findings;
pub mod graph;
mod hop;
pub mod html;
pub mod json;
mod layout;
mod read;
mod svg;
pub mod text;

pub use add::{Blind, Report};
pub use counts::{Tally, Verdict};
pub use findings::Found;
pub use hop::{Hop, HopKey, Row, Standing};
pub use read::{Lines, Read};
