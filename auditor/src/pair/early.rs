//! The first calls of a class, looked at again once its delays are known: what they are learnt from cannot be told by
//! them when it is made.

use super::follow::Moment;
use crate::exchange::ExchangeId;

/// Calls that are kept: after so many the delays are known well.
const RIPE: usize = 32;
/// Routes of which it is kept when something last set a request of theirs off.
const ROUTES: usize = 8;

/// A call whose request was not certain.
#[derive(Clone, Debug)]
pub(super) struct Unsettled {
    pub(super) call: ExchangeId,
    pub(super) candidates: u32,
    /// What each route looked like when it was made.
    pub(super) routes: Vec<(u64, Moment)>,
}

/// The first calls of a class.
#[derive(Clone, Debug, Default)]
pub(super) struct Early {
    calls: Vec<Unsettled>,
    done: bool,
}

impl Early {
    /// Whether more calls are wanted.
    pub(super) fn is_open(&self) -> bool {
        !self.done
    }

    /// Keeps a call. Says which to look at again, once.
    pub(super) fn keep(
        &mut self,
        call: ExchangeId,
        candidates: u32,
        routes: impl Iterator<Item = (u64, Moment)>,
    ) -> Vec<Unsettled> {
        self.calls.push(Unsettled { call, candidates, routes: routes.take(ROUTES).collect() });
        if self.calls.len() >= RIPE { self.end() } else { Vec::new() }
    }

    /// No more come. Says which to look at again.
    pub(super) fn end(&mut self) -> Vec<Unsettled> {
        self.done = true;
        std::mem::take(&mut self.calls)
    }
}
