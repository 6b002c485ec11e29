//! Calls that are looked at again, and what is known of them by now.

use super::delay::Decision;
use super::hindsight::{self, Candidates, Hindsight, Room, Sent};
use super::inbound::{Execution, Outbound};
use super::process::Process;
use super::suspect::Settled;
use super::{Claim, Method, Pairer};
use crate::exchange::ExchangeId;
use crate::record::{BootNs, ProcessId};

impl Pairer {
    /// What is known by now of earlier calls that were not certain. `all`: also of processes of which nothing was heard
    /// since the last time.
    pub fn decided(&mut self, now: BootNs, all: bool) -> Vec<Claim> {
        if all {
            self.wake(now);
            for (pid, ()) in &self.looked_at {
                if let Some(process) = self.processes.peek_mut(pid) {
                    process.look_again(now, false);
                    self.touched.push(*pid);
                }
            }
            let learns = |(pid, process): (&ProcessId, &Process)| process.delays.is_some().then_some(*pid);
            self.touched.extend(self.processes.iter().filter_map(learns));
        }
        let mut claims = Vec::new();
        for pid in std::mem::take(&mut self.touched) {
            let Some(process) = self.processes.peek_mut(&pid) else { continue };
            for Settled { call, parent, confidence, candidates } in process.decided(now) {
                let parent = parent.and_then(|id| process.held.get(&id)).map(|held| held.inbound.clone());
                claims.push(Claim { call, parent, method: Method::DelayModel, confidence, candidates });
            }
        }
        claims
    }

    /// The run is over: what is known of all the calls so far.
    pub fn end(&mut self, now: BootNs) -> Vec<Claim> {
        for (pid, process) in self.processes.iter_mut() {
            process.look_again(now, true);
            self.touched.push(*pid);
        }
        self.decided(now, true)
    }

    /// Calls of a process are looked at again; those of another may be no more.
    pub(super) fn looks_at(&mut self, pid: ProcessId) {
        if let Some((evicted, ())) = self.looked_at.push(pid, ())
            && evicted != pid
            && let Some(process) = self.processes.peek_mut(&evicted)
        {
            process.hindsight = None;
        }
    }
}

impl Process {
    /// A call was made, by this request if that is `known`, or else by the `likely` one. Says whether it is looked at again,
    /// for which there is this `room`; without, it only helps with others.
    pub(super) fn sent(
        &mut self,
        now: BootNs,
        call: ExchangeId,
        outbound: &Outbound<'_>,
        execution: Execution,
        [known, likely]: [Option<ExchangeId>; 2],
        room: Option<&Room>,
    ) -> bool {
        if let Some(delays) = &mut self.delays {
            delays.sent(now, call, outbound.hash(), known);
            return false;
        }
        let begins = known.is_none() && self.hindsight.is_none();
        if let Some(room) = room.filter(|room| begins && !room.is_full()) {
            self.hindsight = Some(Box::new(Hindsight::new(room)));
        }
        let takes = |hindsight: &mut Box<Hindsight>| hindsight.takes(now, known.is_some());
        if !self.hindsight.as_mut().is_some_and(takes) {
            return false;
        }
        let (kind, candidates) = (outbound.hash(), self.at_work());
        if let Some(hindsight) = &mut self.hindsight {
            hindsight.sent(Sent { id: call, at: now, kind, execution, known, likely, candidates });
        }
        known.is_none()
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
