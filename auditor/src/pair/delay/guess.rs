//! Who seems to have made a call when it is sent: by what every request seems to have done before, and its usual next
//! step. What comes later may tell otherwise.

use super::Delays;
use super::history;
use super::model::{Last, Next, State};
use super::table::{Inbound, Slot};
use crate::record::BootNs;

/// Candidates for a call that are kept.
const KEPT: usize = 12;

impl Delays {
    /// Of many candidates for a call keeps the likeliest; returns the first of them.
    pub(super) fn likeliest(&self, kind: u16, candidates: &mut Vec<Slot>) -> Option<Slot> {
        let mut weighed = Vec::new();
        for slot in candidates.iter().copied() {
            let Some(inbound) = self.table.inbounds.get(slot) else { continue };
            let before = inbound.kinds.iter().find(|(other, _)| *other == kind).map_or(0, |(_, count)| *count);
            let (last, since) = inbound.end.map_or((inbound.last, inbound.since), |end| (Last::Ended, end));
            let state = State {
                route: inbound.route,
                made: inbound.made,
                last,
                waiting: inbound.waiting > 0 && inbound.end.is_none(),
                ended: inbound.end.is_some(),
                load: inbound.load,
            };
            let log = self.model.log(&state, Next::Call(kind), self.now.saturating_sub(since));
            weighed.push((log + self.model.totals.another(inbound.route, kind, before), slot));
        }
        weighed.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        if self.warm && weighed.len() > KEPT {
            weighed.truncate(KEPT);
            candidates.retain(|candidate| weighed.iter().any(|(_, kept)| kept == candidate));
        }
        weighed.first().map(|(_, slot)| *slot)
    }

    /// A request seems to have made a call.
    pub(super) fn seems_sent(&mut self, slot: Slot, kind: u16) {
        self.happened(slot, Last::Called(kind), |inbound| {
            inbound.waiting += 1;
            let at = inbound.kinds.iter().position(|(other, _)| *other == kind).unwrap_or(inbound.kinds.len());
            if at == inbound.kinds.len() {
                inbound.kinds.push((kind, 0));
            }
            if let Some((_, count)) = inbound.kinds.get_mut(at) {
                inbound.made = inbound.made.wrapping_add(history::token(*count, kind));
                *count += 1;
            }
        });
    }

    /// It seems to have received the answer.
    pub(super) fn seems_answered(&mut self, slot: Slot, kind: u16) {
        self.happened(slot, Last::Got(kind), |inbound| inbound.waiting = inbound.waiting.saturating_sub(1));
    }

    fn happened(&mut self, slot: Slot, last: Last, change: impl FnOnce(&mut Inbound)) {
        let now: BootNs = self.now;
        let Some(inbound) = self.table.inbounds.get_mut(slot).filter(|inbound| inbound.is_open()) else { return };
        self.recent.remove(&(inbound.since, slot));
        (inbound.last, inbound.since) = (last, now);
        change(inbound);
        self.recent.insert((now, slot));
    }
}
