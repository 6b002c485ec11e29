//! What is written beside findings as they occur: windows, summaries, blind spots, stats.

use std::collections::BTreeMap;

use super::back::Back;
use super::findings::Occurrence;
use super::lines;
use crate::audit::Code;
use crate::audit::rules::blind_spots;
use crate::exchange::{Request, Visibility};
use crate::record::{Blind, BlindReason, ProcessId};
use crate::report::{
    BlindSpot, BlindSpotLine, Counters, EdgeKey, Line, SCHEMA_VERSION, StatsLine, SummaryLine, round4,
};

/// Processes with blind spots.
const MAX_BLIND: usize = 4096;

/// Names of the kernel side's counters, by index.
pub(super) const KERNEL: [&str; 10] = [
    "operations",
    "bytes",
    "records",
    "bytes_captured",
    "heads",
    "lost_ring_full",
    "lost_unreadable",
    "lost_busy",
    "truncated",
    "lost_socket_table",
];

impl Back {
    pub(super) fn write(&self, ready: Vec<Occurrence>, out: &mut Vec<Line>) {
        for Occurrence { example, how, count, seen, .. } in ready {
            let mixed = example.edge().zip(how).and_then(|(edge, how)| self.edges.mixed(edge, how));
            let total = example.edge().and_then(|edge| self.edges.total(edge));
            let mut line = example.line(self);
            line.timestamp = self.timeline.format(self.now);
            line.finding.count = count;
            line.finding.first_seen = self.timeline.format(seen.0);
            line.finding.last_seen = self.timeline.format(seen.1);
            if let Some(mixed) = mixed {
                line.message += &mixed.words();
                line.finding.differs = mixed.differs();
            }
            line.finding.edge = total;
            out.push(Line::Finding(line));
        }
    }

    pub(super) fn summarise(&mut self, out: &mut Vec<Line>) {
        for (key, edge) in self.edges.drain() {
            out.push(self.summary(key, &edge));
        }
        self.write_blind(out);
        self.interval_start = self.now;
    }

    pub(super) fn summary(&self, key: EdgeKey, edge: &crate::report::Edge) -> Line {
        Line::Summary(Box::new(SummaryLine {
            schema_version: SCHEMA_VERSION,
            timestamp: self.timeline.format(self.now),
            event_name: "auditor.summary",
            interval_start: self.timeline.format(self.interval_start),
            edge: edge.interval.counts.info(),
            duration_seconds: edge.interval.durations.info(),
            formats: edge.interval.formats.info(),
            coverage: edge.interval.counts.coverage(),
            audited_share: self.duty_cycle().map(|cycle| round4(cycle.share())),
            inbound: lines::inbound_of_edge(&key),
            attributes: lines::edge(&key, edge.transport, edge.peer.as_ref()),
            resource: edge.process.as_deref().map(|process| self.resource(process)).unwrap_or_default(),
        }))
    }

    pub(super) fn write_stats(&self, out: &mut Vec<Line>) {
        out.push(Line::Stats(Box::new(StatsLine {
            schema_version: SCHEMA_VERSION,
            timestamp: self.timeline.format(self.now),
            event_name: "auditor.stats",
            stats: self.stats(),
        })));
    }

    /// What is counted, by stage and name.
    pub fn stats(&self) -> BTreeMap<String, Counters> {
        let mut stats = self.stages.clone();
        let count = |name: &str, count: u64| (name.to_owned(), count);
        let size = |name: &str, size: usize| (name.to_owned(), u64::try_from(size).unwrap_or(u64::MAX));
        let (processes, requests) = self.pairer.held();
        stats.insert("evicted".to_owned(), self.evictions());
        let pair = self.pairer.counters();
        let mut pairing = Counters::from([count("requests_expired", pair.requests_expired)]);
        if pair.requests_superseded > 0 {
            pairing.extend([count("requests_superseded", pair.requests_superseded)]);
        }
        if pair.rested > 0 {
            let resting = size("processes_resting", self.pairer.resting());
            pairing.extend([count("processes_rested", pair.rested), resting]);
        }
        let unseen = self.pairer.receiving_unseen(self.now);
        if unseen > 0 || self.totals.calls_unseen > 0 {
            let unseen = size("processes_receiving_unseen", unseen);
            pairing.extend([unseen, count("calls_unseen", self.totals.calls_unseen)]);
        }
        stats.insert("pair".to_owned(), pairing);
        let tables = [
            size("processes", processes),
            size("requests", requests),
            size("hops", self.hops.len()),
            size("edges", self.edges.len()),
            size("fingerprints", self.fold.len()),
            size("suspects", self.suspects.len()),
        ];
        stats.insert("tables".to_owned(), Counters::from(tables));
        let mut audit = Counters::from([
            count("requests", self.totals.requests),
            count("requests_with_context", self.totals.requests_with_context),
            count("ignored", self.totals.ignored),
            count("lost", self.totals.lost),
            count("suspected", self.totals.suspected),
        ]);
        if self.fold.held_back > 0 {
            audit.extend([count("findings_held_back", self.fold.held_back)]);
        }
        if self.fold.unwritten > 0 {
            audit.extend([count("findings_unwritten", self.fold.unwritten)]);
        }
        if self.totals.findings_ignored > 0 {
            audit.extend([count("findings_ignored", self.totals.findings_ignored)]);
        }
        audit.extend(self.totals.hops.iter().map(|(outcome, n)| count(&format!("hops_{}", outcome.as_str()), *n)));
        stats.insert("audit".to_owned(), audit);
        stats
    }

    /// Entries that were forgotten for want of room, by table.
    pub(super) fn evictions(&self) -> Counters {
        let pair = self.pairer.counters();
        let count = |(name, count): (&str, u64)| (name.to_owned(), count);
        let always = [
            ("processes", pair.processes_evicted),
            ("requests", pair.requests_evicted),
            ("threads", pair.threads_evicted),
            ("classes", pair.classes_evicted),
            ("edges", self.edges.evicted),
            ("fingerprints", self.fold.evicted),
        ];
        let sometimes = [
            ("contrasts", self.edges.contrasts_evicted()),
            ("samples", self.samples.evicted()),
            ("routes", self.routes.evicted),
        ];
        let mut evicted = self.evicted.clone();
        evicted.extend(always.into_iter().chain(sometimes.into_iter().filter(|(_, n)| *n > 0)).map(count));
        evicted
    }

    pub(super) fn unseen(&mut self, blind: &Blind, out: &mut Vec<Line>) {
        let code = match blind.reason {
            BlindReason::Tls => Code(&blind_spots::TLS),
            BlindReason::Http2 => Code(&blind_spots::HTTP2),
            BlindReason::IoUring => Code(&blind_spots::IO_URING),
            BlindReason::CompatSyscall => Code(&blind_spots::COMPAT),
            BlindReason::Rewritten => Code(&blind_spots::REWRITTEN),
            // Frames of what, is a guess.
            BlindReason::Frames => return,
        };
        let counts = (1, blind.connections, blind.operations, blind.bytes);
        let who = Some(blind.process).filter(|process| *process != ProcessId::NONE);
        self.blind_spot(who, code, counts, out);
    }

    pub(super) fn totals_truncated(&mut self, request: &Request, out: &mut Vec<Line>) {
        if request.visibility == Visibility::Truncated {
            self.process(request.process, request);
            self.blind_spot(Some(request.process), Code(&blind_spots::HEAD_TRUNCATED), (1, 0, 0, 0), out);
        }
    }

    /// Written at once when it is new, then with the summaries.
    pub(super) fn blind_spot(
        &mut self,
        who: Option<ProcessId>,
        code: Code,
        add: (u64, u64, u64, u64),
        out: &mut Vec<Line>,
    ) {
        if self.blind.len() >= MAX_BLIND && !self.blind.contains_key(&(who, code)) {
            *self.evicted.entry("blind_spots".to_owned()).or_default() += 1;
            return;
        }
        let none = BlindSpot { code: code.as_str(), count: 0, connections: 0, operations: 0, bytes: 0 };
        let (spot, written) = self.blind.entry((who, code)).or_insert((none, false));
        spot.count = spot.count.saturating_add(add.0);
        spot.connections = spot.connections.saturating_add(add.1);
        spot.operations = spot.operations.saturating_add(add.2);
        spot.bytes = spot.bytes.saturating_add(add.3);
        if !*written {
            self.write_blind(out);
        }
    }

    /// In how many processes each occurred.
    pub fn blind_spots(&self) -> BTreeMap<&'static str, u64> {
        let mut spots = BTreeMap::new();
        for (_, code) in self.blind.keys() {
            *spots.entry(code.as_str()).or_default() += 1;
        }
        spots
    }

    fn write_blind(&mut self, out: &mut Vec<Line>) {
        let mut spots = std::mem::take(&mut self.blind);
        for ((who, code), (spot, written)) in &mut spots {
            if spot.count == 0 {
                continue;
            }
            let empty = BlindSpot { code: spot.code, count: 0, connections: 0, operations: 0, bytes: 0 };
            let spot = std::mem::replace(spot, empty);
            *written = true;
            let process = who.map(|id| {
                self.processes.peek(&id).map_or_else(|| lines::by_comm(id, [0; 16]), |known| known.process.clone())
            });
            let resource = process.map(|process| self.resource(&process));
            let whose =
                resource.as_ref().map_or("this node".to_owned(), |r| format!("{} (pid {})", r.service_name, r.pid));
            out.push(Line::BlindSpot(Box::new(BlindSpotLine {
                schema_version: SCHEMA_VERSION,
                timestamp: self.timeline.format(self.now),
                event_name: "auditor.blind_spot",
                message: format!("{whose}: {}.", code.rule().gist()),
                blind_spot: spot,
                resource,
            })));
        }
        self.blind = spots;
    }
}
