//! How much each observation says of whether a request made a call: how often it is made where one did, over how often
//! it is made of the other requests (record linkage, after Fellegi and Sunter). Both are learnt from calls whose request
//! is only supposed, each weighed by its probability.

use std::collections::BTreeMap;

use super::compared::Compared;
use super::evidence::{ENDS, Evidence, OCTAVES, SINCE, THREADS, USES};
use super::table::{MEMORY, Moments, Table};
use crate::pair::inbound::Execution;

/// Kinds of calls and routes that are told apart; the others count as one.
const KINDS: usize = 32;
const ROUTES: usize = 32;
/// Nothing is taken to be rarer than this of the other requests.
const RAREST: f64 = 0.002;
/// How much likelier a request makes its first call of a kind than its second, or one after that; and how many calls
/// that weighs. Else it would seem to be usual as soon as one of two requests is credited with the calls of both.
const USED: [f64; USES] = [1.0, 0.1, 0.05];
const FIRM: f64 = 64.0;
/// How many calls what is expected of lags weighs.
const LOOSE: f64 = 2.0;
/// How many calls of ten a request makes, for all that is known before any was seen.
const CAUSED: [f64; 2] = [9.0, 10.0];
/// Logarithms beyond this count as it.
const WEIGHTY: f64 = 4.0;
/// Standard errors by which calls are nearer to requests than calls that nobody made, at the least, and how many calls it
/// takes to know. Measured: a timer's up to 3, others 13 and more.
const APART: f64 = 5.0;
const SEEN: f64 = 8.0;

/// The observations of requests that did, or did not, make a call.
#[derive(Clone, Debug, Default)]
struct Tables {
    start: [Table<OCTAVES>; SINCE],
    lag: Table<OCTAVES>,
    since: Table<SINCE>,
    end: Table<ENDS>,
    thread: Table<THREADS>,
    used: Table<USES>,
    route: Table<ROUTES>,
}

impl Tables {
    fn add_lags(&mut self, evidence: &Evidence, weight: f64) {
        if let Some(start) = self.start.get_mut(evidence.since) {
            start.add(evidence.start, weight);
        }
        if evidence.end == Some(0) {
            self.lag.add(evidence.lag, weight);
        }
    }

    fn add_others(&mut self, evidence: &Evidence, weight: f64) {
        self.since.add(evidence.since, weight);
        if let Some(end) = evidence.end {
            self.end.add(end, weight);
        }
        self.thread.add(evidence.thread, weight);
        self.used.add(evidence.used, weight);
        self.route.add(evidence.route, weight);
    }
}

/// What is learnt of the calls of one kind.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// Of requests that made one.
    made: Tables,
    /// Of requests that one is compared with: for their lags, those that did not make it; for the rest all of them, since
    /// at any time there is one that the thread will answer next.
    others: Tables,
    /// What is expected of those that made one.
    start: [[f64; OCTAVES]; SINCE],
    lag: [f64; OCTAVES],
    calls: f64,
    caused: f64,
    /// How much likelier the candidates are if one of them made the call, as logarithms; the same of made-up calls.
    found: Moments,
    by_chance: Moments,
}

impl Default for Kind {
    fn default() -> Self {
        let mut kind = Self {
            made: Tables::default(),
            others: Tables::default(),
            start: [[0.0; OCTAVES]; SINCE],
            lag: [0.0; OCTAVES],
            calls: 0.0,
            caused: 0.0,
            found: Moments::default(),
            by_chance: Moments::default(),
        };
        kind.expect();
        kind
    }
}

impl Kind {
    fn expect(&mut self) {
        self.start = self.others.start.each_ref().map(Table::nearer);
        self.lag = self.others.lag.nearer();
    }

    /// Odds that a request made a call.
    pub(super) fn odds(&self) -> f64 {
        let [caused, of] = CAUSED;
        let (caused, calls) = (self.caused + caused, self.calls + of);
        caused / (calls - caused).max(f64::MIN_POSITIVE)
    }

    /// By how many standard errors its calls are nearer to requests than calls that nobody made.
    pub(super) fn apart(&self) -> f64 {
        self.found.above(self.by_chance)
    }

    /// Whether they are no nearer.
    pub(super) fn is_background(&self) -> bool {
        self.found.count >= SEEN && self.by_chance.count >= SEEN && self.apart() < APART
    }

    fn learn(&mut self, compared: &Compared, weight: f64) {
        for candidate in &compared.candidates {
            let made = candidate.share * weight;
            self.made.add_lags(&candidate.evidence, made);
            self.made.add_others(&candidate.evidence, made);
            self.others.add_lags(&candidate.evidence, weight - made);
            self.others.add_others(&candidate.evidence, weight);
        }
    }
}

/// How much likelier what is observed of a request is if it made the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    /// To tell it from the other candidates.
    pub(super) which: f64,
    /// To tell whether any made it. Of the thread nothing counts here, which is one more request's at any time.
    pub(super) whether: f64,
}

/// What is learnt of the calls of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    kinds: BTreeMap<u64, Kind>,
    /// Of calls of all kinds.
    all: Kind,
    /// Small numbers for routes.
    routes: BTreeMap<u64, usize>,
    /// Who answered last; how many answers there were, and how many came from the thread of the one before.
    last: Option<Execution>,
    answers: f64,
    again: f64,
}

impl Model {
    /// A request was answered by this thread.
    pub(super) fn responded(&mut self, execution: Execution) {
        self.again += f64::from(u8::from(self.last == Some(execution)));
        self.answers += 1.0;
        self.last = Some(execution);
        if self.answers > MEMORY {
            self.again /= 2.0;
            self.answers /= 2.0;
        }
    }

    /// The number of a route.
    pub(super) fn route(&mut self, key: u64) -> usize {
        let next = self.routes.len();
        match self.routes.get(&key) {
            Some(number) => *number,
            None if next + 1 >= ROUTES => ROUTES - 1,
            None => *self.routes.entry(key).or_insert(next),
        }
    }

    /// What is known of calls of a kind.
    pub(super) fn kind(&self, key: u64) -> &Kind {
        self.kinds.get(&key).or_else(|| self.kinds.get(&0)).unwrap_or(&self.all)
    }

    /// Makes up its mind on what is to be expected.
    pub(super) fn expect(&mut self) {
        self.kinds.values_mut().for_each(Kind::expect);
        self.all.expect();
    }

    /// `weight`: -1 takes back what was learnt before.
    pub(super) fn learn(&mut self, compared: &Compared, weight: f64) {
        let sent = &compared.call.sent;
        let key = if self.kinds.len() < KINDS || self.kinds.contains_key(&sent.kind) { sent.kind } else { 0 };
        let kind = self.kinds.entry(key).or_default();
        if sent.known.is_none() {
            let moments = if compared.call.made_up { &mut kind.by_chance } else { &mut kind.found };
            moments.add(compared.ratio.ln().clamp(-WEIGHTY, WEIGHTY), weight);
        }
        if compared.call.made_up {
            return;
        }
        kind.calls += weight;
        kind.caused += weight * (1.0 - compared.none);
        if kind.calls > MEMORY {
            kind.calls /= 2.0;
            kind.caused /= 2.0;
        }
        kind.learn(compared, weight);
        self.all.learn(compared, weight);
    }

    /// How much likelier it is to observe this of the request that made a call of the kind than of another. `said` remembers
    /// what each observation says of calls of the kind, until something is learnt.
    pub(super) fn ratio(&self, kind: &Kind, said: &mut Said, evidence: &Evidence) -> Ratio {
        let Evidence { route, since, start, end, lag, thread, used } = *evidence;
        let (made, others, all) = (&kind.made, &kind.others, &self.all.others);
        let starts = once(said.start.get_mut(since).and_then(|said| said.get_mut(start)), || {
            let tables =
                made.start.get(since).zip(others.start.get(since)).zip(all.start.get(since)).zip(kind.start.get(since));
            tables.map_or(1.0, |(((made, others), all), expected)| lags(made, others, all, expected, start))
        });
        let ends = match end {
            Some(0) => once(said.lag.get_mut(lag), || lags(&made.lag, &others.lag, &all.lag, &kind.lag, lag)),
            _ => 1.0,
        };
        let ends =
            ends * end.map_or(1.0, |end| once(said.end.get_mut(end), || usual(&made.end, &others.end, &all.end, end)));
        let starts = starts * once(said.since.get_mut(since), || usual(&made.since, &others.since, &all.since, since));
        let routes = once(said.route.get_mut(route), || usual(&made.route, &others.route, &all.route, route));
        let uses = once(said.used.get_mut(used), || self.uses(kind, used));
        let threads = once(said.thread.get_mut(thread), || self.threads(kind, thread));
        let whether = starts * ends * routes * uses;
        Ratio { which: whether * threads, whether }
    }

    fn uses(&self, kind: &Kind, used: usize) -> f64 {
        let (made, others, all) = (&kind.made.used, &kind.others.used, &self.all.others.used);
        let usual = |used| others.share(used, all.even(used)).max(RAREST);
        let first: f64 = USED.iter().enumerate().map(|(used, likely)| likely * usual(used)).sum();
        let expected = USED.get(used).copied().unwrap_or(0.0) * usual(used) / first;
        made.share_of(used, expected, FIRM) / usual(used)
    }

    fn threads(&self, kind: &Kind, thread: usize) -> f64 {
        // Of threads as much is expected as of those of other kinds of calls, or nothing.
        let usual = kind.others.thread.share(thread, self.all.others.thread.even(thread)).max(RAREST);
        let expected = f64::midpoint(usual, self.all.made.thread.share(thread, usual));
        // It tells as many requests apart as there are threads, by how often each answers.
        let most = (self.answers + 1.0) / (self.again + 1.0);
        (kind.made.thread.share(thread, expected) / usual).clamp(1.0 / most, most)
    }
}

/// How much likelier each observation is of the request that made a call of one kind, as far as that was asked: many
/// candidates have much in common.
#[derive(Debug, Default)]
pub(super) struct Said {
    start: [[Option<f64>; OCTAVES]; SINCE],
    lag: [Option<f64>; OCTAVES],
    since: [Option<f64>; SINCE],
    end: [Option<f64>; ENDS],
    thread: [Option<f64>; THREADS],
    used: [Option<f64>; USES],
    route: [Option<f64>; ROUTES],
}

fn once(said: Option<&mut Option<f64>>, ask: impl FnOnce() -> f64) -> f64 {
    match said {
        Some(said) => *said.get_or_insert_with(ask),
        None => ask(),
    }
}

/// How much likelier a lag is of the request that made a call.
fn lags(
    made: &Table<OCTAVES>,
    others: &Table<OCTAVES>,
    all: &Table<OCTAVES>,
    expected: &[f64; OCTAVES],
    lag: usize,
) -> f64 {
    made.share_of(lag, expected.get(lag).copied().unwrap_or(0.0), LOOSE) / others.share(lag, all.even(lag)).max(RAREST)
}

/// How much likelier a value is of which nothing is expected but that it says nothing.
fn usual<const N: usize>(made: &Table<N>, others: &Table<N>, all: &Table<N>, value: usize) -> f64 {
    let usual = others.share(value, all.even(value)).max(RAREST);
    made.share(value, usual) / usual
}
