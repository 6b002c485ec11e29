//! The latest of many entries, without an order among them: to keep one takes no memory of its own, and to forget another
//! does not touch it.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::quality::RandomState;

/// The latest `half` entries at least, and at most twice as many.
#[derive(Debug)]
pub(super) struct Latest<K, V> {
    half: usize,
    now: HashMap<K, V, RandomState>,
    /// What was there when `now` began.
    before: HashMap<K, V, RandomState>,
}

impl<K: Eq + Hash, V> Latest<K, V> {
    pub(super) fn new(half: usize) -> Self {
        Self { half, now: HashMap::default(), before: HashMap::default() }
    }

    /// In place of what the key had.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.now.len() >= self.half {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.clear();
        }
        self.now.insert(key, value);
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.now.get(key).or_else(|| self.before.get(key))
    }

    /// Takes it out.
    pub(super) fn pop(&mut self, key: &K) -> Option<V> {
        let before = self.before.remove(key);
        self.now.remove(key).or(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_no_more_than_twice_as_many() {
        let mut latest = Latest::<u32, u32>::new(10);
        for n in 0..1000 {
            latest.put(n, n);
            assert!((n.saturating_sub(9)..=n).all(|key| latest.get(&key) == Some(&key)), "{n}");
            assert!(latest.now.len() + latest.before.len() <= 20);
        }
        assert_eq!(latest.get(&900), None);
    }

    #[test]
    fn what_is_taken_or_put_anew_is_gone() {
        let mut latest = Latest::new(2);
        for (key, value) in [(1, 'a'), (2, 'b'), (3, 'c'), (1, 'd')] {
            latest.put(key, value);
        }
        assert_eq!(latest.get(&1), Some(&'d'));
        assert_eq!((latest.pop(&1), latest.pop(&1)), (Some('d'), None));
    }
}
