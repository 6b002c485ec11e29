//! Texts that come time and again: one copy of each is shared.

use std::hash::BuildHasher;
use std::sync::Arc;

/// How many are known.
const KNOWN: usize = 1024;
/// A longer one is never known, so that all of them take little.
const LONGEST: usize = 256;

/// The latest texts: each has one place, and whoever comes later to it takes it.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    known: Vec<Arc<str>>,
    hasher: foldhash::fast::RandomState,
}

impl Texts {
    /// A copy of this text, that of earlier ones if there is one.
    pub(crate) fn share(&mut self, text: &str) -> Arc<str> {
        if text.len() > LONGEST {
            return text.into();
        }
        if self.known.is_empty() {
            self.known.resize(KNOWN, Arc::default());
        }
        let hash = self.hasher.hash_one(text);
        let Some(known) = self.known.get_mut((hash % KNOWN as u64) as usize) else { return text.into() };
        if **known != *text {
            *known = text.into();
        }
        known.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_long_ones_are_not_kept() {
        let mut texts = Texts::default();
        assert!(Arc::ptr_eq(&texts.share("/cart"), &texts.share("/cart")));
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(&*texts.share(&long), long);
        for n in 0..10 * KNOWN {
            assert_eq!(*texts.share(&n.to_string()), *n.to_string());
        }
        assert_eq!(texts.known.len(), KNOWN);
        assert!(texts.known.iter().all(|text| text.len() <= LONGEST));
    }
}
