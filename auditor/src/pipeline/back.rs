//! From exchanges to lines: pairs, audits, folds, and writes on time.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use lru::LruCache;

use super::answering::Answering;
use super::broken::Broken;
use super::config::Config;
use super::degraded::Degradation;
use super::ends::Ends;
use super::example::Example;
use super::findings::{Occurrence, accusation, format_of, kept_on_restart};
use super::lines::{self, Answer};
use super::named::Again;
use super::received::Held;
use super::upkeep::KERNEL;
use crate::audit::ignore::is_ignored;
use crate::audit::rules::blind_spots;
use crate::audit::samples::is_by_samples;
use crate::audit::{Code, Outcome, Sample, Samples, Silence, Subject, Verdict, judge};
use crate::context::Carried;
use crate::exchange::{End, Event, ExchangeId, Request, Role, Unseen};
use crate::pair::{Claim, Method, Outbound, Pairer, Pairing, Rest, Target};
use crate::record::{BlindReason, BootNs, Clock, DutyCycle, LATEST, Process, ProcessId};
use crate::report::address::{Destination, peer_ip};
use crate::report::route::{Routes, space};
use crate::report::texts::Texts;
use crate::report::{
    AuditorInfo, BlindSpot, Call, Correlation, Counted, Counters, EdgeKey, Edges, Fate, Fold, LifecycleLine, Line,
    Mark, Resource, SCHEMA_VERSION, Timeline, Totals, round4,
};

/// A call is judged when it is answered, or after this long.
const PATIENCE: BootNs = 10_000_000_000;
/// A call that waits for its answer.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) request: Arc<Request>,
    pub(super) sent: Carried,
    pub(super) destination: Destination,
    pub(super) pairing: Pairing,
    pub(super) verdict: Verdict,
    pub(super) edge: EdgeKey,
    pub(super) process: Arc<Process>,
    pub(super) silence: Silence,
    /// What is known of the request when all is over.
    pub(super) again: OnceLock<Again>,
}

impl Hop {
    /// As a user describes it.
    pub(super) fn subject(&self) -> Subject<'_> {
        let towards = Some((&self.destination, &self.request.endpoints));
        Subject { service: &self.process.service, head: &self.request.head, towards }
    }
}

/// A process that is described.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) process: Arc<Process>,
    /// What tells its service from others, to be shared.
    pub(super) service: Arc<str>,
}

impl Known {
    pub(super) fn new(process: Arc<Process>) -> Self {
        Self { service: process.service_key().into(), process }
    }
}

/// The stages behind the exchanges as one state machine.
#[derive(Debug)]
pub struct Back {
    pub(super) config: Config,
    pub(super) clock: Option<Arc<Clock>>,
    pub(super) timeline: Timeline,
    pub(super) now: BootNs,
    pub(super) routes: Routes,
    /// Where calls go.
    texts: Texts,
    pub(super) pairer: Pairer,
    pub(super) samples: Samples,
    pub(super) processes: LruCache<ProcessId, Known>,
    pub(super) hops: BTreeMap<ExchangeId, Arc<Hop>>,
    /// Calls of which more will be known.
    pub(super) awaited: BTreeMap<ExchangeId, Weak<Hop>>,
    /// Suspected findings by class and route and fingerprint, until the class is certain.
    pub(super) suspects: LruCache<(u64, Option<u64>), BTreeMap<Mark, Occurrence>>,
    pub(super) fold: Fold<Example>,
    pub(super) edges: Edges,
    pub(super) totals: Totals,
    pub(super) blind: BTreeMap<(Option<ProcessId>, Code), (BlindSpot, bool)>,
    pub(super) stages: BTreeMap<String, Counters>,
    pub(super) interval_start: BootNs,
    pub(super) next_stats: BootNs,
    pub(super) evicted: Counters,
    pub(super) degradation: Degradation,
    pub(super) ends: Ends,
    /// Requests with faults that may be their sender's to answer for, in order of time.
    pub(super) held: VecDeque<Held>,
    pub(super) broken: Broken,
    answering: Answering,
    pub(super) claims: Option<Vec<Claim>>,
}

impl Back {
    /// With these settings.
    pub fn new(config: Config) -> Self {
        let size = |limit| NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        Self {
            clock: None,
            timeline: Timeline::default(),
            now: 0,
            routes: Routes::new(),
            texts: Texts::default(),
            pairer: Pairer::new(config.pairing),
            samples: Samples::new(config.samples, config.min_confidence),
            processes: LruCache::new(size(config.max_processes)),
            hops: BTreeMap::new(),
            awaited: BTreeMap::new(),
            suspects: LruCache::new(size(config.max_fingerprints)),
            fold: Fold::new(nanos(config.aggregation_window), config.max_fingerprints, config.max_findings_per_second),
            edges: Edges::new(config.max_edges),
            totals: Totals::default(),
            blind: BTreeMap::new(),
            stages: BTreeMap::new(),
            interval_start: 0,
            next_stats: 0,
            evicted: Counters::new(),
            degradation: Degradation::default(),
            ends: Ends::new(),
            held: VecDeque::new(),
            broken: Broken::new(),
            answering: Answering::new(),
            claims: None,
            config,
        }
    }

    /// Takes an event; what is to be written goes to `out`.
    pub fn handle(&mut self, event: Event, out: &mut Vec<Line>) {
        let tick = matches!(event, Event::Tick(_));
        match event {
            Event::Request(request) => {
                self.advance(request.time, out);
                self.totals_truncated(&request, out);
                match request.role {
                    Role::Server => self.received(&request, out),
                    Role::Client => self.sent(request, out),
                }
            }
            Event::Response { id, time, tid, coroutine, status } => {
                self.advance(time, out);
                self.pairer.closed(self.now, id, Some((tid, coroutine)));
                self.answered(id, Answer { status, error: None, time: Some(time) }, out);
            }
            Event::End { id, time, end } => {
                self.advance(time, out);
                self.pairer.closed(self.now, id, None);
                let error = (end == End::ClosedWithoutResponse).then_some("connection_closed");
                self.answered(id, Answer { status: None, error, time: None }, out);
            }
            Event::Lost { count, time } => {
                self.advance(time, out);
                self.totals.lost += count;
                self.pairer.lost(self.now);
                self.blind_spot(None, Code(&blind_spots::CAPTURE_LOST), (count, 0, 0, 0), out);
            }
            Event::Blind(blind) => {
                self.advance(blind.time, out);
                match blind.reason {
                    BlindReason::Http2 => self.pairer.rests_on(blind.process),
                    BlindReason::IoUring | BlindReason::Frames => {
                        self.pairer.receives_unseen(self.now, blind.process, Unseen::Something);
                    }
                    BlindReason::Tls | BlindReason::CompatSyscall | BlindReason::Rewritten => {}
                }
                self.unseen(&blind, out);
            }
            Event::Unseen { process, time, what } => {
                self.advance(time, out);
                self.pairer.receives_unseen(self.now, process, what);
            }
            Event::Clock(clock) => self.begin(clock, out),
            Event::Process(process) => {
                self.processes.put(process.id, Known::new(process));
            }
            Event::Tick(tick) => {
                self.advance(tick.time, out);
                let named = KERNEL.iter().zip(tick.counters).map(|(name, count)| ((*name).to_owned(), count));
                self.stages.insert("kernel".to_owned(), named.collect());
                self.watch(out);
            }
        }
        for claim in self.pairer.decided(self.now, tick) {
            self.decided(claim);
        }
    }

    /// From now on, keeps what was found out about each call, for [`Back::claims`].
    pub fn keep_claims(&mut self) {
        self.claims = Some(Vec::new());
    }

    /// From now on, solves jointly which request made which call: [`Pairer::solve_jointly`].
    pub fn solve_jointly(&mut self) {
        self.pairer.solve_jointly();
    }

    /// What was found out since the last time. A later claim about a call is better than an earlier one, unless that was
    /// made by more than delays.
    pub fn claims(&mut self) -> Vec<Claim> {
        self.claims.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Writes what is pending, and the totals.
    pub fn finish(&mut self, out: &mut Vec<Line>) {
        for claim in self.pairer.end(self.now) {
            self.decided(claim);
        }
        while let Some((_, hop)) = self.hops.pop_first() {
            self.judged(hop, Answer::default(), out);
        }
        self.tell_held(true, out);
        let mut ready = Vec::new();
        self.fold.finish(&mut ready);
        self.write(ready, out);
        self.summarise(out);
        self.write_stats(out);
        out.push(Line::Lifecycle(Box::new(LifecycleLine {
            schema_version: SCHEMA_VERSION,
            timestamp: self.timeline.format(self.now),
            event_name: "auditor.stopped",
            message: format!(
                "{} calls for {} requests with context audited, {} records lost",
                self.totals.hops.values().sum::<u64>(),
                self.totals.requests_with_context,
                self.totals.lost
            ),
            auditor: None,
            totals: Some(self.totals.info()),
            degraded: None,
        })));
    }

    /// Which processes the source is to leave alone, or look at again, since the last time.
    pub fn rests(&mut self) -> Vec<Rest> {
        self.pairer.changes()
    }

    /// What the run amounts to so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Sets the counters of another stage (cumulative); they turn up in `stats`.
    pub fn set_stage_counters<'a>(&mut self, stage: &str, counters: impl IntoIterator<Item = (&'a str, u64)>) {
        let counters = counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        self.stages.insert(stage.to_owned(), counters);
    }

    fn begin(&mut self, clock: Arc<Clock>, out: &mut Vec<Line>) {
        self.timeline = Timeline::new(&clock);
        self.now = clock.boot_ns.min(LATEST);
        self.interval_start = self.now;
        self.next_stats = self.now.saturating_add(nanos(self.config.stats_interval));
        out.push(Line::Lifecycle(Box::new(LifecycleLine {
            schema_version: SCHEMA_VERSION,
            timestamp: self.timeline.format(self.now),
            event_name: "auditor.attached",
            message: format!("auditing {} with {} hooks", clock.host_name, clock.hooks),
            auditor: Some(AuditorInfo {
                version: clock.auditor_version.clone(),
                hooks: clock.hooks.clone(),
                kernel: clock.kernel.clone(),
                host_name: clock.host_name.clone(),
                duty_cycle: clock.duty_cycle.map(|cycle| cycle.to_string()),
            }),
            totals: None,
            degraded: None,
        })));
        if let Some(cycle) = clock.duty_cycle {
            self.pairer.take_turns(cycle);
        }
        self.pairer.leave_alone(clock.leaf_rest_ns);
        self.clock = Some(clock);
    }

    /// When processes are looked at; `None`: always.
    pub(super) fn duty_cycle(&self) -> Option<DutyCycle> {
        self.clock.as_ref()?.duty_cycle
    }

    /// Time passes: what is due is written.
    fn advance(&mut self, time: BootNs, out: &mut Vec<Line>) {
        self.now = self.now.max(time.min(LATEST));
        while let Some(entry) = self.hops.first_entry() {
            let late = entry.get().request.time.saturating_add(PATIENCE) <= self.now;
            if !late && self.hops.len() <= self.config.max_pending {
                break;
            }
            if !late {
                *self.evicted.entry("hops".to_owned()).or_default() += 1;
            }
            if let Some((_, hop)) = self.hops.pop_first() {
                self.judged(hop, Answer::default(), out);
            }
        }
        self.tell_held(false, out);
        let mut ready = Vec::new();
        self.fold.advance(self.now, &mut ready);
        self.write(ready, out);
        let interval = nanos(self.config.summary_interval);
        if interval > 0 && self.now >= self.interval_start.saturating_add(interval) {
            self.summarise(out);
        }
        let interval = nanos(self.config.stats_interval);
        if interval > 0 && self.now >= self.next_stats {
            self.write_stats(out);
            self.next_stats = self.now.saturating_add(interval);
        }
    }

    fn sent(&mut self, request: Arc<Request>, out: &mut Vec<Line>) {
        let destination = Destination::of(&request, &mut self.texts);
        if is_ignored(&request.head, peer_ip(&request.endpoints)) {
            self.totals.ignored += 1;
            self.pairer.rests_on(request.process);
            let received_as = self.ends.meet(&request);
            self.meets(request.id, received_as, out);
            return;
        }
        let sent = Carried::of(&request.head, request.visibility, &self.config.selection);
        let caller = self.process(request.process, &request);
        let target = self.target(&request, &caller.service, Some(&destination));
        let received_as = self.ends.meet(&request);
        let outbound =
            Outbound { request: &request, target: &target, sent: &sent, destination: &destination, received_as };
        let pairing = self.pairer.outbound(self.now, &outbound);
        if let Some(claims) = &mut self.claims {
            claims.push(Claim {
                call: request.id,
                parent: pairing.claimed.clone(),
                method: pairing.method,
                confidence: pairing.confidence,
                candidates: pairing.candidates,
            });
        }
        let mut verdict = judge(&pairing, &sent, &self.config.selection);
        let boundaries = &self.config.boundaries;
        let endpoints = &request.endpoints;
        verdict.findings.extend(boundaries.sent_externally(&sent, &destination, endpoints, &self.config.selection));
        let Known { process, service } = match self.processes.peek(&pairing.service) {
            Some(known) => known.clone(),
            None => caller,
        };
        let sample = Sample {
            service: &service,
            pairing: &pairing,
            sent: &sent,
            outcome: verdict.outcome,
            target: &target,
            destination: &destination,
        };
        verdict.findings.extend(self.samples.take(&sample, &self.config.selection));
        let edge = EdgeKey {
            service,
            inbound: pairing.parent.as_ref().map(|parent| parent.target.clone()),
            local_port: pairing.parent.as_ref().and_then(|parent| lines::local_port(&parent.endpoints)),
            destination: destination.clone(),
            outbound: target,
        };
        let call = request.id;
        let (silence, again) = (Silence::default(), OnceLock::new());
        let mut hop = Hop { request, sent, destination, pairing, verdict, edge, process, silence, again };
        hop.silence = Silence::of(&hop.subject(), &self.config.ignores);
        if let Some(parent) = &hop.pairing.parent {
            hop.silence = hop.silence.and(&parent.silence);
        }
        self.totals.ignored += u64::from(hop.silence.all && self.wants(hop.edge.local_port));
        let hop = Arc::new(hop);
        self.await_claim(call, &hop);
        self.hops.insert(call, hop);
        self.meets(call, received_as, out);
    }

    /// Who receives a call may have been seen already.
    fn meets(&mut self, call: ExchangeId, received_as: Option<ExchangeId>, out: &mut Vec<Line>) {
        if let Some(request) = received_as {
            self.sender_found(request, call, out);
        }
    }

    fn answered(&mut self, id: ExchangeId, answer: Answer, out: &mut Vec<Line>) {
        let answers = answer.time.is_some();
        if let Some(hop) = self.hops.remove(&id) {
            if answers {
                self.answering.answered(&hop.request);
            }
            self.pairer.answered(self.now, id, &hop.pairing);
            self.judged(hop, answer, out);
        } else if answers {
            self.answering.answered_late(id);
        }
    }

    /// A call is done: it is counted, and reported if it is certain.
    fn judged(&mut self, hop: Arc<Hop>, answer: Answer, out: &mut Vec<Line>) {
        if hop.silence.all || !self.wants(hop.edge.local_port) {
            return;
        }
        let speaks = answer.time.is_some() || self.answering.is_known(&hop.request, answer.error.is_none());
        let suspected = hop.verdict.suspicion.filter(|_| speaks);
        let class = hop.pairing.suspect.as_ref().filter(|_| suspected.is_some()).map(|(_, class)| class);
        let standing = class.and_then(|class| self.pairer.standing(self.now, class));
        let certain = standing.is_some_and(|s| s.solid && s.confidence >= self.config.min_confidence);
        let (outcome, suspicion) = match (suspected, hop.verdict.outcome) {
            (Some(suspicion), _) if certain => (Outcome::of(suspicion), None),
            (_, Outcome::Dropped | Outcome::Restarted) if !speaks => (Outcome::Unknown, None),
            (suspicion, outcome) => (outcome, suspicion),
        };
        *self.totals.hops.entry(outcome).or_default() += 1;
        self.totals.calls_unseen += u64::from(hop.pairing.unseen && outcome == Outcome::Unknown);
        if outcome.is_of_trace() {
            // Of heads that were cut only that is known which the trace came in.
            self.totals.judged.insert(format_of(&hop, &self.config.selection));
            let known = hop.verdict.formats.iter().filter(|(_, status)| status.is_known());
            self.totals.judged.extend(known.map(|(format, _)| *format));
        }
        self.totals.suspected += u64::from(suspicion.is_some());
        if suspected.is_none() {
            self.totals.settle(outcome, format_of(&hop, &self.config.selection), 1);
        }
        let peer = self.peer(hop.request.id);
        let call = Counted {
            process: &hop.process,
            transport: lines::transport(&hop.request.endpoints),
            outcome,
            suspicion,
            failed: answer.error.is_some(),
            status: answer.status,
            duration: answer.duration(&hop.request),
            formats: &hop.verdict.formats,
            peer: peer.as_deref(),
        };
        if let Some((key, edge)) = self.edges.count(&hop.edge, &call) {
            out.push(self.summary(key, &edge));
        }
        if let Some(fate) = Fate::of(suspected, certain, outcome) {
            self.edges.contrast(&hop.edge, &Call::new(&hop.request, &hop.pairing, answer.status), fate);
        }
        for found in hop.verdict.findings.iter().filter(|_| speaks) {
            let by_trace = hop.pairing.method == Method::TraceId;
            let correlation = (by_trace || is_by_samples(found.fault.rule)).then_some(Correlation {
                method: hop.pairing.method.as_str(),
                confidence: if by_trace { 1.0 } else { round4(hop.pairing.confidence) },
                candidates: hop.pairing.candidates,
            });
            let (mark, occurrence) = self.occurrence(&hop, found.clone(), outcome, answer, correlation);
            self.found(mark, occurrence, out);
        }
        let (Some(suspicion), Some(class), Some(standing)) = (suspected, class, standing) else { return };
        let accusation = accusation(hop.pairing.parent.as_deref(), suspicion, &self.config.selection);
        let correlation = Correlation {
            method: hop.pairing.method.as_str(),
            confidence: round4(standing.confidence),
            candidates: hop.pairing.candidates,
        };
        let outcome = Outcome::of(suspicion);
        let (mark, mut found) = self.occurrence(&hop, accusation, outcome, answer, Some(correlation));
        if certain {
            self.totals.settle(outcome, found.example.format(), 1);
            self.convict(class, suspicion, standing.confidence, (mark, found), out);
            for found in kept_on_restart(&hop, suspicion, &self.config.selection) {
                let (mark, found) = self.occurrence(&hop, found, outcome, answer, Some(correlation));
                self.found(mark, found, out);
            }
            return;
        }
        found.formats.add(&hop.verdict.formats);
        if !self.suspects.contains(&(class.group, class.route))
            && self.suspects.push((class.group, class.route), BTreeMap::new()).is_some()
        {
            *self.evicted.entry("suspects".to_owned()).or_default() += 1;
        }
        if let Some(suspects) = self.suspects.get_mut(&(class.group, class.route)) {
            match suspects.get_mut(&mark) {
                Some(earlier) => earlier.absorb(found),
                None => {
                    suspects.insert(mark, found);
                }
            }
        }
    }

    /// Whether what was received on this port, where there is one, is audited.
    pub(super) fn wants(&self, port: Option<u16>) -> bool {
        let ports = &self.config.ports;
        ports.is_empty() || port.is_some_and(|port| ports.contains(&port))
    }

    /// What a request is for, as far as the routes of the service, or of where it sends to, are known.
    pub(super) fn target(&mut self, request: &Request, service: &str, destination: Option<&Destination>) -> Target {
        Target::new(request, self.routes.route(space(service, destination), &request.head.path))
    }

    pub(super) fn process(&mut self, id: ProcessId, request: &Request) -> Known {
        self.processes.get_or_insert(id, || Known::new(lines::by_comm(id, request.comm))).clone()
    }

    /// The process at the other end, where it was seen there.
    pub(super) fn peer(&self, exchange: ExchangeId) -> Option<Arc<Process>> {
        self.processes.peek(&self.ends.peer(exchange)?).map(|known| known.process.clone())
    }

    pub(super) fn resource(&self, process: &Process) -> Resource {
        lines::resource(process, self.clock.as_ref().map_or("", |clock| &clock.host_name))
    }
}

pub(super) fn nanos(duration: Duration) -> BootNs {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
