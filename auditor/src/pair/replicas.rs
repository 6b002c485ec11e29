//! The processes of one service. Each is a test of its own, and they all bear witness: workers of a prefork server, and
//! those of a server that forks for every connection, none of which lives to see many requests.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::class::Evidence;
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
