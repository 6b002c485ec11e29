//! Which requests may have made a call: all that are open while they are few, else those at the usual distances.

use super::table::{Candidate, Slot};
use super::{Delays, Hint};
use crate::record::BootNs;

/// Open requests that may be.
const OPEN: usize = 24;
/// Of these, of more: the latest, and those around each usual time from a request to such a call.
const LATEST: usize = 6;
const AROUND: usize = 3;
const USUAL: [f32; 3] = [0.2, 0.5, 0.8];
/// Hinted ones.
const HINTED: usize = 8;
/// Requests that have ended, and how long ago.
const ENDED: usize = 2;
pub(super) const LATE: BootNs = 1_000_000_000;

impl Delays {
    pub(super) fn candidates(&self, kind: u16, hints: &[Hint]) -> Vec<Candidate> {
        let mut slots: Vec<Slot> = Vec::new();
        if self.open.len() <= OPEN {
            slots.extend(self.open.iter().rev().map(|(_, slot)| *slot));
        } else {
            slots.extend(self.open.iter().rev().take(LATEST).map(|(_, slot)| *slot));
            for share in USUAL {
                let Some(delay) = self.delays.get(&kind).and_then(|delays| delays.time(share)) else { continue };
                let around = (self.now.saturating_sub(delay), 0);
                slots.extend(self.open.range(around..).take(AROUND).map(|(_, slot)| *slot));
                slots.extend(self.open.range(..around).rev().take(AROUND).map(|(_, slot)| *slot));
            }
            let hinted =
                hints.iter().filter(|hint| hint.log_ratio > 0.0).filter_map(|hint| self.inbounds.get(&hint.id));
            slots.extend(hinted.take(HINTED));
        }
        let ended = self.ended.iter().rev().take(ENDED).filter(|(end, _)| end + LATE > self.now);
        slots.extend(ended.map(|(_, slot)| *slot));
        slots.sort_unstable();
        slots.dedup();
        let candidate = |inbound: Slot| {
            let request = self.table.inbounds.get(inbound).filter(|request| !request.lost)?;
            let hint = hints.iter().find(|hint| hint.id == request.id).map_or(0.0, |hint| hint.log_ratio);
            // A likelihood ratio that is none must not decide.
            let hint = if hint.is_finite() { hint } else { 0.0 };
            Some(Candidate { inbound, hint, tally: 0.0 })
        };
        slots.into_iter().filter_map(candidate).collect()
    }
}
