//! A service that is made up, so that the truth is known.

use std::collections::BTreeMap;

use super::random::Random;
use super::*;

const MS: u64 = 1_000_000;

/// What the requests of a service do, and when: `(time, what, id, number)`.
#[derive(Default)]
struct World {
    random: Random,
    events: Vec<(u64, u8, u64, u64)>,
    truth: BTreeMap<u64, Option<u64>>,
    ids: u64,
}

impl World {
    /// A time around `mean`, with a long tail.
    fn about(&mut self, mean: u64) -> u64 {
        let spread = (0..4).map(|_| self.random.unit()).sum::<f64>() / 2.0;
        let tail = if self.random.below(20) == 0 { 3.0 } else { 1.0 };
        (mean as f64 * spread * tail) as u64 + mean / 10
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn call(&mut self, start: u64, takes: u64, target: u64, parent: Option<u64>) -> u64 {
        let id = self.id();
        self.truth.insert(id, parent);
        self.events.push((start, 2, id, target));
        self.events.push((start + takes, 1, id, 0));
        start + takes
    }

    /// Route 1 calls A, then B and C at once; route 2 calls D; route 3 none.
    fn request(&mut self, start: u64) {
        let (id, route) = (self.id(), 1 + self.random.below(3) as u64);
        self.events.push((start, 0, id, route));
        let mut end = start + self.about(MS);
        if route == 1 {
            let takes = self.about(4 * MS);
            let first = self.call(end, takes, 10, Some(id));
            end = first;
            for target in [11, 12] {
                let (after, takes) = (self.about(MS / 2), self.about(5 * MS));
                end = self.call(first + after, takes, target, Some(id)).max(end);
            }
        } else if route == 2 {
            let takes = self.about(8 * MS);
            end = self.call(end, takes, 13, Some(id));
        }
        let rest = self.about(MS / 5);
        self.events.push((end + rest, 3, id, 0));
    }

    fn requests(count: u64, apart: u64) -> Self {
        let mut world = Self::default();
        let mut now = 1000 * MS;
        for _ in 0..count {
            now += (-(1.0 - world.random.unit()).ln() * apart as f64) as u64;
            world.request(now);
        }
        world
    }

    fn replay(&mut self, delays: &mut Delays) -> Vec<Decision> {
        self.events.sort_unstable();
        let mut decided = Vec::new();
        for (now, what, id, number) in self.events.iter().copied() {
            let id = ExchangeId(id);
            match what {
                0 => delays.opened(now, id, number),
                1 => delays.answered(now, id),
                2 => delays.sent(now, id, number, None),
                _ => delays.closed(now, id),
            }
            delays.settle(now, &mut decided);
        }
        delays.settle(u64::MAX / 8, &mut decided);
        decided
    }

    /// Claims at this confidence or above: how many, and the share of right ones.
    fn score(&self, decided: &[Decision], confidence: f64) -> (usize, f64) {
        let claimed: Vec<&Decision> = decided.iter().filter(|decision| decision.confidence >= confidence).collect();
        let right = claimed.iter().filter(|claim| claim.parent.map(|id| id.0) == self.truth[&claim.call.0]).count();
        (claimed.len(), right as f64 / claimed.len().max(1) as f64)
    }
}

#[test]
fn most_calls_are_found_and_the_confidence_is_honest() {
    let mut world = World::requests(1500, 4 * MS);
    let decided = world.replay(&mut Delays::default());
    assert_eq!(decided.len(), world.truth.len(), "every call is decided once");
    let (_, all) = world.score(&decided, 0.0);
    let (sure, right) = world.score(&decided, 0.99);
    assert!(all >= 0.95, "{all}");
    assert!(right >= 0.99 && sure * 3 >= decided.len(), "{right} of {sure}");
    assert!(world.score(&decided, 0.9).1 >= 0.97);
    let sole: Vec<Decision> =
        decided.into_iter().filter(|made| made.candidates == 1 && made.parent.is_some()).collect();
    assert!(world.score(&sole, 0.0).1 >= 0.998);
}

#[test]
fn under_load_confidence_falls_with_accuracy() {
    let mut world = World::requests(1500, MS / 2);
    let decided = world.replay(&mut Delays::default());
    let (_, all) = world.score(&decided, 0.0);
    let (sure, right) = world.score(&decided, 0.99);
    let claimed: f64 = decided.iter().map(|made| made.confidence).sum::<f64>() / decided.len() as f64;
    assert!(sure == 0 || right >= 0.97, "{right} of {sure}");
    assert!(claimed < all + 0.05, "claimed {claimed}, right {all}");
}

#[test]
fn calls_without_a_request_are_not_claimed_for_one() {
    let mut world = World::requests(1000, 10 * MS);
    for _ in 0..500 {
        let start = 1000 * MS + world.random.below(10_000) as u64 * MS;
        world.call(start, 2 * MS, 99, None);
    }
    let decided = world.replay(&mut Delays::default());
    let (_, right) = world.score(&decided, 0.99);
    assert!(right >= 0.99, "{right}");
    let none = decided.iter().filter(|made| world.truth[&made.call.0].is_none() && made.parent.is_none()).count();
    assert!(none >= 400, "{none} of 500 known to have none");
}

#[test]
fn many_open_requests_with_tight_delays() {
    let mut world = World::default();
    let mut now = 1000 * MS;
    for _ in 0..1000 {
        now += (-(1.0 - world.random.unit()).ln() * 20.0 * MS as f64) as u64;
        let after =
            |world: &mut World, low: f64, high: f64| ((low + world.random.unit() * (high - low)) * MS as f64) as u64;
        let (id, sent) = (world.id(), now + after(&mut world, 0.3, 1.5));
        let takes = after(&mut world, 600.0, 1900.0);
        let end = world.call(sent, takes, 10, Some(id)) + after(&mut world, 0.1, 0.6);
        world.events.extend([(now, 0, id, 1), (end, 3, id, 0)]);
    }
    let decided = world.replay(&mut Delays::default());
    let (_, all) = world.score(&decided, 0.0);
    assert!(all >= 0.97, "{all}");
}

#[test]
fn the_same_in_every_run() {
    let runs: Vec<Vec<Decision>> =
        (0..2).map(|_| World::requests(300, 2 * MS).replay(&mut Delays::default())).collect();
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn known_parents_teach_and_are_not_decided() {
    let mut delays = Delays::default();
    let mut decided = Vec::new();
    for request in 0..1000 {
        let (id, call, now) = (ExchangeId(2 * request), ExchangeId(2 * request + 1), request * 20 * MS);
        delays.opened(now, id, 1);
        delays.sent(now + MS, call, 2, Some(id));
        delays.answered(now + 3 * MS, call);
        delays.closed(now + 4 * MS, id);
        delays.settle(now + 4 * MS, &mut decided);
    }
    assert!(decided.is_empty());
    // Two are open; the call comes when one of them usually calls.
    let now = 100_000 * MS;
    let (early, late, call) = (ExchangeId(9001), ExchangeId(9002), ExchangeId(9003));
    delays.opened(now, early, 1);
    delays.opened(now + 9 * MS, late, 1);
    delays.sent(now + 10 * MS, call, 2, None);
    delays.settle(now + 60_000 * MS, &mut decided);
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0].parent, Some(late));
    assert!(decided[0].confidence > 0.9, "{}", decided[0].confidence);
}

#[test]
fn requests_that_never_end_do_not_fill_the_memory() {
    let mut delays = Delays::default();
    let mut decided = Vec::new();
    for request in 0..20_000u64 {
        let now = request * MS;
        delays.opened(now, ExchangeId(2 * request), request);
        delays.sent(now, ExchangeId(2 * request + 1), request, None);
        delays.settle(now, &mut decided);
    }
    assert!(delays.table.inbounds.len() <= 2 * REQUESTS, "{}", delays.table.inbounds.len());
    assert!(delays.table.calls.len() <= 4 * REQUESTS, "{}", delays.table.calls.len());
    assert_eq!(delays.inbounds.len(), delays.table.inbounds.len());
    assert_eq!(delays.calls.len(), delays.table.calls.len());
}

#[test]
fn nonsense_does_no_harm() {
    let mut random = Random::default();
    let mut delays = Delays::default();
    let mut decided = Vec::new();
    for _ in 0..20_000 {
        let (now, id) = (random.below(40) as u64 * 1000 * MS, ExchangeId(random.below(300) as u64));
        let other = ExchangeId(random.below(300) as u64);
        match random.below(5) {
            0 => delays.opened(now, id, id.0),
            1 => delays.closed(now, id),
            2 => delays.sent(now, id, 1, (random.below(3) == 0).then_some(other)),
            3 => delays.answered(now, id),
            _ => delays.settle(now, &mut decided),
        }
    }
    assert!(decided.iter().all(|made| (0.0..=1.0).contains(&made.confidence)));
}
