//! What is known of a call and one of its candidates when both are over.

use super::Call;
use super::model::Model;
use crate::exchange::ExchangeId;
use crate::pair::inbound::Held;
use crate::record::BootNs;

/// Lags in octaves from this one up.
const SHORTEST: BootNs = 1 << 16;
pub(super) const OCTAVES: usize = 20;
/// How many values each has.
pub(super) const SINCE: usize = 3;
pub(super) const ENDS: usize = 3;
pub(super) const THREADS: usize = 4;
pub(super) const USES: usize = 3;

/// Small numbers, each of which stands for one thing that may be observed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Route of the request.
    pub(super) route: usize,
    /// What last set the request off before the call: its arrival, an answer to a call of its, its own response.
    pub(super) since: usize,
    /// How long before, in octaves.
    pub(super) start: usize,
    /// Of a request that was open: whether it was answered after the call was, while the call was not, or never. `None`:
    /// it had been answered.
    pub(super) end: Option<usize>,
    /// How long after the call, in octaves, if it was after it.
    pub(super) lag: usize,
    /// Whether the thread of the call answered the request next, before it, or received it.
    pub(super) thread: usize,
    /// Such calls that the request made besides.
    pub(super) used: usize,
}

impl Evidence {
    pub(super) fn of(call: &Call, id: ExchangeId, held: &Held, model: &mut Model) -> Self {
        let (end, lag) = match (call.answered, held.closed()) {
            (_, Some(closed)) if closed <= call.sent.at => (None, 0),
            (Some(answered), Some(closed)) if closed >= answered => (Some(0), octave(closed - answered)),
            (_, Some(_)) => (Some(1), 0),
            (_, None) => (Some(2), 0),
        };
        let thread = match () {
            () if call.after == Some(id) => 0,
            () if call.before == Some(id) => 1,
            () if call.sent.execution == held.inbound.execution => 2,
            () => 3,
        };
        let route = model.route(held.inbound.route_key);
        let mut evidence = Self { route, since: 0, start: 0, end, lag, thread, used: 0 };
        evidence.again(call, held);
        evidence
    }

    /// The same, for what else the request is taken to have called.
    pub(super) fn again(&mut self, call: &Call, held: &Held) {
        let sent = call.sent.at;
        let credits = || held.credits.iter();
        let answers = credits().filter_map(|credit| credit.answered).filter(|at| *at <= sent);
        let response = held.closed().filter(|at| *at <= sent);
        let arrival = std::iter::once((held.inbound.started, 0));
        let milestones = arrival.chain(answers.map(|at| (at, 1))).chain(response.map(|at| (at, 2)));
        let (at, since) = milestones.max().unwrap_or((sent, 0));
        (self.since, self.start) = (since, octave(sent.saturating_sub(at)));
        self.used = credits().filter(|credit| credit.kind == call.sent.kind).count().min(USES - 1);
    }
}

fn octave(lag: BootNs) -> usize {
    (lag / SHORTEST).checked_ilog2().map_or(0, |octave| octave as usize + 1).min(OCTAVES - 1)
}
