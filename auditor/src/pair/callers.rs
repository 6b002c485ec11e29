//! On whose behalf a request is sent: its process, or one above it that receives requests.

use auditor_ebpf::wire;
use smallvec::SmallVec;

use super::Pairer;
use super::children::Child;
use super::inbound::{Execution, execution};
use crate::exchange::Request;
use crate::record::ProcessId;

/// Those for whom a request may be sent, nearest first.
pub(super) type Callers = SmallVec<[(ProcessId, Execution); 1 + wire::ANCESTORS]>;

impl Pairer {
    /// The process and thread that send a request, and those above which receive requests.
    pub(super) fn own_and_above(&self, request: &Request) -> Callers {
        let own = (request.process, execution(request.tid, request.coroutine));
        let above = request.ancestors.iter().filter(|a| a.tgid != 0 && a.tgid != request.process.tgid);
        let above = above.filter_map(|a| Some((*self.by_tgid.peek(&a.tgid)?, execution(a.tid, 0))));
        std::iter::once(own).chain(above).collect()
    }

    /// The process and thread on whose behalf a request is sent, with the child that sends it: itself if it receives
    /// requests, else the nearest process above that does.
    pub(super) fn actor(&mut self, request: &Request) -> Option<(ProcessId, Execution, Option<Child>)> {
        if self.processes.contains(&request.process) {
            return Some((request.process, execution(request.tid, request.coroutine), None));
        }
        if self.rests(request.process) {
            return None;
        }
        let mut child = Child { tgid: request.process.tgid, born: request.process.start_ns };
        for above in request.ancestors.iter().filter(|a: &&wire::Task| a.tgid != 0 && a.tgid != request.process.tgid) {
            // A pid that was reused belongs to a process younger than the child.
            let known = self.by_tgid.peek(&above.tgid).filter(|pid| pid.start_ns <= child.born);
            if known.is_some_and(|pid| self.rests(*pid)) {
                return None;
            }
            if let Some(pid) = known.filter(|pid| self.processes.contains(pid)) {
                return Some((*pid, execution(above.tid, 0), Some(child)));
            }
            child.tgid = above.tgid;
        }
        None
    }
}
