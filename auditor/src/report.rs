//! What leaves the pipeline: output records, how findings are folded, and the counts behind them.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod address;
mod attributes;
mod bucket;
mod contrast;
mod counts;
mod durations;
mod edges;
mod features;
mod fold;
mod formats;
mod line;
pub mod route;
pub(crate) mod texts;
mod time;
mod totals;

pub use attributes::{Attributes, InboundAttributes, Resource};
pub use contrast::{Fate, Mixed, Split};
pub use counts::Counts;
pub(crate) use counts::round4;
pub use durations::Durations;
pub use edges::{Counted, Edge, EdgeKey, Edges, Interval, Peer};
pub use features::Call;
pub use fold::{Fold, Mark, Occurrence, PATIENCE, Tells, fingerprint};
pub use formats::{FormatCounts, FormatsInfo};
pub(crate) use line::cut_strings;
pub use line::*;
pub use time::Timeline;
pub use totals::{NO_FORMAT, Totals};
