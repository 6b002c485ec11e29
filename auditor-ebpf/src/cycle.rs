//! When a process is looked at, where that is not all the time (`--duty-cycle`): for one window of every period. Each
//! process has its window at a time of its own, so that they take turns. The kernel side and the daemon work it out
//! from the clock, and nobody needs to tell anybody.

use core::num::NonZeroU64;

const MS: u64 = 1_000_000;

/// The period of a process at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Counts the periods; its low 32 bits.
    pub number: u32,
    /// How long ago it began, ns. Its window comes first.
    pub age_ns: u64,
}

/// The period that `tgid` is in at `now_ns` (any clock that does not go back), when each takes `period_ms`.
#[inline(always)]
pub fn turn(now_ns: u64, tgid: u32, period_ms: u32) -> Option<Turn> {
    let period = NonZeroU64::new(u64::from(period_ms).wrapping_mul(MS))?;
    // Fibonacci hashing: pids that follow one another, as workers' do, are far apart.
    let spread = u64::from(tgid.wrapping_mul(0x9e37_79b1));
    let offset = ((spread.wrapping_mul(u64::from(period_ms))) >> 32).wrapping_mul(MS);
    let at = now_ns.wrapping_add(offset);
    let number = at / period;
    Some(Turn { number: number as u32, age_ns: at.wrapping_sub(number.wrapping_mul(period.get())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_window_a_period() {
        const PERIOD: u64 = 60_000 * MS;
        for tgid in [1, 2, 4711, u32::MAX] {
            for now in (0..10 * PERIOD).step_by(7_919 * MS as usize) {
                let (turn, next) = (super::turn(now, tgid, 60_000), super::turn(now + PERIOD, tgid, 60_000));
                let (turn, next) = (turn.unwrap(), next.unwrap());
                assert_eq!((next.number, next.age_ns), (turn.number + 1, turn.age_ns));
                assert!(turn.age_ns < PERIOD);
            }
        }
        assert_eq!(super::turn(1, 1, 0), None);
    }

    #[test]
    fn processes_take_turns() {
        let ages = (100..200).map(|tgid| turn(0, tgid, 60_000).unwrap().age_ns / (6_000 * MS));
        let mut tenths = [0; 10];
        ages.for_each(|tenth| tenths[tenth as usize] += 1);
        assert!(tenths.iter().all(|share| (8..=12).contains(share)), "{tenths:?}");
    }
}
