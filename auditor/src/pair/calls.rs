//! The calls of a process: those that are looked at again, and what is known of them by now.

use super::delay::Decision;
use super::hindsight::{self, Candidates, Hindsight, Room, Sent};
use super::inbound::{Execution, Outbound};
use super::process::Process;
use super::suspect::Settled;
use crate::exchange::ExchangeId;
use crate::record::BootNs;

impl Process {
    /// A call was made, by this request if that is `known`, or else by the `likely` one.
    pub(super) fn sent(
        &mut self,
        now: BootNs,
        call: ExchangeId,
        outbound: &Outbound<'_>,
        execution: Execution,
        [known, likely]: [Option<ExchangeId>; 2],
        room: Option<&Room>,
    ) {
        if let Some(delays) = &mut self.delays {
            delays.sent(now, call, outbound.hash(), known);
        } else if let Some(room) = room
            && (known.is_none() || self.hindsight.is_some())
        {
            let (kind, candidates) = (outbound.hash(), self.at_work());
            let hindsight = self.hindsight.get_or_insert_with(|| Box::new(Hindsight::new(room)));
            hindsight.sent(Sent { id: call, at: now, kind, execution, known, likely, candidates });
        }
    }

    /// Requests that may make a call now, the latest, and how many there are.
    pub(super) fn at_work(&self) -> Candidates {
        let open = self.open.ids.iter().rev().take(hindsight::OPEN).copied();
        let ended = self.lingering.iter().rev().take(hindsight::ENDED).map(|(_, id)| *id);
        Candidates { ids: open.chain(ended).collect(), among: self.open.ids.len() + self.lingering.len() }
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, now: BootNs, call: ExchangeId) {
        if let Some(delays) = &mut self.delays {
            delays.answered(now, call);
        }
        if let Some(hindsight) = &mut self.hindsight {
            hindsight.answered(now, call);
        }
    }

    /// Looks again at the calls of which enough is known; at all of them if nothing more will be.
    pub(super) fn look_again(&mut self, now: BootNs, all: bool) {
        if let Some(hindsight) = &mut self.hindsight {
            hindsight.decide(now, &mut self.held, all, &mut self.settled);
        }
    }

    /// What the delays tell by now of earlier calls.
    pub(super) fn decided(&mut self, now: BootNs) -> Vec<Settled> {
        let mut decided = Vec::new();
        if let Some(delays) = &mut self.delays {
            delays.settle(now, &mut decided);
        }
        let settled = |decision: Decision| {
            let Decision { call, parent, confidence, candidates, .. } = decision;
            Settled { call, parent, confidence, candidates }
        };
        let joint = decided.into_iter().map(settled);
        std::mem::take(&mut self.settled).into_iter().chain(joint).collect()
    }
}
