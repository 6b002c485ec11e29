//! How long the calls of an edge took: quantiles, in memory for as many different durations as there were.
//!
//! A log-linear histogram that keeps the buckets with calls in them only. Calls of one edge take much the same time, so
//! it has one allocation of 72 bytes where a dense histogram of the same precision (HDR, DDSketch) has 1 KiB from the
//! first call on, for thousands of edges; if every bucket from 8 µs to 10 s is in use, they are 1.7 KiB.

use std::collections::BTreeMap;

use super::line::DurationInfo;
use crate::record::BootNs;

/// Buckets in which an octave is divided, as a power of two.
const PRECISION: u32 = 3;

/// Durations of calls.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// Calls, by the bucket of their microseconds.
    buckets: BTreeMap<u8, u32>,
    /// The longest, in nanoseconds.
    max: BootNs,
}

impl Durations {
    /// A call took so many nanoseconds.
    pub fn add(&mut self, duration: BootNs) {
        let micros = u32::try_from(duration / 1000).unwrap_or(u32::MAX);
        let calls = self.buckets.entry(bucket(micros)).or_default();
        *calls = calls.saturating_add(1);
        self.max = self.max.max(duration);
    }

    /// As the output shows them; `None` if there are none.
    pub fn info(&self) -> Option<DurationInfo> {
        let count = self.buckets.values().map(|calls| u64::from(*calls)).sum();
        (count > 0).then(|| DurationInfo {
            count,
            p50: self.percentile(50, count),
            p99: self.percentile(99, count),
            max: seconds(self.max as f64),
        })
    }

    /// What at least so many of a hundred calls did not exceed (nearest rank), within 1/16 and a microsecond.
    fn percentile(&self, percent: u64, count: u64) -> f64 {
        let rank = count.saturating_mul(percent).div_ceil(100);
        let mut below = 0;
        let reached = self.buckets.iter().find(|(_, calls)| {
            below += u64::from(**calls);
            below >= rank
        });
        let middle = reached.map_or(0.0, |(bucket, _)| middle(*bucket) * 1000.0);
        seconds(middle.min(self.max as f64))
    }
}

/// A bucket for every microsecond below `2 << PRECISION`; from there on `1 << PRECISION` for every octave.
fn bucket(micros: u32) -> u8 {
    let octave = micros.checked_ilog2().unwrap_or(0).saturating_sub(PRECISION);
    u8::try_from((octave << PRECISION) + (micros >> octave)).unwrap_or(u8::MAX)
}

/// The microseconds in the middle of a bucket.
fn middle(bucket: u8) -> f64 {
    let steps = 1 << PRECISION;
    let octave = (u32::from(bucket) >> PRECISION).saturating_sub(1);
    let least = u64::from(u32::from(bucket) - octave * steps) << octave;
    least as f64 + (1u64 << octave) as f64 / 2.0
}

/// Nanoseconds as seconds, to the microsecond.
fn seconds(nanos: f64) -> f64 {
    (nanos / 1e3).round() / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(durations: &[u64]) -> Option<DurationInfo> {
        let mut all = Durations::default();
        durations.iter().for_each(|duration| all.add(*duration));
        all.info()
    }

    #[test]
    fn one_call_is_all_its_quantiles() {
        assert_eq!(of(&[]), None);
        let info = of(&[1_234_567]).unwrap();
        assert_eq!((info.count, info.max), (1, 0.001235));
        assert_eq!(info.p50, info.p99);
        assert!((info.p50 - info.max).abs() <= info.max / 16.0);
    }

    #[test]
    fn buckets_are_adjacent_and_any_duration_has_one() {
        let mut last = 0;
        for micros in 0..100_000 {
            let bucket = bucket(micros);
            assert!(bucket == last || bucket == last + 1, "{micros}");
            last = bucket;
        }
        assert!(bucket(u32::MAX) < u8::MAX);
        assert_eq!(of(&[u64::MAX, 0]).unwrap().count, 2);
    }

    proptest! {
        #[test]
        fn quantiles_are_near_the_exact_ones(
            durations in prop::collection::vec((0u32..34, any::<u64>()).prop_map(|(bits, n)| n & ((2 << bits) - 1)), 1..300)
        ) {
            let info = of(&durations).unwrap();
            let mut sorted = durations.clone();
            sorted.sort_unstable();
            for (percent, estimate) in [(50, info.p50), (99, info.p99)] {
                let exact = sorted[(sorted.len() * percent).div_ceil(100) - 1] as f64 / 1e9;
                prop_assert!((estimate - exact).abs() <= exact / 16.0 + 1e-6, "p{percent}: {estimate} is not {exact}");
                prop_assert!(estimate <= info.max);
            }
            let max = *sorted.last().unwrap() as f64 / 1e9;
            prop_assert!((info.max - max).abs() <= 0.5e-6 + f64::EPSILON * max);
            prop_assert_eq!(info.count, durations.len() as u64);
        }
    }
}
