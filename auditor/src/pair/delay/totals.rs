//! How many calls of which kinds a request makes in all. Most make exactly the same as every other of their route:
//! nothing tells more about who made which call.

use std::collections::BTreeMap;

/// Counts of one kind told apart.
const MOST: usize = 8;
/// Weight, in requests, of what was expected of a kind, and of kinds that have nothing to do with each other.
const KIND: f64 = 0.5;
const SET: f64 = 1.0;
/// Sets told apart.
const SETS: usize = 256;

/// Requests by how many calls of a kind they made.
type Counts = [f64; MOST + 1];

#[derive(Clone, Debug, Default)]
struct Route {
    requests: f64,
    kinds: BTreeMap<u16, Counts>,
    /// Requests by hash of the calls they made.
    sets: BTreeMap<u64, f64>,
    /// Log probability that none is made of any kind.
    none: f64,
}

impl Route {
    /// Probability of so many of a kind.
    fn share(&self, kind: u16, count: usize) -> f64 {
        let expected = 0.5f64.powi(count as i32 + 1);
        let seen = match self.kinds.get(&kind) {
            Some(counts) => counts.get(count).copied().unwrap_or_default(),
            None if count == 0 => self.requests,
            None => 0.0,
        };
        (seen + KIND * expected) / (self.requests + KIND)
    }

    /// Probability of so many or more.
    fn share_from(&self, kind: u16, count: usize) -> f64 {
        let expected = 0.5f64.powi(count as i32);
        let seen = match self.kinds.get(&kind) {
            Some(counts) => counts.iter().skip(count).sum(),
            None if count == 0 => self.requests,
            None => 0.0,
        };
        (seen + KIND * expected) / (self.requests + KIND)
    }
}

/// By route.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    routes: BTreeMap<u16, Route>,
}

impl Totals {
    /// Log probability that a request which has made `before` calls of a kind makes another one.
    pub(super) fn another(&self, route: u16, kind: u16, before: usize) -> f64 {
        let Some(route) = self.routes.get(&route).filter(|_| before < MOST) else { return -std::f64::consts::LN_2 };
        (route.share_from(kind, before + 1) / route.share_from(kind, before)).ln()
    }

    /// Log probability that it makes no others than these, by kind, with this hash.
    pub(super) fn enough(&self, route: u16, kinds: &[(u16, usize)], hash: u64) -> f64 {
        let Some(route) = self.routes.get(&route) else { return 0.0 };
        let (mut apart, mut another) = (route.none, 0.0);
        for (kind, count) in kinds {
            apart += (route.share(*kind, (*count).min(MOST)) / route.share(*kind, 0)).ln();
            another += route.share_from(*kind, (*count).min(MOST)).ln();
        }
        let together = route.sets.get(&hash).copied().unwrap_or_default();
        ((together + SET * apart.exp()) / (route.requests + SET)).ln() - another
    }

    pub(super) fn add(&mut self, route: u16, kinds: &[(u16, usize)], hash: u64) {
        let route = self.routes.entry(route).or_default();
        for (kind, count) in kinds {
            let requests = route.requests;
            let counts = route.kinds.entry(*kind).or_insert_with(|| {
                let mut counts = [0.0; MOST + 1];
                counts[0] = requests;
                counts
            });
            if let Some(counts) = counts.get_mut((*count).min(MOST)) {
                *counts += 1.0;
            }
        }
        for (kind, counts) in &mut route.kinds {
            if !kinds.iter().any(|(other, _)| other == kind) {
                counts[0] += 1.0;
            }
        }
        route.requests += 1.0;
        if route.sets.len() < SETS || route.sets.contains_key(&hash) {
            *route.sets.entry(hash).or_default() += 1.0;
        }
    }

    /// The past counts half.
    pub(super) fn age(&mut self) {
        for route in self.routes.values_mut() {
            route.requests /= 2.0;
            route.sets.values_mut().for_each(|requests| *requests /= 2.0);
            route.sets.retain(|_, requests| *requests > 0.25);
            route.kinds.values_mut().flatten().for_each(|requests| *requests /= 2.0);
        }
    }

    pub(super) fn refresh(&mut self) {
        for route in self.routes.values_mut() {
            route.none = route.kinds.keys().map(|kind| route.share(*kind, 0).ln()).sum();
        }
    }
}
