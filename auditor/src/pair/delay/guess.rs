//! Who seems to have made a call when it is sent: by what every request seems to have done before, and its usual next
//! step. What comes later may tell otherwise.

use super::Delays;
use super::table::{Inbound, Slot};
use super::trigger::{Step, Triggers};
use crate::record::BootNs;

/// Candidates for a call that are kept.
const KEPT: usize = 12;

impl Delays {
    /// Of many candidates for a call keeps the likeliest; returns the first of them.
    pub(super) fn likeliest(&self, kind: u16, candidates: &mut Vec<Slot>) -> Option<Slot> {
        let mut weighed = Vec::new();
        for slot in candidates.iter().copied() {
            let Some(inbound) = self.table.inbounds.get(slot) else { continue };
            let before_of_kind = inbound.kinds.iter().find(|(other, _)| *other == kind).map_or(0, |(_, count)| *count);
            let since = |(at, kind): (BootNs, u16)| (kind, self.now.saturating_sub(at));
            let (step, triggers) = match inbound.end {
                Some(end) => {
                    let came = self.now.saturating_sub(end);
                    (Step::Late(kind), Triggers { came, ..Triggers::default() })
                }
                None => {
                    let (called, got) = (inbound.called.map(since), inbound.got.map(since));
                    let came = self.now.saturating_sub(inbound.start);
                    let before = inbound.kinds.iter().map(|(_, count)| *count as u32).sum();
                    (Step::Call(kind, before_of_kind), Triggers { came, called, got, before })
                }
            };
            let log = self.model.log(inbound.route, step, &triggers);
            weighed.push((log + self.model.totals.another(inbound.route, kind, before_of_kind), slot));
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
        self.happened(slot, |inbound, now| {
            inbound.called = Some((now, kind));
            match inbound.kinds.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, count)) => *count += 1,
                None => inbound.kinds.push((kind, 1)),
            }
        });
    }

    /// It seems to have received the answer.
    pub(super) fn seems_answered(&mut self, slot: Slot, kind: u16) {
        self.happened(slot, |inbound, now| inbound.got = Some((now, kind)));
    }

    fn happened(&mut self, slot: Slot, change: impl FnOnce(&mut Inbound, BootNs)) {
        let now: BootNs = self.now;
        let Some(inbound) = self.table.inbounds.get_mut(slot).filter(|inbound| inbound.is_open()) else { return };
        self.recent.remove(&(inbound.since, slot));
        inbound.since = now;
        change(inbound, now);
        self.recent.insert((now, slot));
    }
}
