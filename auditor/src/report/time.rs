//! From the boot clock of the records to the wall clock of the output.

use jiff::Timestamp;

use crate::record::{BootNs, Clock};

/// Where the boot clock stands on the wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    offset: i128,
}

impl Timeline {
    /// As the run's first record says.
    pub fn new(clock: &Clock) -> Self {
        Self { offset: i128::from(clock.unix_ns) - i128::from(clock.boot_ns) }
    }

    /// RFC 3339, UTC, nanoseconds.
    pub fn format(&self, time: BootNs) -> String {
        let at = Timestamp::from_nanosecond(self.offset + i128::from(time)).unwrap_or(Timestamp::UNIX_EPOCH);
        format!("{at:.9}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_digits_in_utc() {
        let line = Timeline { offset: 1_756_030_530_000_000_000 };
        assert_eq!(line.format(0), "2025-08-24T10:15:30.000000000Z");
        assert_eq!(line.format(123_456_789), "2025-08-24T10:15:30.123456789Z");
        assert_eq!(line.format(u64::MAX).len(), 30);
    }
}
