//! A call that may be a fault: whose is it, and what does it say of its class?

use std::collections::BTreeSet;

use super::affinity::Shared;
use super::children::Child;
use super::class::{Caller, Class, First};
use super::inbound::{Execution, Made, Outbound};
use super::key::{ClassKey, Suspicion};
use super::process::{AFTERMATH, COMPARED, LEARNT, Process, REACH};
use super::scope::Kind;
use super::{Method, Parents};
use crate::exchange::ExchangeId;
use crate::record::BootNs;

/// Share of the likelihood that a route must have to be named.
const NAMED: f64 = 0.8;
/// How much likelier than any other a request must be by the values that it shares with a call, in nats.
const AFFINE: f64 = 4.6;
/// A likelihood ratio below this says that calls follow no request.
const BACKGROUND: f64 = 1.0;
/// Calls are caused by requests so many times as often as not, for all that is known before any was seen.
const CAUSED: f64 = 9.0;
/// How much likelier than chance a request must be, to have made a call rather than nobody.
const LIKELY: f64 = 1.0;
/// What chance has against a route that makes most of the calls.
const CHANCE: f64 = 0.5;

/// A call that carries no trace-id of a request.
pub(super) struct Call<'a> {
    pub(super) now: BootNs,
    /// What made it, or what forked the child that did.
    pub(super) execution: Execution,
    pub(super) outbound: &'a Outbound<'a>,
    /// A request that nobody saw may be at work.
    pub(super) unseen: bool,
}

/// The requests that could have made a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    /// How many of them are open, or ended just now.
    pub(super) count: u32,
    pub(super) parents: Parents,
    /// What they all carried, if it is the same.
    kind: Option<Kind>,
    /// The oldest.
    pub(super) first: Option<ExchangeId>,
    /// They are those of the thread.
    pub(super) on_thread: bool,
    /// They have ended.
    pub(super) late: bool,
    /// The first is the parent, for it has values in common with the call that no other has.
    pub(super) affine: bool,
    /// One of them is its name.
    named: bool,
}

impl Candidates {
    const NONE: Self = Self {
        count: 0,
        parents: Parents::None,
        kind: None,
        first: None,
        on_thread: false,
        late: false,
        affine: false,
        named: false,
    };

    fn of(kind: Option<Kind>, first: Option<ExchangeId>, count: u32) -> Self {
        let parents = match kind {
            _ if count == 0 => Parents::None,
            Some(Kind::Valid) => Parents::Valid,
            Some(Kind::Absent) => Parents::Absent,
            _ => Parents::Unclear,
        };
        Self { count, parents, kind, first, ..Self::NONE }
    }

    /// There is no other, and the thread works for nobody else.
    pub(super) fn is_of_thread(&self) -> bool {
        self.on_thread && self.count == 1
    }

    /// One of them carried an id that names it, and so does the call.
    pub(super) fn is_named(&self) -> bool {
        self.affine && self.named
    }

    /// How the call is paired if nothing better turns up.
    pub(super) fn method(&self, child: bool) -> Method {
        match (self.count, self.on_thread, child) {
            _ if self.affine => Method::Affinity,
            (0, ..) => Method::None,
            (1, _, true) => Method::ChildProcess,
            (1, true, _) => Method::Thread,
            (1, false, _) if !self.late => Method::SoleCandidate,
            _ => Method::AnyParent,
        }
    }
}

/// What a suspect call is suspected of, and whose it is taken to be.
pub(super) struct Suspect {
    pub(super) suspicion: Suspicion,
    pub(super) key: ClassKey,
    pub(super) class: u64,
    pub(super) chosen: Chosen,
    pub(super) route: u64,
}

/// How sure it is that the route of the parent is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// It is the only request, or all of them are of that route.
    Only,
    /// Calls follow its requests as those of no other.
    ToldApart,
    /// Not at all.
    Unsure,
    /// Calls like this one follow no request: it is background work.
    Background,
}

impl Named {
    pub(super) fn is_told(self) -> bool {
        matches!(self, Self::Only | Self::ToldApart)
    }
}

/// Whose a call is taken to be.
#[derive(Clone, Copy)]
pub(super) struct Chosen {
    pub(super) id: ExchangeId,
    pub(super) named: Named,
    /// That this very request made it, as far as delays tell, if a request did.
    pub(super) confidence: f64,
    /// That a request did, as far as delays tell.
    pub(super) caused: f64,
    /// One of another route may have made it, or nobody knows yet, or this one rather than none.
    ambiguous: bool,
}

impl Chosen {
    fn new(id: ExchangeId, named: Named) -> Self {
        Self { id, named, confidence: 0.0, caused: 1.0, ambiguous: true }
    }
}

/// Which request made an earlier call; `None`: none did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) call: ExchangeId,
    pub(super) parent: Option<ExchangeId>,
    pub(super) confidence: f64,
    pub(super) candidates: u32,
}

/// What came of looking at a call.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) suspect: Option<Suspect>,
    /// A request that could not be seen to be a parent may have made it.
    pub(super) unclear: bool,
    /// Classes made and evicted.
    pub(super) made: u64,
    pub(super) evicted: u64,
}

impl Process {
    /// The requests that could have made a call: those of the thread if that says anything, else those of the process;
    /// those that have just ended if none is open.
    pub(super) fn candidates(&mut self, now: BootNs, execution: Execution, child: Option<Child>) -> Candidates {
        let thread = self.threads.peek(&execution).filter(|_| self.discipline.holds());
        let just =
            |within| thread.and_then(|thread| thread.responded).filter(|(at, _)| now.saturating_sub(*at) < within);
        let found = if let Some(thread) = thread.filter(|thread| !thread.open.ids.is_empty()) {
            Candidates { on_thread: true, ..self.among(&thread.open) }
        } else if let Some((_, id)) = just(REACH).filter(|(_, id)| self.held.contains_key(id)) {
            let kind = self.kind_of(id);
            Candidates { on_thread: true, late: true, ..Candidates::of(kind, Some(id), 1) }
        } else if !self.open.ids.is_empty() {
            self.among(&self.open)
        } else {
            let ids = self.lingering.iter().rev().take(COMPARED).map(|(_, id)| *id);
            let kinds: BTreeSet<_> = ids.clone().map(|id| self.kind_of(id)).collect();
            let kind = kinds.first().copied().flatten().filter(|_| kinds.len() == 1);
            let count = u32::try_from(self.lingering.len()).unwrap_or(u32::MAX);
            Candidates { late: true, ..Candidates::of(kind, ids.min(), count) }
        };
        let aftermath = just(AFTERMATH).is_some();
        // A child that was there before the request does not work for it.
        let orphan = child.is_some_and(|child| {
            let first = found.first.and_then(|id| self.held.get(&id));
            let younger = first.is_none_or(|held| held.inbound.started > child.born);
            younger || found.is_of_thread() && found.first.is_some_and(|id| !self.children.adopt(child, id))
        });
        match found.count {
            0 if aftermath => Candidates { parents: Parents::JustAnswered, ..Candidates::NONE },
            _ if orphan => Candidates::NONE,
            _ => found,
        }
    }

    /// The same, knowing which values the call carries: one request has values in common with it that no other has.
    pub(super) fn narrowed(&mut self, found: Candidates, values: &[u64]) -> Candidates {
        let held = &self.held;
        let works = |id| held.get(&id).is_some_and(|held| held.open || held.lingers);
        let mut shared = self.affinity.shared(values, works);
        // The thread, where it tells at all, tells more.
        if found.is_of_thread() {
            return found;
        }
        shared.sort_by(|a, b| b.log_ratio.total_cmp(&a.log_ratio));
        let second = shared.get(1).map_or(0.0, |shared| shared.log_ratio);
        match shared.first().copied() {
            Some(Shared { id, log_ratio, unique: true, named }) if log_ratio - second >= AFFINE => {
                let late = held.get(&id).is_none_or(|held| !held.open);
                let (kind, count) = (self.kind_of(id), found.count.max(1));
                Candidates { late, affine: true, named, ..Candidates::of(kind, Some(id), count) }
            }
            _ => found,
        }
    }

    fn among(&self, open: &super::process::Open) -> Candidates {
        let kind = [Kind::Valid, Kind::Absent].into_iter().find(|kind| open.counts.only(*kind));
        Candidates::of(kind, open.ids.first().copied(), open.counts.total())
    }

    /// Lets the classes that the call could belong to learn of it. `seq`: number of the next class.
    pub(super) fn suspect(&mut self, call: &Call<'_>, candidates: &Candidates, losses: bool, seq: u64) -> Seen {
        let mut seen = Seen::default();
        let tainted = call.now < self.tainted_until;
        let serving = self.discipline.holds() && self.threads.contains(&call.execution);
        let unclear_until = match self.threads.peek(&call.execution) {
            Some(thread) if candidates.on_thread => thread.unclear_until,
            _ => self.unclear_until,
        };
        for suspicion in Suspicion::of(call.outbound.sent).iter().copied() {
            let want = suspicion.wants();
            // Another trace may be that of a request that nobody saw.
            let may_go_on = suspicion == Suspicion::Restarted && call.unseen;
            if !self.kinds.contains(&want) || may_go_on {
                continue;
            }
            let key = ClassKey::of(suspicion, call.outbound);
            let first = match (self.classes.contains(&key), self.newborn) {
                (true, _) => First::No,
                (false, true) => First::OfNewborn,
                (false, false) => First::OfMany,
            };
            if first != First::No {
                seen.evicted += u64::from(self.begin(call, &key, seq + seen.made, losses));
                seen.made += 1;
            }
            self.join(call, &key, serving, unclear_until);
            let Some(class) = self.classes.get_mut(&key) else { continue };
            let callers = class.observe(call.now, serving.then_some(call.execution), first, tainted);
            // Work that goes on after the response may be a trace of its own.
            let own = candidates.late && suspicion == Suspicion::Restarted;
            if candidates.count == 0 && first == First::No && !tainted {
                class.explained(false);
            }
            if candidates.count == 0 || candidates.kind != Some(want) || tainted || own {
                continue;
            }
            if want == Kind::Valid && call.now < unclear_until && !candidates.affine {
                seen.unclear = true;
                continue;
            }
            let Some(chosen) = self.choose(&key, candidates, call.execution, &callers) else { continue };
            let Some(class) = self.classes.get_mut(&key) else { continue };
            let Some(held) = self.held.get_mut(&chosen.id) else { continue };
            let (class_seq, route) = (class.seq, held.inbound.route_key);
            let made = match chosen.named {
                Named::Only | Named::ToldApart => Made::Suspect,
                Named::Unsure if chosen.ambiguous => Made::Perhaps,
                Named::Unsure | Named::Background => Made::Chance,
            };
            if made != Made::Perhaps {
                class.explained(made == Made::Suspect);
            }
            let used = held.bump(class_seq, made);
            class.assign(call.now, held, used);
            if candidates.named && first == First::No {
                class.witnessed();
            }
            seen.suspect = Some(Suspect { suspicion, key, class: class_seq, chosen, route });
        }
        seen
    }

    /// A class of calls of which this is the first. Says whether another had to go.
    fn begin(&mut self, call: &Call<'_>, key: &ClassKey, seq: u64, losses: bool) -> bool {
        let want = key.suspicion.wants();
        let unused = self.of_kind(&self.open.ids, want);
        let after_loss = self.after_loss || losses;
        let mut class = Class::new(call.now, seq, want, self.open.counts, unused.clone(), after_loss);
        class.unclear(call.now, self.unclear_until, call.execution);
        let ended: BTreeSet<_> = self.lingering.iter().rev().take(LEARNT).map(|(_, id)| *id).collect();
        for id in unused.into_iter().chain(self.of_kind(&ended, want)) {
            if let Some(held) = self.held.get(&id) {
                class.works(call.now, held);
            }
        }
        self.classes.push(key.clone(), class).is_some()
    }

    /// Lets the thread count for the class, from its beginning.
    fn join(&mut self, call: &Call<'_>, key: &ClassKey, serving: bool, unclear_until: BootNs) {
        let joins = serving && self.classes.peek(key).is_some_and(|class| !class.threads.contains(&call.execution));
        let want = key.suspicion.wants();
        let history = joins.then(|| self.thread_history(call.now, call.execution, want)).flatten();
        let Some((counts, unused, clock)) = history else { return };
        if let Some(class) = self.classes.get_mut(key) {
            class.join(call.now, call.execution, counts, unused, &clock);
            class.unclear(call.now, unclear_until, call.execution);
        }
    }

    /// Whose the call is, and whether its route is certain.
    fn choose(
        &self,
        key: &ClassKey,
        candidates: &Candidates,
        execution: Execution,
        callers: &[Caller],
    ) -> Option<Chosen> {
        if candidates.affine || candidates.is_of_thread() {
            return candidates.first.map(|id| Chosen::new(id, Named::Only));
        }
        let class = self.classes.peek(key)?;
        if !candidates.on_thread
            && let Some((best, chosen)) = by_delay(class, callers)
        {
            // Of a request that has ended it takes more than that it is of the only route.
            if callers.len() == 1 && !candidates.late {
                let open = self.open.ids.contains(&best.id);
                let id = if open { best.id } else { candidates.first? };
                return Some(Chosen { id, named: Named::Only, ..chosen });
            }
            return Some(chosen);
        }
        // Who has waited longest without one, else who made the last.
        let thread = self.threads.peek(&execution).filter(|_| candidates.on_thread);
        let open = thread.map_or(&self.open.ids, |thread| &thread.open.ids);
        let scope = if candidates.on_thread { class.threads.peek(&execution) } else { Some(&class.process) };
        let fresh: BTreeSet<_> =
            scope.into_iter().flat_map(|scope| &scope.unused).take(COMPARED + 1).copied().collect();
        let last = class.last_parent.filter(|id| open.contains(id));
        let chosen = fresh.first().copied().or(last).or(candidates.first)?;
        let same = self.shared_route(if fresh.is_empty() { open } else { &fresh });
        let named = if same { Named::Only } else { Named::Unsure };
        Some(Chosen::new(chosen, named))
    }
}

/// Whose a call is by the delays alone.
fn by_delay(class: &Class, callers: &[Caller]) -> Option<(Caller, Chosen)> {
    let likelier = |a: &&Caller, b: &&Caller| a.ratio.total_cmp(&b.ratio).then(a.evidence.total_cmp(&b.evidence));
    let best = callers.iter().max_by(likelier)?;
    let all = CHANCE + callers.iter().map(|caller| caller.ratio).sum::<f64>();
    let ratio = class.ratio(best.route);
    let background = ratio < BACKGROUND && class.is_learnt();
    let odds = if background { ratio } else { ratio * CAUSED };
    let alone = callers.iter().filter(|caller| caller.is_possible()).all(|caller| caller.route == best.route);
    let named = match () {
        () if background => Named::Background,
        () if alone && best.ratio / all >= NAMED => Named::ToldApart,
        () => Named::Unsure,
    };
    let ambiguous = callers.len() > 1 || best.ratio >= LIKELY || !class.is_learnt();
    let (confidence, caused) = (best.alone * best.ratio / all, odds / (1.0 + odds));
    Some((*best, Chosen { id: best.id, named, confidence, caused, ambiguous }))
}
