//! What is known of a call and one of its candidates when both are over.

use std::ops::Range;

use super::Call;
use super::model::Model;
use crate::exchange::ExchangeId;
use crate::pair::inbound::Held;
use crate::record::BootNs;

/// Lags in octaves from this one up.
const SHORTEST: BootNs = 1 << 16;
const OCTAVES: usize = 20;
/// From what set it off to the call: its arrival, an answer, its own response.
pub(super) const STARTS: usize = 3 * OCTAVES;
/// From the answer of the call to its response; then the responses that were sent before the call, those that were
/// before its answer, and those that never were.
pub(super) const ENDS: usize = OCTAVES + 3;
pub(super) const THREADS: usize = 4;
pub(super) const USES: usize = 3;

/// Small numbers, each of which stands for one thing that may be observed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Route of the request.
    pub(super) route: usize,
    /// Since what the call was made, and how soon.
    pub(super) start: usize,
    /// What came of the request after the call was answered, and how soon.
    pub(super) end: usize,
    /// Whether the thread of the call answered the request next, before it, or received it.
    pub(super) thread: usize,
    /// Such calls that the request made besides.
    pub(super) used: usize,
}

impl Evidence {
    pub(super) fn of(call: &Call, id: ExchangeId, held: &Held, model: &mut Model) -> Self {
        let end = match (call.answered, held.closed) {
            (_, Some(closed)) if closed <= call.sent.at => OCTAVES,
            (Some(answered), Some(closed)) if closed >= answered => octave(closed - answered),
            (_, Some(_)) => OCTAVES + 1,
            (_, None) => OCTAVES + 2,
        };
        let thread = match () {
            () if call.after == Some(id) => 0,
            () if call.before == Some(id) => 1,
            () if call.sent.execution == held.inbound.execution => 2,
            () => 3,
        };
        let mut evidence = Self { route: model.route(held.inbound.route_key), start: 0, end, thread, used: 0 };
        evidence.again(call, held);
        evidence
    }

    /// The same, for what else the request is taken to have called.
    pub(super) fn again(&mut self, call: &Call, held: &Held) {
        let sent = call.sent.at;
        let answers = held.credits.iter().filter_map(|credit| credit.answered).filter(|at| *at <= sent);
        let response = held.closed.filter(|at| *at <= sent);
        let arrival = std::iter::once((held.inbound.started, 0));
        let milestones = arrival.chain(answers.map(|at| (at, 1))).chain(response.map(|at| (at, 2)));
        let (since, what) = milestones.max().unwrap_or((sent, 0));
        self.start = what * OCTAVES + octave(sent.saturating_sub(since));
        self.used = held.credits.iter().filter(|credit| credit.kind == call.sent.kind).count().min(USES - 1);
    }
}

/// The values that differ only in the lag.
pub(super) fn start_group(start: usize) -> Range<usize> {
    let first = start / OCTAVES * OCTAVES;
    first..first + OCTAVES
}

/// The same of what came of the request.
pub(super) fn end_group(end: usize) -> Range<usize> {
    if end < OCTAVES { 0..OCTAVES } else { end..end + 1 }
}

fn octave(lag: BootNs) -> usize {
    (lag / SHORTEST).checked_ilog2().map_or(0, |octave| octave as usize + 1).min(OCTAVES - 1)
}
