//! What the values that a call has in common with the open requests say of its parent.
//!
//! A value that a call shares with a request is evidence for that request as far as other requests, and calls that
//! none of the requests explains, do not have it: a request id says almost everything, the tenant of every tenth
//! request a little, a service's own token, or a setting that stands in all calls, nothing. How common a value is, is
//! learnt from the requests and calls of the process, older ones counting less and less.

use std::collections::BTreeMap;

use lru::LruCache;

use super::HashMap;
use crate::exchange::ExchangeId;
use crate::http::NAMES_REQUEST;

/// Open requests that are told apart by one value; while more have it, it says nothing.
const HOLDERS: usize = 32;
/// Requests remembered for one value after they were closed: calls may come after the response.
const CLOSED: usize = 4;
/// Values whose counts are remembered.
const COUNTS: usize = 1024;
/// After so many requests, what was counted before counts half.
const EPOCH: u32 = 512;
/// The share of requests that have a value which no other had so far, as if so many had been seen among one: most
/// values are ids.
const PRIOR: f64 = 0.05;
/// What each further value of the same request counts compared to the one before: those of one user come together.
const FURTHER: f64 = 0.5;

/// What a call has in common with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shared {
    pub(super) id: ExchangeId,
    /// How much likelier it is the parent than another, or none; natural logarithm.
    pub(super) log_ratio: f64,
    /// One of the values no other request had, as far as is remembered. It may still be that of a user, whom the service
    /// also works for when none of their requests is open.
    pub(super) unique: bool,
    /// And it names the request.
    pub(super) named: bool,
}

/// What a value is looked up by, and whether it names one request.
fn key(value: u64) -> (u64, bool) {
    (value & !NAMES_REQUEST, value & NAMES_REQUEST != 0)
}

/// Who has a value now.
#[derive(Debug, Default)]
struct Holders {
    /// It names the request.
    named: bool,
    open: Vec<ExchangeId>,
    /// The last that were closed.
    closed: Vec<ExchangeId>,
    /// Open requests for which there was no room.
    crowd: usize,
}

/// How often a value was seen, as of an epoch.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Requests that had it.
    received: f64,
    /// Calls that had it.
    sent: f64,
    /// Of these, those for which no known request had it.
    unexplained: f64,
    epoch: u32,
    /// Number of the latest request when it was last seen.
    at: u64,
}

#[derive(Debug)]
struct Held {
    values: Box<[u64]>,
    open: bool,
}

/// The values of one process.
#[derive(Debug)]
pub(super) struct Affinity {
    requests: BTreeMap<ExchangeId, Held>,
    /// Most requests that are held.
    limit: usize,
    holders: HashMap<u64, Holders>,
    counts: LruCache<u64, Count>,
    /// Requests so far.
    received: u64,
    /// The same, decayed as the counts are.
    weight: f64,
    epoch: u32,
    /// Number of the latest request when a value was last seen whose count is forgotten.
    forgotten_at: u64,
}

impl Affinity {
    /// Holds the values of at most `limit` requests; when there are more, the oldest is forgotten.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            requests: BTreeMap::new(),
            limit: limit.max(1),
            holders: HashMap::default(),
            counts: LruCache::unbounded(),
            received: 0,
            weight: 0.0,
            epoch: 0,
            forgotten_at: 0,
        }
    }

    /// A request with these values, none of them twice, was received. Ids increase.
    pub(super) fn opened(&mut self, id: ExchangeId, values: &[u64]) {
        self.received += 1;
        self.weight += 1.0;
        if self.received.is_multiple_of(u64::from(EPOCH)) {
            self.epoch += 1;
            self.weight /= 2.0;
        }
        for (value, _) in values.iter().map(|value| key(*value)) {
            self.count(value, |count| count.received += 1.0);
        }
        // A request without values says nothing, and its absence says the same.
        if values.is_empty() || self.requests.contains_key(&id) {
            return;
        }
        for (value, named) in values.iter().map(|value| key(*value)) {
            let holders = self.holders.entry(value).or_default();
            holders.named = named;
            if holders.open.len() < HOLDERS {
                holders.open.push(id);
            } else {
                holders.crowd += 1;
            }
        }
        let values = values.iter().map(|value| key(*value).0).collect();
        self.requests.insert(id, Held { values, open: true });
        while self.requests.len() > self.limit {
            let Some((&oldest, _)) = self.requests.first_key_value() else { break };
            self.forget(oldest);
        }
    }

    /// The request was answered or given up: from now on few of its like are remembered.
    pub(super) fn closed(&mut self, id: ExchangeId) {
        let Some(held) = self.requests.get_mut(&id) else { return };
        if !std::mem::take(&mut held.open) {
            return;
        }
        for value in &held.values {
            let Some(holders) = self.holders.get_mut(value) else { continue };
            let Some(at) = holders.open.iter().position(|holder| *holder == id) else {
                holders.crowd = holders.crowd.saturating_sub(1);
                continue;
            };
            holders.open.remove(at);
            if holders.closed.len() >= CLOSED {
                holders.closed.remove(0);
            }
            holders.closed.push(id);
        }
    }

    /// The request is no candidate any more.
    pub(super) fn forget(&mut self, id: ExchangeId) {
        self.closed(id);
        let Some(held) = self.requests.remove(&id) else { return };
        for value in &held.values {
            let Some(holders) = self.holders.get_mut(value) else { continue };
            holders.closed.retain(|holder| *holder != id);
            if holders.open.is_empty() && holders.closed.is_empty() && holders.crowd == 0 {
                self.holders.remove(value);
            }
        }
    }

    /// A call with these values was sent; to be told of every call, once. Of the candidates that share any of them:
    /// natural logarithm of how much likelier the call is if that one made it than if another, or none, did. The others
    /// have 0. In order of their ids.
    pub(super) fn shared(&mut self, values: &[u64], candidate: impl Fn(ExchangeId) -> bool) -> Vec<Shared> {
        let mut evidence: BTreeMap<ExchangeId, (Vec<f64>, bool, bool)> = BTreeMap::new();
        for (value, _) in values.iter().map(|value| key(*value)) {
            let holders = self.holders.get(&value);
            let explained = holders.is_some();
            // Before this call is counted: it is not known yet whose it is.
            let ratio = self.log_ratio(value);
            let unique = self.counts.peek(&value).is_some_and(|count| count.at_epoch(self.epoch).received <= 1.0);
            self.count(value, |count| {
                count.sent += 1.0;
                count.unexplained += f64::from(u8::from(!explained));
            });
            let Some(holders) = self.holders.get(&value).filter(|holders| holders.crowd == 0 && ratio > 0.0) else {
                continue;
            };
            for id in holders.open.iter().chain(&holders.closed).filter(|id| candidate(**id)) {
                let (ratios, any_unique, any_named) = evidence.entry(*id).or_default();
                ratios.push(ratio);
                *any_unique |= unique;
                *any_named |= unique && holders.named;
            }
        }
        let total = |mut ratios: Vec<f64>| {
            ratios.sort_by(|a, b| b.total_cmp(a));
            ratios.into_iter().rev().fold(0.0, |further, ratio| ratio + FURTHER * further)
        };
        let shared = |(id, (ratios, unique, named))| Shared { id, log_ratio: total(ratios), unique, named };
        evidence.into_iter().map(shared).collect()
    }

    /// Of a request that has the value, against a request or a background job picked at random.
    fn log_ratio(&self, value: u64) -> f64 {
        let count = self.counts.peek(&value).map_or(Count::default(), |count| count.at_epoch(self.epoch));
        // A value that comes back after more requests than counts last looks new every time: no more requests than
        // that are known not to have had it.
        let known = self.weight.min((self.received - self.forgotten_at.min(self.received)) as f64);
        let others = (count.received - 1.0).max(0.0);
        let common = (others + PRIOR) / ((known - 1.0).max(others) + 1.0 + PRIOR);
        let background = count.unexplained / (count.sent + 1.0);
        -common.max(background).min(1.0).ln()
    }

    fn count(&mut self, value: u64, add: impl FnOnce(&mut Count)) {
        let (epoch, at) = (self.epoch, self.received);
        let count = self.counts.get_or_insert_mut(value, Count::default);
        *count = Count { at, ..count.at_epoch(epoch) };
        add(count);
        while self.counts.len() > COUNTS {
            let Some((_, gone)) = self.counts.pop_lru() else { break };
            self.forgotten_at = self.forgotten_at.max(gone.at);
        }
    }
}

impl Count {
    fn at_epoch(self, epoch: u32) -> Self {
        let passed = i32::try_from(epoch.saturating_sub(self.epoch)).unwrap_or(i32::MAX);
        let left = 0.5_f64.powi(passed);
        let (received, sent) = (self.received * left, self.sent * left);
        Self { received, sent, unexplained: self.unexplained * left, epoch, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: fn(ExchangeId) -> bool = |_| true;

    fn ratio(found: &[Shared], id: u64) -> f64 {
        found.iter().find(|found| found.id == ExchangeId(id)).map_or(0.0, |found| found.log_ratio)
    }

    /// `open` requests, each with an id of its own, the tenant of every fourth, and the token of all.
    fn busy(open: u64, before: u64) -> Affinity {
        let mut affinity = Affinity::new(10_000);
        for n in 0..before + open {
            affinity.opened(ExchangeId(n), &[1_000_000 + n, 100 + n % 4, 1]);
            if n < before {
                affinity.closed(ExchangeId(n));
                affinity.forget(ExchangeId(n));
            }
        }
        affinity
    }

    #[test]
    fn an_id_of_its_own_is_strong_evidence_and_soon() {
        for (before, least) in [(0, 5.0), (100, 7.0), (2000, 8.0)] {
            let found = busy(16, before).shared(&[1_000_000 + before + 3], ALL);
            assert_eq!(found.len(), 1);
            assert!(ratio(&found, before + 3) > least, "{before}: {found:?}");
        }
    }

    #[test]
    fn what_many_have_is_weak_and_what_all_have_is_nothing() {
        let mut affinity = busy(16, 400);
        let tenant = affinity.shared(&[102], ALL);
        assert_eq!(tenant.len(), 4);
        assert!(tenant.iter().all(|t| t.id.0 % 4 == 2 && !t.unique && (1.0..1.6).contains(&t.log_ratio)), "{tenant:?}");
        let token = affinity.shared(&[1], ALL);
        assert!(token.iter().all(|token| token.log_ratio < 0.01), "{token:?}");
    }

    #[test]
    fn more_values_in_common_are_more_evidence_but_not_as_if_they_were_independent() {
        let mut affinity = busy(16, 400);
        let both = ratio(&affinity.shared(&[1_000_402, 102], ALL), 402);
        let id = ratio(&affinity.shared(&[1_000_402], ALL), 402);
        let tenant = ratio(&affinity.shared(&[102], ALL), 402);
        assert!(id < both && both < id + tenant, "{id} {tenant} {both}");
        // Of one user's two requests the one with the right order wins.
        for n in [500, 501] {
            affinity.opened(ExchangeId(n), &[7, 8, 9, 5_000_000 + n]);
        }
        let found = affinity.shared(&[7, 8, 9, 5_000_501], ALL);
        assert!(ratio(&found, 501) > ratio(&found, 500) + 2.0, "{found:?}");
    }

    #[test]
    fn what_only_calls_have_matches_nothing() {
        let mut affinity = busy(16, 100);
        assert_eq!(affinity.shared(&[77, 78], ALL), []);
        // A setting of the service that a request happens to have as well.
        for _ in 0..20 {
            affinity.shared(&[42], ALL);
        }
        affinity.opened(ExchangeId(9000), &[42]);
        let found = affinity.shared(&[42], ALL);
        assert!(ratio(&found, 9000) < 0.1, "{found:?}");
    }

    #[test]
    fn many_calls_of_one_request_stay_evidence() {
        let mut affinity = busy(16, 400);
        let first = ratio(&affinity.shared(&[1_000_401], ALL), 401);
        for _ in 0..100 {
            assert_eq!(ratio(&affinity.shared(&[1_000_401], ALL), 401), first);
        }
        // Also after the response, until the request is forgotten.
        affinity.closed(ExchangeId(401));
        assert_eq!(ratio(&affinity.shared(&[1_000_401], ALL), 401), first);
        assert_eq!(affinity.shared(&[1_000_401], |id| id != ExchangeId(401)), []);
        affinity.forget(ExchangeId(401));
        assert_eq!(affinity.shared(&[1_000_401], ALL), []);
    }

    #[test]
    fn the_slow_request_of_a_user_who_polls_is_not_lost_sight_of() {
        let mut affinity = busy(0, 400);
        affinity.opened(ExchangeId(1000), &[5]);
        for n in 1001..1200 {
            affinity.opened(ExchangeId(n), &[5]);
            affinity.closed(ExchangeId(n));
        }
        affinity.opened(ExchangeId(1200), &[5]);
        let found = affinity.shared(&[5], |id| id == ExchangeId(1000) || id == ExchangeId(1200));
        assert_eq!(ratio(&found, 1000), ratio(&found, 1200));
        assert_eq!(found.len(), 2);
        // With too many open at once nobody is preferred.
        for n in 2000..2100 {
            affinity.opened(ExchangeId(n), &[6]);
        }
        assert_eq!(affinity.shared(&[6], ALL), []);
        (2000..2090).for_each(|n| affinity.closed(ExchangeId(n)));
        assert_eq!(affinity.shared(&[6], |id| id.0 > 2003), []);
    }

    #[test]
    fn a_value_that_comes_back_seldom_is_not_taken_for_an_id() {
        let mut affinity = Affinity::new(10);
        for n in 0..20_000 {
            // Two hundred users with an id of each request and four more values, in turn.
            let values = [n % 200, 1000 + n * 8, 1001 + n * 8, 1002 + n * 8, 1003 + n * 8, 1004 + n * 8];
            affinity.opened(ExchangeId(n), &values);
        }
        let found = affinity.shared(&[19_999 % 200], ALL);
        assert!(ratio(&found, 19_999) < 8.2, "{found:?}");
    }

    #[test]
    fn everything_is_bounded_and_given_back() {
        let mut affinity = Affinity::new(100);
        for n in 0..5000 {
            affinity.opened(ExchangeId(n), &[n, n + 1_000_000, n % 10]);
            affinity.shared(&[n + 2_000_000], ALL);
            let (requests, holders, counts) = (affinity.requests.len(), affinity.holders.len(), affinity.counts.len());
            assert!(requests <= 100 && holders <= 210 && counts <= COUNTS);
        }
        affinity.opened(ExchangeId(5001), &[]);
        (0..6000).for_each(|n| affinity.forget(ExchangeId(n)));
        assert!(affinity.requests.is_empty() && affinity.holders.is_empty());
    }
}
