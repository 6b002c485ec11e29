//! The children that a process forked for its requests.
//!
//! What runs in a child that was born while its thread served one request may have been caused by that request. But a
//! child may stay, and then its calls find whatever request comes later. So a child belongs to the request that it was
//! first seen with.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::exchange::ExchangeId;
use crate::record::BootNs;

/// Children of a process that are told apart. Whoever forks more than these between two calls of one that stays makes
/// far more requests than it makes calls, and then the class is not covered ([`super::rhythm`]).
const CHILDREN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// A child, as one of its calls shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    /// The child that the process itself forked: this one, or what forked it.
    pub(super) tgid: u32,
    /// When the process that makes the call was born, which is not before its parents were.
    pub(super) born: BootNs,
}

/// Which request each child was first seen with.
#[derive(Debug)]
pub(super) struct Children(LruCache<u32, ExchangeId>);

impl Default for Children {
    fn default() -> Self {
        Self(LruCache::sparse(CHILDREN))
    }
}

impl Children {
    /// Whether the child may belong to this request, since it was seen with no other.
    pub(super) fn adopt(&mut self, child: Child, request: ExchangeId) -> bool {
        *self.0.get_or_insert(child.tgid, || request) == request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_belongs_to_its_first_request() {
        let mut children = Children::default();
        let child = |tgid| Child { tgid, born: 0 };
        assert!(children.adopt(child(7), ExchangeId(1)) && children.adopt(child(7), ExchangeId(1)));
        assert!(!children.adopt(child(7), ExchangeId(2)) && children.adopt(child(8), ExchangeId(2)));
    }
}
