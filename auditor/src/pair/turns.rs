//! With a duty cycle: processes that are looked at for a window of every period.
//!
//! What is open when a window ends is forgotten, for its end will not be seen; what the process said is remembered as
//! that of a replica that is gone. What is open when one begins is not known, and may be for as long as the window: a call
//! could always be its. So whose a call is is only said where that does not matter: the call carries the trace-id of the
//! request or another id of its own, or the thread tells, in a process that was seen to give requests that come together
//! threads of their own. A process that began within its window has nothing that nobody saw, and is judged as ever.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::Pairer;
use super::discipline::Discipline;
use super::inbound::{Execution, Inbound};
use super::pairing::{Pairing, Parents};
use super::process::{AFTERMATH, Process};
use super::suspect::Candidates;
use crate::exchange::Request;
use crate::record::{BootNs, DutyCycle, ProcessId, Window};

/// So long after the beginning of a window a request of the same trace may be at work that nobody saw.
const EARLY: BootNs = 2 * AFTERMATH;

/// Whose window ends when.
#[derive(Debug)]
pub(super) struct Turns {
    cycle: DutyCycle,
    ends: BTreeSet<(BootNs, ProcessId)>,
    /// How each process used its threads so far. Not each service: several programs may bear one name.
    disciplines: LruCache<ProcessId, Discipline>,
}

impl Turns {
    /// A process is heard of, for the first time in its window.
    pub(super) fn begin(&mut self, now: BootNs, pid: ProcessId, process: &mut Process) {
        let Window { start, end } = self.cycle.window(now, pid);
        self.ends.insert((end, pid));
        process.turn = (pid.start_ns < start).then_some(start);
        process.discipline = self.disciplines.get(&pid).copied().unwrap_or_default();
    }

    /// A process is forgotten.
    fn end(&mut self, now: BootNs, pid: ProcessId) {
        // It is heard of in its window only, or within the period at least.
        self.ends.remove(&(self.cycle.window(now, pid).end, pid));
    }

    /// A process whose window is over by now.
    fn over(&mut self, now: BootNs) -> Option<ProcessId> {
        self.ends.first().filter(|(end, _)| *end <= now)?;
        self.ends.pop_first().map(|(_, pid)| pid)
    }
}

impl Pairer {
    /// From now on processes are looked at in turns.
    pub fn take_turns(&mut self, cycle: DutyCycle) {
        let size = NonZeroUsize::new(self.limits.processes).unwrap_or(NonZeroUsize::MIN);
        let disciplines = LruCache::sparse(size);
        self.turns.get_or_insert_with(|| Turns { cycle, ends: BTreeSet::new(), disciplines });
    }

    /// Lets those rest whose windows are over.
    pub(super) fn rest(&mut self, now: BootNs) {
        while let Some(pid) = self.turns.as_mut().and_then(|turns| turns.over(now)) {
            let Some(process) = self.processes.peek(&pid) else { continue };
            let (service, discipline) = (process.service.clone(), process.discipline.remembered());
            self.turns.iter_mut().for_each(|turns| _ = turns.disciplines.put(pid, discipline));
            self.retire(pid, &service);
            if let Some(replicas) = self.services.get_mut(&service) {
                replicas.gone(pid);
            }
            self.forget(now, pid);
        }
    }

    /// A process has been forgotten.
    pub(super) fn misses_turn(&mut self, now: BootNs, pid: ProcessId) {
        self.turns.iter_mut().for_each(|turns| turns.end(now, pid));
    }

    /// Whether a process receives requests but nothing is known of them now: whose a call of its is cannot be told.
    pub(super) fn rests(&self, pid: ProcessId) -> bool {
        self.turns.is_some() && self.by_tgid.peek(&pid.tgid) == Some(&pid) && !self.processes.contains(&pid)
    }

    /// A call for which there is no request that was seen.
    pub(super) fn unpaired(&mut self, now: BootNs, request: &Request) -> Pairing {
        let unpaired = Pairing::unpaired(request.process);
        // Who knows what its process, or one above, received between its turns, or where nobody sees it.
        let unseen = self.turns.is_some() || self.may_be_hidden(now, request, None);
        if unseen { unpaired.unseen() } else { unpaired }
    }
}

impl Pairing {
    /// The same, but that a request that nobody saw may have made the call.
    pub(super) fn unseen(self) -> Self {
        Self { parents: Parents::Unclear, may_copy: true, unseen: true, ..self }
    }
}

impl Process {
    /// Whether a request that nobody saw, if there may be one, may have made a call rather than one of the candidates.
    pub(super) fn may_be_unseen(&self, candidates: &Candidates) -> bool {
        // After a response the thread may have received the next one.
        let own = candidates.is_of_thread() && !candidates.late && self.discipline.is_proven();
        !own && !candidates.is_named()
    }

    /// Whether a call there is certainly this request's.
    pub(super) fn is_at(&self, inbound: &Inbound, execution: Execution) -> bool {
        inbound.execution == execution && self.open.ids.contains(&inbound.id) && self.discipline.is_proven()
    }

    /// Whether that is so of a call with the trace of one that was seen.
    pub(super) fn may_share_trace(&self, now: BootNs) -> bool {
        self.turn.is_some_and(|began| now < began.saturating_add(EARLY))
    }
}
