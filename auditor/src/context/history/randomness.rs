//! Trace-ids that are not made at random.
//!
//! Only the right-most 56 bits should be: what stands before them may be a time (X-Ray, Datadog), zeroes (64-bit ids), or
//! anything. Of these 56, sampling by the trace-id (only ids above a threshold are sent) fixes some at the left, ten for
//! one trace in a thousand. Counters, times and ids of 32 bits leave more than 24 bits as they are.

/// What is looked at.
const RANDOM: u64 = (1 << 56) - 1;
/// Different ids that are looked at together. In random ones, one in 38 million such sets has a bit that never changes.
const SAMPLES: usize = 32;
/// Bits that never change.
const FIXED: u32 = 24;

/// The latest ids of a process.
#[derive(Debug, Default)]
pub(super) struct Generator {
    ids: [u64; SAMPLES],
    known: usize,
}

impl Generator {
    /// Judges once for each full set.
    pub(super) fn is_patterned(&mut self, trace_id: u128) -> bool {
        let id = trace_id as u64 & RANDOM;
        if self.ids.iter().take(self.known).any(|known| *known == id) {
            return false;
        }
        if let Some(free) = self.ids.get_mut(self.known) {
            *free = id;
            self.known += 1;
        }
        if self.known < SAMPLES {
            return false;
        }
        self.known = 0;
        let (ones, zeroes) = self.ids.iter().fold((RANDOM, RANDOM), |(ones, zeroes), id| (ones & id, zeroes & !id));
        (ones | zeroes).count_ones() >= FIXED
    }
}

#[cfg(test)]
mod tests {
    use super::super::{History, Limits};

    fn fires(ids: impl IntoIterator<Item = u128>) -> usize {
        let mut history = History::new(Limits::default());
        ids.into_iter().filter(|id| history.generated(1, *id).is_some()).count()
    }

    /// SplitMix64.
    fn random(n: u128) -> u128 {
        let mut z = (n as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(z ^ z >> 31)
    }

    #[test]
    fn ids_that_count_are_told_from_random_ones() {
        assert_eq!(fires(1..=64), 2);
        assert_eq!(fires((0..64).map(|n| random(1) << 64 | (random(2) + n))), 2);
        // A time in nanoseconds, calls a few milliseconds apart.
        assert_eq!(fires((0..64).map(|n| 1_787_000_000_000_000_000 + n * 3_141_593)), 2);
        // 32 bits, however random.
        assert_eq!(fires((0..64).map(|n| random(n) & 0xffff_ffff)), 2);
        let ids = |high: fn(u128) -> u128| (0..1024).map(move |n| high(n) << 64 | random(n));
        for legal in [|_| 0, random, |_| 0x4bf9_2f35_77b3_4da6, |n| (0x6a9c_0000 + n) << 32, |n| n] {
            assert_eq!(fires(ids(legal)), 0);
        }
        // One in a thousand is sampled, and the others are not sent.
        let sampled = (0..64).map(|n| random(n) & 0x3fff_ffff_ffff | 0xff_c000_0000_0000);
        assert_eq!(fires(sampled), 0);
        // Too few, or always the same.
        assert_eq!(fires(1..=31), 0);
        assert_eq!(fires([7; 99]), 0);
    }
}
