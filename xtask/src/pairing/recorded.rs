//! A recording of a fleet, and beside it what really happened: `{"call":"PORT/N","parent":"ID"}` a line. The call is the
//! Nth request from that local port; its parent the request with that last segment in its path, `null` for a background
//! job.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use auditor::exchange::{Event, ExchangeId, Role};
use auditor::pair::Claim;
use auditor::pipeline::{Back, Front, Settings};
use auditor::record::{BootNs, Endpoints};
use auditor::report::{Line, PATIENCE, Timeline};
use auditor::source::recording::Reader;
use serde::Deserialize;

use super::When;
use super::score::{Outcome, Scored};

#[derive(Deserialize)]
struct Truth {
    call: String,
    parent: Option<String>,
}

/// By what was claimed of each call, and by the findings, of which each is written.
pub(super) fn score(file: &Path, when: When) -> Result<Outcome> {
    let truth = std::fs::read_to_string(file.with_extension("truth")).context("no .truth beside it")?;
    let truth: Vec<Truth> = truth.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let truth: HashMap<String, Option<String>> = truth.into_iter().map(|line| (line.call, line.parent)).collect();
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();

    let mut settings = Settings::default().for_recording();
    settings.back.aggregation_window = Duration::ZERO;
    let mut front = Front::new(&settings);
    let mut back = Back::new(settings.back);
    back.keep_claims();
    let mut reader = Reader::new(BufReader::new(File::open(file)?))?;
    let mut replay = Replay::default();
    let begun = Instant::now();
    let mut events = Vec::new();
    while let Some(record) = reader.next_record()? {
        front.push(record, &mut events, |_| {});
        replay.pass(&mut events, &mut back, when);
    }
    front.finish(&mut events, |_| {});
    replay.pass(&mut events, &mut back, when);
    back.finish(&mut replay.lines);
    replay.keep(&mut back, when);

    let took = begun.elapsed();
    let named = replay.named();
    let calls = replay.claims.into_iter().filter_map(|(id, claim)| {
        let Call { key, what, .. } = replay.calls.get(&id)?;
        let (truth, what) = (truth.get(key)?.clone(), what.clone());
        let claimed = claim.parent.as_ref().map(|parent| last_segment(&parent.path));
        let (named, process) = (named.get(&id).cloned(), name.clone());
        Some(Scored { process, what, truth, claimed, named, method: claim.method, confidence: claim.confidence })
    });
    Ok(Outcome { calls: calls.collect(), took })
}

fn last_segment(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

struct Call {
    /// Its port and number.
    key: String,
    /// Method and path.
    what: String,
    answered: Option<BootNs>,
}

#[derive(Default)]
struct Replay {
    timeline: Timeline,
    now: BootNs,
    /// Requests so far from each local port.
    ports: HashMap<u16, u32>,
    calls: HashMap<ExchangeId, Call>,
    /// The calls by when they were made, as lines have it.
    made: HashMap<String, ExchangeId>,
    claims: BTreeMap<ExchangeId, Claim>,
    lines: Vec<Line>,
}

impl Replay {
    fn pass(&mut self, events: &mut Vec<Event>, back: &mut Back, when: When) {
        for event in events.drain(..) {
            match &event {
                Event::Clock(clock) => self.timeline = Timeline::new(clock),
                Event::Tick(tick) => self.now = self.now.max(tick.time),
                Event::Request(request) => self.now = self.now.max(request.time),
                Event::Response { id, time, .. } | Event::End { id, time, .. } => {
                    self.now = self.now.max(*time);
                    if let Some(call) = self.calls.get_mut(id) {
                        call.answered.get_or_insert(self.now);
                    }
                }
                _ => {}
            }
            if let Event::Request(request) = &event
                && request.role == Role::Client
                && let Endpoints::Tcp { local, .. } = &request.endpoints
            {
                let n = self.ports.entry(local.port()).or_default();
                *n += 1;
                let what = format!("{} {}", request.head.method, request.head.path);
                let key = format!("{}/{n}", local.port());
                self.calls.insert(request.id, Call { key, what, answered: None });
                self.made.insert(self.timeline.format(request.time), request.id);
            }
            back.handle(event, &mut self.lines);
            self.keep(back, when);
        }
    }

    fn keep(&mut self, back: &mut Back, when: When) {
        for claim in back.claims() {
            let answered = self.calls.get(&claim.call).and_then(|call| call.answered);
            let in_time = answered.is_none_or(|answered| self.now <= answered + PATIENCE);
            match self.claims.get_mut(&claim.call) {
                // In hindsight more is known, but of what was certain nothing is said.
                Some(earlier) if when == When::End || when == When::Live && in_time => *earlier = claim,
                Some(_) => {}
                None => {
                    self.claims.insert(claim.call, claim);
                }
            }
        }
    }

    /// The request that a finding names, of each call that has one of its own.
    fn named(&self) -> HashMap<ExchangeId, String> {
        let findings = self.lines.iter().filter_map(|line| match line {
            Line::Finding(line) if line.finding.count == 1 => Some(&line.finding),
            _ => None,
        });
        let named = findings.filter_map(|finding| {
            let path = finding.inbound.as_ref().filter(|_| finding.correlation.is_some())?.path.as_ref()?;
            Some((*self.made.get(&finding.first_seen)?, last_segment(path)))
        });
        named.collect()
    }
}
