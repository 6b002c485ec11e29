//! A trace-id that a process gives to requests that have nothing to do with each other.
//!
//! It is one that every request gets, one after the other. A job that runs for long makes all of its calls in one trace,
//! and some of them while requests are open: one call of the trace that was not made for such a request clears the id.
//! Requests that share a value, such as a session or an id of the application from which the trace-id may be derived,
//! are related. So may be those of one route, but for a few: a step of a long work, whose trace is stored, is done at each
//! of them.

use super::Origin;

/// Requests in a row that make it certain.
const REQUESTS: usize = 16;
/// Of these, most that count of one route.
const ALIKE: usize = 12;
/// Values that are remembered of each.
const VALUES: usize = 4;

/// What is known of the trace that a process started last.
#[derive(Debug, Default)]
pub(super) struct Root {
    trace_id: u128,
    /// There was a call that was not made for a request without context.
    cleared: bool,
    requests: [Option<Request>; REQUESTS],
}

#[derive(Clone, Copy, Debug)]
struct Request {
    id: u64,
    route: u64,
    values: [Option<u64>; VALUES],
}

impl Root {
    pub(super) fn is_reused(&mut self, trace_id: u128, origin: Option<Origin<'_>>) -> bool {
        let Some(origin) = origin else {
            // Who sees it for the first time now may see a request with it next.
            if self.trace_id == trace_id || self.requests.iter().all(Option::is_none) {
                *self = Self { trace_id, cleared: true, requests: [None; REQUESTS] };
            }
            return false;
        };
        if self.trace_id != trace_id {
            *self = Self { trace_id, ..Self::default() };
        }
        // Of a request with more values nobody could say later that it shares none.
        if self.cleared || origin.affinity.len() > VALUES {
            return false;
        }
        let mut request = Request { id: origin.id, route: origin.route, values: [None; VALUES] };
        for (slot, value) in request.values.iter_mut().zip(origin.affinity) {
            *slot = Some(*value);
        }
        let related = |known: &Request| {
            known.id == request.id || request.values.iter().flatten().any(|value| known.values.contains(&Some(*value)))
        };
        let known = self.requests.iter().flatten();
        let same = known.clone().any(|known| known.id == request.id);
        if known.clone().any(related) && !same {
            return false;
        }
        if !same && let Some(free) = self.free(request.route) {
            *free = Some(request);
        }
        self.requests.iter().all(Option::is_some)
    }

    /// A place for one more request of this route.
    fn free(&mut self, route: u64) -> Option<&mut Option<Request>> {
        let alike = self.requests.iter().flatten().filter(|known| known.route == route).count();
        self.requests.iter_mut().find(|known| known.is_none()).filter(|_| alike < ALIKE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{History, Limits};
    use super::*;

    /// A request, its route, and what it shares with others.
    type Of = (u64, u64, &'static [u64]);

    fn fires(calls: impl IntoIterator<Item = (u128, Option<Of>)>) -> usize {
        let mut history = History::new(Limits::default());
        let origin = |(id, route, affinity)| Origin { id, route, affinity };
        calls.into_iter().filter(|(trace, of)| history.root(1, *trace, of.map(origin)).is_some()).count()
    }

    fn unrelated() -> impl Iterator<Item = (u128, Option<Of>)> {
        (1..=16).map(|id| (7, Some((id, id % 2, &[][..]))))
    }

    #[test]
    fn a_trace_for_every_request() {
        assert_eq!(fires(unrelated()), 1);
        assert_eq!(fires(unrelated().chain(unrelated())), 17);
        // The other route is late.
        assert_eq!(fires((1..=104).map(|id| (7, Some((id, id / 101, &[][..]))))), 1);
        assert_eq!(fires(unrelated().zip(1..).map(|((_, of), trace)| (trace, of))), 0);
    }

    #[test]
    fn requests_that_may_be_related() {
        // One request makes many calls.
        assert_eq!(fires((1..=20).map(|n| (7, Some((1, n % 2, &[][..]))))), 0);
        // A session.
        assert_eq!(fires((1..=40).map(|id| (7, Some((id, id % 2, &[5][..]))))), 0);
        // Steps of a work that takes long, and its begin and end.
        assert_eq!(fires((1..=40).map(|id| (7, Some((id, 1, &[][..]))))), 0);
        let route = |id: u64| if id % 19 == 1 { id } else { 1 };
        assert_eq!(fires((1..=40).map(|id| (7, Some((id, route(id), &[][..]))))), 0);
        // More to share than is remembered.
        assert_eq!(fires((1..=40).map(|id| (7, Some((id, id % 2, &[1, 2, 3, 4, 5][..]))))), 0);
    }

    #[test]
    fn a_job_that_makes_calls_while_requests_are_open() {
        assert_eq!(fires([(7, None)].into_iter().chain(unrelated())), 0);
        assert_eq!(fires(unrelated().take(15).chain([(7, None)]).chain(unrelated())), 0);
        // Another trace than the one that all requests get.
        assert_eq!(fires(unrelated().take(15).chain([(8, None)]).chain(unrelated().skip(15))), 1);
        // While others are started as they should.
        assert_eq!(fires(unrelated().flat_map(|call| [call, (8, call.1)])), 0);
    }
}
