//! Which request made a call, looked at again when both are over.
//!
//! When a call is made, little tells one open request from another. Afterwards more is known: when the call was answered
//! and when each request was, which thread answered it, and what else it called. So a call that was not certain waits
//! until its candidates are answered, and is then compared with each of them ([`compared`]). What each observation says
//! ([`evidence`]) is learnt from the calls before ([`model`]), the first ones together.
//!
//! Whether calls of a kind come from requests at all is told by calls that nobody made: for each call another is made up,
//! a while later, and looked at in the same way. A timer's calls are no nearer to requests than these.
//!
//! No verdict rests on this: it needs to know the route, which is known sooner. It is there to say which of its requests
//! made the call that a finding shows.
//!
//! A call waits until a second after its answer, or ten seconds after it was made, in a queue whose length is bounded for
//! all processes together, and has a bounded number of candidates; and so many calls a second are looked at ([`pace`]). So
//! what it costs grows neither with what is open nor with what is called.

mod compared;
mod evidence;
mod model;
mod pace;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lru::LruCache;

use super::HashMap;
use super::inbound::{Execution, Held};
use super::suspect::Settled;
use crate::exchange::ExchangeId;
use crate::record::BootNs;
use compared::Compared;
use model::{Model, Said};
use pace::Pace;

/// Calls of a process that wait.
const WAITING: usize = 1024;
/// Candidates of a call: open requests, the latest, and requests that have just ended.
pub(super) const OPEN: usize = 64;
pub(super) const ENDED: usize = 32;
/// So many calls are decided together, each anew in so many rounds; and at first, when all is to be learnt.
const BLOCK: usize = 32;
const ROUNDS: usize = 2;
const FIRST: usize = 256;
const FIRST_ROUNDS: usize = 8;
/// Share of the distance from chance from which on what is supposed is kept.
const CLEARLY: f64 = 0.8;
/// A call is decided at the latest after so long, or so long after its answer; but not before it is learnt how.
const DEADLINE: BootNs = 10_000_000_000;
const ENOUGH: BootNs = 1_000_000_000;
/// A call is made up so long after one, or up to twice as long; so many are due at once.
const SOON: BootNs = 50_000_000;
const DUE: usize = 64;
/// Threads that are told apart, and the calls of one since it last answered a request.
const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
const IN_A_ROW: usize = 16;
/// Calls of a request that are remembered.
const CREDITS: usize = 32;

/// A call as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) id: ExchangeId,
    pub(super) at: BootNs,
    /// Stands for its destination, method and route.
    pub(super) kind: u64,
    pub(super) execution: Execution,
    /// Who made it, where that is certain; else who seems to have.
    pub(super) known: Option<ExchangeId>,
    pub(super) likely: Option<ExchangeId>,
    pub(super) candidates: Candidates,
}

/// Requests that may have made a call.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    /// The latest of them.
    pub(super) ids: Box<[ExchangeId]>,
    /// How many there are.
    pub(super) among: usize,
}

/// A call that a request is taken to have made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    call: ExchangeId,
    kind: u64,
    answered: Option<BootNs>,
}

/// A call that waits until more is known.
#[derive(Clone, Debug)]
struct Call {
    sent: Sent,
    answered: Option<BootNs>,
    /// The requests that its thread answered last before it, and first after it.
    before: Option<ExchangeId>,
    after: Option<ExchangeId>,
    /// Nobody made it.
    made_up: bool,
    /// Number of the one that was made up for it.
    twin: Option<u64>,
}

/// A call to be made up, like the one with this number.
#[derive(Clone, Debug)]
struct Due {
    at: BootNs,
    like: u64,
    kind: u64,
    execution: Execution,
    duration: Option<BootNs>,
}

/// What one thread did last.
#[derive(Clone, Debug, Default)]
struct Thread {
    answered: Option<ExchangeId>,
    /// Calls since then, by number.
    calls: Vec<u64>,
}

/// Room for calls that wait, of all processes.
#[derive(Clone, Debug)]
pub(super) struct Room {
    used: Arc<AtomicUsize>,
    size: usize,
}

impl Room {
    pub(super) fn new(size: usize) -> Self {
        Self { used: Arc::default(), size }
    }

    pub(super) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.size
    }

    fn take(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    fn give_back(&self, count: usize) {
        self.used.fetch_sub(count, Ordering::Relaxed);
    }
}

/// The calls of one process that wait.
#[derive(Debug)]
pub(super) struct Hindsight {
    room: Room,
    calls: VecDeque<Call>,
    /// Number of the first of them.
    first: u64,
    /// So many of them are over.
    over: usize,
    numbers: HashMap<ExchangeId, u64>,
    threads: LruCache<Execution, Thread>,
    due: Vec<Due>,
    /// When the first of them is.
    next_due: BootNs,
    pace: Pace,
    model: Model,
    learnt: bool,
}

type Requests = HashMap<ExchangeId, Held>;

impl Hindsight {
    pub(super) fn new(room: &Room) -> Self {
        Self {
            room: room.clone(),
            calls: VecDeque::new(),
            first: 0,
            over: 0,
            numbers: HashMap::default(),
            threads: LruCache::sparse(THREADS),
            due: Vec::new(),
            next_due: BootNs::MAX,
            pace: Pace::default(),
            model: Model::default(),
            learnt: false,
        }
    }

    /// Whether there is room and time for one more call. One that is certain only helps to learn.
    pub(super) fn takes(&mut self, now: BootNs, certain: bool) -> bool {
        !self.room.is_full() && self.pace.takes(now, certain)
    }

    /// A call was sent.
    pub(super) fn sent(&mut self, sent: Sent) {
        if sent.known.is_none() && self.due.len() < DUE {
            // At any time, but at the same one whenever this is replayed.
            let at = sent.at.saturating_add(SOON + sent.id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) % SOON);
            let (like, kind, execution) = (self.next(), sent.kind, sent.execution);
            self.due.push(Due { at, like, kind, execution, duration: None });
            self.next_due = self.next_due.min(at);
        }
        self.numbers.insert(sent.id, self.next());
        self.wait(sent, None, false);
    }

    /// Whether a call is to be made up before this moment.
    pub(super) fn is_due(&self, now: BootNs) -> bool {
        self.next_due <= now
    }

    /// Makes up the calls that are due. Nothing has happened since, so these are their candidates.
    pub(super) fn make_up(&mut self, now: BootNs, candidates: &Candidates) {
        for Due { at, like, kind, execution, duration } in
            self.due.extract_if(.., |due| due.at <= now).collect::<Vec<_>>()
        {
            if self.room.is_full() {
                continue;
            }
            let number = self.next();
            if let Some(call) = self.call_mut(like) {
                call.twin = Some(number);
            }
            let (id, candidates) = (ExchangeId(0), candidates.clone());
            let sent = Sent { id, at, kind, execution, known: None, likely: None, candidates };
            self.wait(sent, duration.map(|duration| at.saturating_add(duration)), true);
        }
        self.next_due = self.due.iter().map(|due| due.at).min().unwrap_or(BootNs::MAX);
    }

    /// Number of the next call.
    fn next(&self) -> u64 {
        self.first + self.calls.len() as u64
    }

    fn wait(&mut self, sent: Sent, answered: Option<BootNs>, made_up: bool) {
        let number = self.next();
        let thread = self.threads.get_or_insert_mut(sent.execution, Thread::default);
        if thread.calls.len() < IN_A_ROW {
            thread.calls.push(number);
        }
        let before = thread.answered;
        self.calls.push_back(Call { sent, answered, before, after: None, made_up, twin: None });
        self.room.take();
    }

    fn call_mut(&mut self, number: u64) -> Option<&mut Call> {
        number.checked_sub(self.first).and_then(|at| self.calls.get_mut(at as usize))
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, now: BootNs, call: ExchangeId) {
        let Some(number) = self.numbers.get(&call).copied() else { return };
        let Some(call) = self.call_mut(number).filter(|call| call.answered.is_none()) else { return };
        call.answered = Some(now);
        let (duration, twin) = (now.saturating_sub(call.sent.at), call.twin);
        if let Some(twin) = twin.and_then(|twin| self.call_mut(twin)) {
            twin.answered = Some(twin.sent.at.saturating_add(duration));
        }
        self.due.iter_mut().filter(|due| due.like == number).for_each(|due| due.duration = Some(duration));
    }

    /// A request was answered by this thread.
    pub(super) fn responded(&mut self, request: ExchangeId, execution: Execution) {
        self.model.responded(execution);
        let thread = self.threads.get_or_insert_mut(execution, Thread::default);
        thread.answered = Some(request);
        for number in std::mem::take(&mut thread.calls) {
            if let Some(call) = self.call_mut(number) {
                call.after = Some(request);
            }
        }
    }

    /// Records are missing: who knows what they would have said of the calls that wait.
    pub(super) fn taint(&mut self) {
        self.room.give_back(self.calls.len());
        self.first = self.next();
        self.over = 0;
        self.calls.clear();
        self.numbers.clear();
        self.threads.clear();
        self.due.clear();
        self.next_due = BootNs::MAX;
    }

    /// Decides what can be decided. `all`: nothing more will be known.
    pub(super) fn decide(&mut self, now: BootNs, requests: &mut Requests, all: bool, settled: &mut Vec<Settled>) {
        while let Some(first) = self.calls.front() {
            let overdue = all || first.sent.at.saturating_add(DEADLINE) <= now || self.calls.len() >= WAITING;
            let enough = self.learnt && first.answered.unwrap_or(first.sent.at).saturating_add(ENOUGH) <= now;
            while self.calls.get(self.over).is_some_and(|call| all || is_over(call, now, requests)) {
                self.over += 1;
            }
            let (block, rounds) = if self.learnt { (BLOCK, ROUNDS) } else { (FIRST, FIRST_ROUNDS) };
            let few = self.over == 0 || self.over < block && !enough;
            if !overdue && few {
                return;
            }
            self.together(self.over.clamp(1, block), rounds, requests, settled);
        }
    }

    /// Decides so many calls together: each is compared knowing what is supposed of the others, in turns.
    fn together(&mut self, count: usize, rounds: usize, requests: &mut Requests, settled: &mut Vec<Settled>) {
        let calls: Vec<Call> = self.calls.drain(..count.min(self.calls.len())).collect();
        self.room.give_back(calls.len());
        self.first += calls.len() as u64;
        self.over = self.over.saturating_sub(calls.len());
        for call in &calls {
            self.numbers.remove(&call.sent.id);
        }
        let compared = if std::mem::replace(&mut self.learnt, true) {
            let mut compared: Vec<Compared> =
                calls.iter().map(|call| Compared::new(call, requests, &mut self.model, true)).collect();
            // Nothing is learnt before the end.
            self.model.expect();
            let mut said: BTreeMap<u64, Said> = BTreeMap::new();
            for _ in 0..rounds {
                for compared in &mut compared {
                    compared.uncredit(requests);
                    compared.compare(requests, &self.model, said.entry(compared.call.sent.kind).or_default());
                    compared.credit(requests);
                }
            }
            compared.iter().for_each(|compared| compared.teach(&mut self.model, 1.0));
            compared
        } else {
            self.learn(&calls, rounds, requests)
        };
        settled.extend(compared.iter().filter_map(|compared| compared.settled(&self.model)));
    }
}

impl Hindsight {
    /// The first calls teach each other. Where that leads depends on what is supposed in the beginning: what was thought of
    /// each when it was made, or nothing. For each kind of calls, that is taken by which they are further from chance.
    fn learn<'a>(&mut self, calls: &'a [Call], rounds: usize, requests: &mut Requests) -> Vec<Compared<'a>> {
        let [mut some, mut none] = [true, false].map(|supposed| {
            let mut model = self.model.clone();
            let new = |call| Compared::new(call, requests, &mut model, supposed);
            let mut compared: Vec<Compared> = calls.iter().map(new).collect();
            teach_each_other(&mut compared, &mut model, rounds, requests);
            compared.iter().for_each(|compared| compared.uncredit(requests));
            (model, compared)
        });
        let better = |compared: Compared<'a>, other: Compared<'a>| {
            let kind = compared.call.sent.kind;
            let apart = |model: &Model| model.kind(kind).apart();
            if apart(&some.0) >= CLEARLY * apart(&none.0) { compared } else { other }
        };
        let mut compared: Vec<Compared> = std::mem::take(&mut some.1)
            .into_iter()
            .zip(std::mem::take(&mut none.1))
            .map(|(a, b)| better(a, b))
            .collect();
        compared.iter().for_each(|compared| compared.credit(requests));
        teach_each_other(&mut compared, &mut self.model, ROUNDS, requests);
        compared
    }
}

/// Each call is compared by what is supposed of the others.
fn teach_each_other(compared: &mut [Compared], model: &mut Model, rounds: usize, requests: &mut Requests) {
    compared.iter().for_each(|compared| compared.teach(model, 1.0));
    for _ in 0..rounds {
        model.expect();
        for compared in &mut *compared {
            compared.uncredit(requests);
            compared.teach(model, -1.0);
            compared.compare(requests, model, &mut Said::default());
            compared.teach(model, 1.0);
            compared.credit(requests);
        }
    }
}

impl Drop for Hindsight {
    fn drop(&mut self) {
        self.room.give_back(self.calls.len());
    }
}

/// Nothing more is to be learnt of a call.
fn is_over(call: &Call, now: BootNs, requests: &Requests) -> bool {
    let open = |id: &ExchangeId| requests.get(id).is_some_and(|held| held.open);
    let nobody = call.made_up && call.sent.candidates.ids.is_empty();
    let waits = || call.sent.known.iter().chain(&call.sent.candidates.ids).any(open);
    let answered = call.answered.is_some_and(|at| at.saturating_add(ENOUGH) <= now || !waits());
    nobody || answered || call.sent.at.saturating_add(DEADLINE) <= now
}
