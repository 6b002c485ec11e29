//! A parent-id that is the same for several traces.
//!
//! Within one trace nothing can be shown: calls that are made under one span, and retries, rightly share its id. Small ids
//! may be counted anew in each trace, and need only be unique there.

use super::super::w3c::TraceParent;

/// Below this an id may be a counter.
const COUNTERS: u64 = 1 << 32;
/// Traces that make it certain.
const TRACES: usize = 3;

/// Traces in which a service set one parent-id, by the half of their ids that everybody keeps.
#[derive(Debug, Default)]
pub(super) struct ParentId {
    traces: [Option<u64>; TRACES],
}

impl ParentId {
    pub(super) fn is_reused(&mut self, sent: &TraceParent) -> bool {
        let trace = sent.trace_id as u64;
        if !self.traces.contains(&Some(trace))
            && let Some(free) = self.traces.iter_mut().find(|known| known.is_none())
        {
            *free = Some(trace);
        }
        sent.parent_id >= COUNTERS && self.traces.iter().all(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{History, Limits};
    use super::*;

    fn fires(ids: impl IntoIterator<Item = (u64, u128, u64)>) -> usize {
        let mut history = History::new(Limits::default());
        let value = |trace_id, parent_id| TraceParent { version: 0, trace_id, parent_id, flags: 1 };
        ids.into_iter().filter(|&(service, trace, id)| history.parent_set(service, &value(trace, id)).is_some()).count()
    }

    #[test]
    fn an_id_for_every_trace() {
        const ID: u64 = 0xb7ad_6b71_6920_3331;
        assert_eq!(fires((1..=5).map(|trace| (1, trace, ID))), 3);
        // Calls under one span, and retries.
        assert_eq!(fires((1..=9).map(|_| (1, 7, ID))), 0);
        // Half of the trace-id got lost.
        assert_eq!(fires((1..=9).map(|n| (1, (n % 2) << 64 | 7, ID))), 0);
        // Replicas of one host, each with a trace.
        assert_eq!(fires((1..=9).map(|n| (n, u128::from(n), ID))), 0);
        // Spans counted in each trace.
        assert_eq!(fires((1..=9).map(|trace| (1, trace, 1))), 0);
        assert_eq!(fires((1..=9).map(|n| (1, n.into(), ID + n))), 0);
    }
}
