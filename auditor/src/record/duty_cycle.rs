//! When each process is looked at, where that is not all the time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use auditor_ebpf::cycle;
use serde::{Deserialize, Serialize};

use super::{BootNs, ProcessId};
use crate::units::{duration, duration_text};

/// The shortest window, the longest period, ms. Of the first seconds less is concluded (`pair/turns.rs`).
const BOUNDS: (u32, u32) = (2_000, 3_600_000);

/// Each process is looked at for one window of every period, at a time of its own ([`cycle`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DutyCycle {
    /// Length of a window, ms.
    pub audited_ms: u32,
    /// From the beginning of a window to the beginning of the next, ms.
    pub period_ms: u32,
}

/// A process is looked at, or was the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// It began then.
    pub start: BootNs,
    /// Nothing is seen from then on, until the next.
    pub end: BootNs,
}

impl DutyCycle {
    /// Share of the time in which a process is looked at.
    pub fn share(self) -> f64 {
        f64::from(self.audited_ms) / f64::from(self.period_ms.max(1))
    }

    /// The window of a process that began last at `now`.
    pub fn window(self, now: BootNs, process: ProcessId) -> Window {
        let age = cycle::turn(now, process.tgid, self.period_ms).map_or(0, |turn| turn.age_ns);
        let start = now.saturating_sub(age);
        Window { start, end: start.saturating_add(nanos(self.audited_ms)) }
    }

    /// From the beginning of a window to the beginning of the next.
    pub fn period(self) -> BootNs {
        nanos(self.period_ms)
    }
}

fn nanos(ms: u32) -> BootNs {
    u64::from(ms) * 1_000_000
}

/// `10s/1m`: ten seconds of every minute.
impl FromStr for DutyCycle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (audited, period) =
            text.split_once('/').ok_or_else(|| format!("{text:?} is not a share of a period such as 10s/1m"))?;
        let millis = |text| duration(text).map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        let (audited_ms, period_ms) = (millis(audited)?, millis(period)?);
        if audited_ms < BOUNDS.0 || period_ms > BOUNDS.1 {
            return Err(format!("{text:?}: at least 2s of at most 1h"));
        }
        if audited_ms >= period_ms {
            return Err(format!("{text:?}: the period must be longer than what of it is audited"));
        }
        Ok(Self { audited_ms, period_ms })
    }
}

impl TryFrom<String> for DutyCycle {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DutyCycle> for String {
    fn from(cycle: DutyCycle) -> Self {
        cycle.to_string()
    }
}

impl fmt::Display for DutyCycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |ms: u32| duration_text(Duration::from_millis(ms.into()));
        write!(f, "{}/{}", text(self.audited_ms), text(self.period_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: BootNs = 1_000_000_000;

    #[test]
    fn as_people_write_it() {
        let cycle: DutyCycle = "10s/60".parse().unwrap();
        assert_eq!(cycle, DutyCycle { audited_ms: 10_000, period_ms: 60_000 });
        assert_eq!((cycle.to_string().as_str(), cycle.share()), ("10s/1m", 1.0 / 6.0));
        assert_eq!(serde_json::from_str::<DutyCycle>(&serde_json::to_string(&cycle).unwrap()).unwrap(), cycle);
        assert!(serde_json::from_str::<DutyCycle>("\"10s/0\"").is_err());
        for wrong in ["", "10s", "10s/10s", "10s/5s", "1ms/1s", "1m/2h", "a/b", "-1s/5s", "10s/1m/2"] {
            assert!(wrong.parse::<DutyCycle>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_window_comes_once_a_period() {
        let cycle: DutyCycle = "10s/1m".parse().unwrap();
        let process = ProcessId { tgid: 77, start_ns: 5 };
        let first = cycle.window(1000 * SECOND, process);
        assert_eq!(first.end - first.start, 10 * SECOND);
        assert_eq!(cycle.window(first.end + 49 * SECOND, process), first);
        let second = cycle.window(first.end + 51 * SECOND, process);
        assert_eq!((second.end, second.start), (first.end + cycle.period(), first.start + 60 * SECOND));
        // Before the clock began there was nothing.
        assert!(cycle.window(0, process).end <= 10 * SECOND);
    }
}
