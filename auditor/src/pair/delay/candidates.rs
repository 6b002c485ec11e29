//! Which requests may have made a call: all that are open while they are few, else those at the usual distances.

use super::Delays;
use super::table::Slot;
use crate::record::BootNs;

/// Open requests that may be.
const OPEN: usize = 24;
/// Of these, of more: those to which something happened latest, and those around each usual time from a request to such a call.
const LATEST: usize = 10;
const AROUND: usize = 3;
const USUAL: [f32; 3] = [0.2, 0.5, 0.8];
/// Requests that have ended, and how long ago.
const ENDED: usize = 2;
pub(super) const LATE: BootNs = 1_000_000_000;

impl Delays {
    /// Requests that may have made a call of this kind now.
    pub(super) fn candidates(&self, kind: u16) -> Vec<Slot> {
        let mut slots: Vec<Slot> = Vec::new();
        if self.open.len() <= OPEN {
            slots.extend(self.open.iter().rev().map(|(_, slot)| *slot));
        } else {
            slots.extend(self.recent.iter().rev().take(LATEST).map(|(_, slot)| *slot));
            for share in USUAL {
                let Some(delay) = self.delays.get(&kind).and_then(|delays| delays.time(share)) else { continue };
                let around = (self.now.saturating_sub(delay), 0);
                slots.extend(self.open.range(around..).take(AROUND).map(|(_, slot)| *slot));
                slots.extend(self.open.range(..around).rev().take(AROUND).map(|(_, slot)| *slot));
            }
        }
        let ended = self.ended.iter().rev().take(ENDED).filter(|(end, _)| end + LATE > self.now);
        slots.extend(ended.map(|(_, slot)| *slot));
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| self.table.inbounds.get(*slot).is_some_and(|request| !request.lost));
        slots
    }
}
