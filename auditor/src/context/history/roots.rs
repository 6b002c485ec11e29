//! A trace-id that a service gives to requests that have nothing to do with each other.
//!
//! A job that runs for long makes all of its calls in one trace, and some of them while requests are open: one call
//! without a request clears the id for good. Requests that share a value, such as a session or an id of the application
//! from which the trace-id may be derived, are related.

use super::Origin;

/// Requests that make it certain.
const REQUESTS: usize = 4;
/// Values that are remembered of each.
const VALUES: usize = 4;

/// What is known of a trace that a service started.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// There was a call for no request.
    job: bool,
    requests: [Option<Request>; REQUESTS],
}

#[derive(Clone, Copy, Debug)]
struct Request {
    id: u64,
    values: [Option<u64>; VALUES],
}

impl Root {
    pub(super) fn is_reused(&mut self, origin: Option<Origin<'_>>) -> bool {
        let Some(origin) = origin else {
            self.job = true;
            return false;
        };
        // Of a request with more values nobody could say later that it shares none.
        if origin.affinity.len() > VALUES {
            return false;
        }
        let mut request = Request { id: origin.id, values: [None; VALUES] };
        for (slot, value) in request.values.iter_mut().zip(origin.affinity) {
            *slot = Some(*value);
        }
        let related = |known: &Request| {
            known.id == request.id || request.values.iter().flatten().any(|value| known.values.contains(&Some(*value)))
        };
        let known = self.requests.iter().flatten();
        let same = known.clone().any(|known| known.id == request.id);
        if !known.clone().any(related)
            && let Some(free) = self.requests.iter_mut().find(|known| known.is_none())
        {
            *free = Some(request);
        } else if !same {
            return false;
        }
        !self.job && self.requests.iter().all(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{History, Limits};
    use super::*;

    /// A request and what it shares with others.
    type Of = (u64, &'static [u64]);

    fn fires(calls: &[(u128, Option<Of>)]) -> usize {
        let mut history = History::new(Limits::default());
        calls
            .iter()
            .filter(|(trace, of)| history.root(1, *trace, of.map(|(id, affinity)| Origin { id, affinity })).is_some())
            .count()
    }

    #[test]
    fn a_trace_for_every_request() {
        let calls = |of: &[Of]| of.iter().map(|of| (7, Some(*of))).collect::<Vec<_>>();
        let one: Of = (1, &[]);
        let unrelated = calls(&[(1, &[]), (2, &[8]), (3, &[9]), (4, &[10, 11])]);
        assert_eq!(fires(&unrelated), 1);
        // One request makes many calls.
        assert_eq!(fires(&calls(&[one; 9])), 0);
        // A session.
        assert_eq!(fires(&calls(&[(1, &[5, 1]), (2, &[5, 2]), (3, &[3, 5]), (4, &[5]), (5, &[5])])), 0);
        // More to share than is remembered.
        assert_eq!(fires(&calls(&[(1, &[1, 2, 3, 4, 5]), (2, &[]), (3, &[]), (4, &[])])), 0);
        // A job that makes calls while requests are open.
        let mut job = vec![(7, None)];
        job.extend(&unrelated);
        assert_eq!(fires(&job), 0);
        let each = unrelated.iter().zip(1..).map(|((_, of), trace)| (trace, *of)).collect::<Vec<_>>();
        assert_eq!(fires(&each), 0);
    }
}
