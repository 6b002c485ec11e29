//! With a duty cycle: processes that are looked at for a window of every period.
//!
//! What is open when a window ends is forgotten, for its end will not be seen; what the process said is remembered as
//! that of a replica that is gone. What is open when one begins is not known, and a call could be its: nothing is concluded
//! from absence until all of it is over, which is as long as requests of the service were seen to take. Of a service that
//! was not seen before nothing is concluded in its first window; of one whose requests take longer than a window, never.

use std::collections::BTreeSet;

use super::Pairer;
use super::process::AFTERMATH;
use super::replicas::Replicas;
use crate::record::{BootNs, DutyCycle, ProcessId, Window};

/// For so many periods it is remembered how long a service's requests took.
const REMEMBERED: u64 = 60;

/// Whose window ends when.
#[derive(Debug)]
pub(super) struct Turns {
    cycle: DutyCycle,
    ends: BTreeSet<(BootNs, ProcessId)>,
}

impl Turns {
    pub(super) fn new(cycle: DutyCycle) -> Self {
        Self { cycle, ends: BTreeSet::new() }
    }

    /// A process is heard of, for the first time in its window. Says from when on its calls count.
    pub(super) fn begin(&mut self, now: BootNs, pid: ProcessId, replicas: Option<&Replicas>) -> BootNs {
        let Window { start, end } = self.cycle.window(now, pid);
        self.ends.insert((end, pid));
        if pid.start_ns >= start {
            // Nothing was there before.
            return 0;
        }
        let since = now.saturating_sub(self.cycle.period().saturating_mul(REMEMBERED));
        let slowest = replicas.and_then(|replicas| replicas.slowest(since));
        // As much again as a quarter: the next may take a little longer than any before.
        slowest.map_or(BootNs::MAX, |slowest| start.saturating_add(slowest + slowest / 4).saturating_add(AFTERMATH))
    }

    /// A process whose window is over by now, and when it ended.
    fn over(&mut self, now: BootNs) -> Option<(BootNs, ProcessId)> {
        self.ends.first().filter(|(end, _)| *end <= now)?;
        self.ends.pop_first()
    }
}

impl Pairer {
    /// From now on processes are looked at in turns.
    pub fn take_turns(&mut self, cycle: DutyCycle) {
        self.turns = Some(Turns::new(cycle));
    }

    /// Lets those rest whose windows are over.
    pub(super) fn rest(&mut self, now: BootNs) {
        while let Some((end, pid)) = self.turns.as_mut().and_then(|turns| turns.over(now)) {
            let Some(service) = self.processes.peek(&pid).map(|process| process.service.clone()) else { continue };
            self.retire(pid, &service);
            let slowest = self.processes.peek(&pid).map_or(0, |process| process.slowest(end));
            if let Some(replicas) = self.services.get_mut(&service) {
                replicas.gone(pid, end, slowest);
            }
            self.forget(pid);
        }
    }

    /// Whether a process receives requests but nothing is known of them now: whose a call of its is cannot be told.
    pub(super) fn rests(&self, pid: ProcessId) -> bool {
        self.turns.is_some() && self.by_tgid.peek(&pid.tgid) == Some(&pid) && !self.processes.contains(&pid)
    }
}
