//! A token bucket: so many lines a second, and more at once after a quiet time.

use crate::record::BootNs;

/// How many seconds' worth may come at once.
const BURST: u64 = 10;
/// A second, which one token a second costs.
const SECOND: u64 = 1_000_000_000;

/// Counts in nanoseconds times rate, so that it is exact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    per_second: u64,
    filled: u64,
    at: BootNs,
}

impl Bucket {
    /// So many a second; 0: no limit.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = u64::from(per_second);
        Self { per_second, filled: per_second * BURST * SECOND, at: 0 }
    }

    /// Whether another line may be written now.
    pub(super) fn take(&mut self, now: BootNs) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let full = self.per_second * BURST * SECOND;
        self.filled = self.filled.saturating_add(passed.saturating_mul(self.per_second)).min(full);
        match self.filled.checked_sub(SECOND) {
            Some(left) => {
                self.filled = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(20);
        let mut taken = |now| (0..1000).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(5), 200);
        assert_eq!(taken(5 + SECOND / 2), 10);
        assert_eq!(taken(5), 0, "time does not go back");
        assert_eq!(taken(u64::MAX), 200);
        let mut unlimited = Bucket::new(0);
        assert!((0..1000).all(|_| unlimited.take(0)));
    }
}
