//! What leaves the pipeline: output records, how findings are folded, and the counts behind them.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod address;
mod contrast;
mod edges;
mod features;
mod fold;
mod line;
pub mod route;
mod time;
mod totals;

pub use contrast::{Fate, Mixed, Split};
pub(crate) use edges::round4;
pub use edges::{Counts, Edge, EdgeKey, Edges};
pub use features::Call;
pub use fold::{Fold, Mark, Occurrence, fingerprint};
pub use line::*;
pub use time::Timeline;
pub use totals::Totals;
