//! What only several samples of a process can show.
//!
//! Whoever asks says which: `service`, `process` and the other keys are hashes that it makes. Every table is bounded; what
//! is evicted is forgotten, so that a rule may not fire, or fire later.

mod acceptance;
mod parent_ids;
mod randomness;
mod roots;
pub mod rules;
mod updates;

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::format::{Fault, Fields};
use super::w3c::TraceParent;
use crate::rule::Rule;
use acceptance::Acceptance;
use parent_ids::ParentId;
use randomness::Generator;
use roots::Root;
use updates::Updates;

/// How many entries each table may have. By default all of them together take 4 MiB at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Parent-ids that services set, 128 bytes each.
    pub parent_ids: NonZeroUsize,
    /// Processes that start traces, 2 KiB each.
    pub starters: NonZeroUsize,
    /// Whom services receive context from, 128 bytes each.
    pub senders: NonZeroUsize,
    /// Processes that go on with traces, and each kind of their calls, 128 bytes each.
    pub forwarders: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        const fn entries(n: usize) -> NonZeroUsize {
            NonZeroUsize::MIN.saturating_add(n - 1)
        }
        Self { parent_ids: entries(8192), starters: entries(512), senders: entries(2048), forwarders: entries(8192) }
    }
}

/// The request a trace was started for.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Names the request.
    pub id: u64,
    /// Its method and route.
    pub route: u64,
    /// Values that related requests share; see [`RequestHead::affinity`](crate::exchange::RequestHead::affinity).
    pub affinity: &'a [u64],
}

/// What became of a valid `traceparent` that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its trace went on.
    Continued,
    /// Another one was started instead.
    Restarted,
}

/// The process, the kind of its calls or all of them, and whether the trace is sampled.
type UpdatesKey = (u64, Option<u64>, bool);

/// Samples of many processes.
#[derive(Debug)]
pub struct History {
    parent_ids: LruCache<(u64, u64), ParentId>,
    roots: LruCache<u64, Root>,
    generators: LruCache<u64, Generator>,
    senders: LruCache<u64, Acceptance>,
    updates: LruCache<UpdatesKey, Updates>,
    /// Entries that were forgotten for want of room.
    pub evicted: u64,
}

impl History {
    /// Without any.
    pub fn new(limits: Limits) -> Self {
        Self {
            parent_ids: LruCache::new(limits.parent_ids),
            roots: LruCache::new(limits.starters),
            generators: LruCache::new(limits.starters),
            senders: LruCache::new(limits.senders),
            updates: LruCache::new(limits.forwarders),
            evicted: 0,
        }
    }

    /// A service sent `sent` with a parent-id that is not the one it received: is it the same for several traces?
    pub fn parent_set(&mut self, service: u64, sent: &TraceParent) -> Option<Fault> {
        let known = entry(&mut self.parent_ids, (service, sent.parent_id), &mut self.evicted);
        known.is_reused(sent).then(|| fault(&rules::PARENT_ID_REUSED))
    }

    /// A process started a trace, or went on with it: is it that of requests that have nothing to do with each other?
    ///
    /// `origin` is the request that the call was certainly made for and that carried no context in any format; `None` for
    /// a call that was made for no request, or nobody knows for which, or in the trace of its request.
    pub fn root(&mut self, process: u64, trace_id: u128, origin: Option<Origin<'_>>) -> Option<Fault> {
        let root = entry(&mut self.roots, process, &mut self.evicted);
        root.is_reused(trace_id, origin).then(|| fault(&rules::TRACE_ID_REUSED))
    }

    /// A process made up a trace-id, which came from nowhere: are its ids made at random?
    pub fn generated(&mut self, process: u64, trace_id: u128) -> Option<Fault> {
        let generator = entry(&mut self.generators, process, &mut self.evicted);
        generator.is_patterned(trace_id).then(|| fault(&rules::TRACE_ID_NOT_RANDOM))
    }

    /// A process went on with a trace on a call of this kind, with a parent-id of its own (`updated`) or with the one that
    /// it received.
    pub fn went_on(&mut self, (process, kind): (u64, u64), sampled: bool, updated: bool) {
        for kind in [None, Some(kind)] {
            entry(&mut self.updates, (process, kind, sampled), &mut self.evicted).add(updated);
        }
    }

    /// Whether a process sets, as a rule, parent-ids of its own in traces that are sampled or are not, but never on calls of
    /// this kind.
    pub fn is_odd(&self, (process, kind): (u64, u64), sampled: bool) -> bool {
        let updates = |kind| self.updates.peek(&(process, kind, sampled)).copied().unwrap_or_default();
        updates(None).are_usual() && updates(Some(kind)).are_missing()
    }

    /// A service received a valid `traceparent` and made a call: does it refuse some that are as valid as others?
    ///
    /// `sender` stands for the service, the client, and the routes and destination of the hop together: whom a service
    /// trusts, and where, is its own choice.
    pub fn received(&mut self, sender: u64, head: Fields<'_>, value: &TraceParent, fate: Fate) -> Option<Fault> {
        let acceptance = entry(&mut self.senders, sender, &mut self.evicted);
        let form = acceptance.rejected(head, value, fate)?;
        Some(Fault { reason: Some(form), ..fault(&rules::VALID_TRACEPARENT_REJECTED) })
    }
}

fn entry<'a, K: Hash + Eq, V: Default>(table: &'a mut LruCache<K, V>, key: K, evicted: &mut u64) -> &'a mut V {
    *evicted += u64::from(table.len() == table.cap().get() && !table.contains(&key));
    table.get_or_insert_mut(key, V::default)
}

fn fault(rule: &'static Rule) -> Fault {
    Fault { rule, reason: None, detail: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::FieldLines;

    proptest! {
        #[test]
        fn it_stays_within_its_limits(calls: Vec<(u8, u128, Option<u8>)>) {
            let one = NonZeroUsize::MIN.saturating_add(3);
            let limits = Limits { parent_ids: one, starters: one, senders: one, forwarders: one };
            let mut history = History::new(limits);
            for (service, id, request) in calls {
                let value = TraceParent { version: request.unwrap_or(0), trace_id: id, parent_id: id as u64, flags: 0 };
                let origin = request.map(|id| Origin { id: id.into(), route: 1, affinity: &[] });
                history.parent_set(service.into(), &value);
                history.root(service.into(), id % 3, origin);
                history.generated(service.into(), id);
                history.went_on((service.into(), id as u64), id % 2 == 0, true);
                history.received(service.into(), Fields(&FieldLines::default()), &value, Fate::Restarted);
                prop_assert!(history.parent_ids.len() <= 4 && history.roots.len() <= 4);
                prop_assert!(history.generators.len() <= 4 && history.senders.len() <= 4);
                prop_assert!(history.updates.len() <= 4);
            }
        }
    }
}
