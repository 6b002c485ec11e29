//! How many calls of a process are looked at again.

use crate::record::BootNs;

/// One in so much time, on average.
const EACH: BootNs = 10_000_000;
/// And so many at once.
const MOST: u32 = 256;
/// Where there were too many, the next are taken when there is time for so many one after the other: what else a request
/// called tells whether it made a call, so a few of each request's would say little.
const ROW: u32 = 64;

/// What may be taken now.
#[derive(Debug)]
pub(super) struct Pace {
    left: u32,
    at: BootNs,
    rests: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { left: MOST, at: 0, rests: false }
    }
}

impl Pace {
    /// Whether a call is taken. Calls that are `certain` leave half of the time to the others.
    pub(super) fn takes(&mut self, now: BootNs, certain: bool) -> bool {
        let more = now.saturating_sub(self.at) / EACH;
        self.at = self.at.saturating_add(more.saturating_mul(EACH));
        self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(MOST);
        self.rests &= self.left < ROW;
        if self.rests || certain && self.left <= MOST / 2 {
            return false;
        }
        self.left -= 1;
        self.rests = self.left == 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: BootNs = 1_000_000_000;

    /// Runs of calls that are taken, of so many a second for ten seconds.
    fn runs(rate: u64, certain: bool) -> Vec<u32> {
        let (mut pace, mut runs, mut run) = (Pace::default(), Vec::new(), 0);
        for n in 0..10 * rate {
            if pace.takes(7 * SECOND + n * SECOND / rate, certain) {
                run += 1;
            } else if run > 0 {
                runs.push(std::mem::take(&mut run));
            }
        }
        runs.extend(Some(run).filter(|run| *run > 0));
        runs
    }

    #[test]
    fn all_are_taken_while_they_are_few() {
        assert_eq!(runs(90, false), [900]);
        assert_eq!(runs(90, true), [900]);
    }

    #[test]
    fn of_many_some_are_in_a_row() {
        let runs = runs(20_000, false);
        let all: u32 = runs.iter().sum();
        assert!((1000..=1300).contains(&all), "{all}");
        assert!(runs[0] >= MOST && runs[1..runs.len() - 1].iter().all(|run| *run >= ROW), "{runs:?}");
    }

    #[test]
    fn what_is_certain_leaves_room() {
        let mut pace = Pace::default();
        while pace.takes(SECOND, true) {}
        assert!((0..MOST / 2).all(|_| pace.takes(SECOND, false)));
        assert!(!pace.takes(SECOND, false));
    }
}
