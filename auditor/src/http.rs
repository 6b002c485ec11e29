//! HTTP/1 framing of one direction of one connection, and parsing of the heads in it.
//!
//! One concern a file: [`Framer`] knows where heads and bodies are, [`Policy`] which fields matter, `mask` blanks in the
//! record's own bytes whatever must not travel on, a whole line at once where it is as it should be (`first_line`), and
//! notes where the lines are, [`masking`] makes values comparable that cannot be read any more,
//! `head` reads a complete (masked) head, and `affinity` finds in it what its calls may have in common with it. The
//! framer does not decide whether a head may begin where the end of the message before it is unknown; that needs the
//! other direction, so [`crate::exchange`] tells it.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod affinity;
mod chunked;
mod fields;
mod first_line;
mod framer;
mod head;
mod lines;
mod mask;
pub mod masking;
mod method;
mod policy;
pub(crate) mod proxied;
mod replace;
mod trie;

pub use affinity::{NAMES_REQUEST, VALUES as AFFINITY_VALUES};
pub use framer::{Arrival, Framer, Step};
pub use head::{Framing, ParsedRequest, ParsedResponse, Unparsable, Upgrade, parse_request, parse_response};
pub use lines::Noted;
pub use mask::Kind;
pub(crate) use mask::is_token;
pub use masking::{Key, Masking};
pub use policy::Policy;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes; none is 0.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Something whose end is known only from the other direction, or from the close.
    Unknown,
}
