//! The processes of one service. Each is a test of its own, and they all bear witness: workers of a prefork server, and
//! those of a server that forks for every connection, none of which lives to see many requests.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::evidence::Evidence;
use crate::record::ProcessId;

/// Processes that are asked one by one: the latest, and as many more as these still have requests to answer.
const ASKED: usize = 64;
/// There are no more of them, whatever they still have to answer.
const BUSY: usize = 256;
/// Classes and routes of which it is kept what the processes before them said.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// A class, by its hash, and the route of the requests that may make its calls.
pub(super) type About = (u64, Option<u64>);

/// The processes of one service, and what is known from those that are not asked any more.
#[derive(Debug)]
pub(super) struct Replicas {
    asked: VecDeque<ProcessId>,
    said: LruCache<About, Evidence>,
    /// Losses that this state knows of.
    epoch: u64,
}

impl Replicas {
    pub(super) fn new() -> Self {
        Self { asked: VecDeque::new(), said: LruCache::sparse(KEPT), epoch: 0 }
    }

    /// There is another process. Says which are not asked any more.
    pub(super) fn push(&mut self, process: ProcessId, is_busy: impl Fn(ProcessId) -> bool) -> Vec<ProcessId> {
        self.asked.push_back(process);
        let mut retired = Vec::new();
        let full = self.asked.len() > BUSY;
        while self.asked.len() > ASKED
            && let Some(oldest) = self.asked.pop_front_if(|oldest| full || !is_busy(*oldest))
        {
            retired.push(oldest);
        }
        retired
    }

    /// Those that are asked.
    pub(super) fn asked(&self) -> impl Iterator<Item = ProcessId> {
        self.asked.iter().copied()
    }

    /// The turn of a process is over: it is not asked any more.
    pub(super) fn gone(&mut self, process: ProcessId) {
        self.asked.retain(|asked| *asked != process);
    }

    /// What a process said that is not asked any more.
    pub(super) fn keep(&mut self, epoch: u64, said: impl IntoIterator<Item = (About, Evidence)>) {
        // After a loss nothing that was said before counts.
        if self.epoch != epoch {
            self.epoch = epoch;
            self.said.clear();
        }
        for (about, evidence) in said {
            self.said.get_or_insert_mut(about, Evidence::default).keep(evidence);
        }
    }

    /// What such processes said.
    pub(super) fn said(&self, epoch: u64, about: &About) -> Evidence {
        self.said.peek(about).filter(|_| self.epoch == epoch).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(tgid: u32) -> ProcessId {
        ProcessId { tgid, start_ns: 1 }
    }

    #[test]
    fn who_still_has_to_answer_is_asked() {
        let mut replicas = Replicas::new();
        let busy = |process: ProcessId| process.tgid > 10;
        assert!((0..ASKED as u32).all(|n| replicas.push(pid(n), busy).is_empty()));
        let retired: Vec<_> =
            (100..120).flat_map(|n| replicas.push(pid(n), busy)).map(|process| process.tgid).collect();
        assert_eq!(retired, (0..=10).collect::<Vec<_>>());
        for n in 200..200 + 2 * BUSY as u32 {
            replicas.push(pid(n), |_| true);
            assert!(replicas.asked().count() <= BUSY);
        }
    }

    #[test]
    fn what_was_said_is_kept_until_records_are_lost() {
        const ABOUT: About = (7, Some(1));
        let said = Evidence { log: 30.0, hits: 4, ..Evidence::default() };
        let mut replicas = Replicas::new();
        replicas.keep(0, [(ABOUT, said), (ABOUT, said)]);
        let kept = |replicas: &Replicas, epoch| {
            let evidence = replicas.said(epoch, &ABOUT);
            (evidence.log, evidence.hits)
        };
        assert_eq!(kept(&replicas, 0), (50.0, 8));
        // Of a timer nothing but what speaks for the service.
        for (log, kept_log) in [(9.0, 50.0), (-9.0, 41.0)] {
            replicas.keep(0, [(ABOUT, Evidence { is_clockwork: true, log, ..said })]);
            assert_eq!((kept(&replicas, 0), replicas.said(0, &ABOUT).is_clockwork), ((kept_log, 8), false));
        }
        assert_eq!(replicas.said(0, &(7, None)).hits, 0);
        assert_eq!(kept(&replicas, 1), (0.0, 0));
        replicas.keep(1, [(ABOUT, said)]);
        assert_eq!(kept(&replicas, 1), (30.0, 4));
    }
}
