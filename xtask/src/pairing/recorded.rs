//! A recording of a fleet, and beside it what really happened: `{"call":"PORT/N","parent":"ID"}` a line. The call is the
//! Nth request from that local port; its parent the request with that last segment in its path, `null` for a background
//! job.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use auditor::exchange::{Event, ExchangeId, Role};
use auditor::pair::Claim;
use auditor::pipeline::{Back, Front, Settings};
use auditor::record::Endpoints;
use auditor::source::recording::Reader;
use serde::Deserialize;

use super::score::{Outcome, Scored};

#[derive(Deserialize)]
struct Truth {
    call: String,
    parent: Option<String>,
}

/// `when_made`: by the first claim about each call, not the last.
pub(super) fn score(file: &Path, when_made: bool) -> Result<Outcome> {
    let truth = std::fs::read_to_string(file.with_extension("truth")).context("no .truth beside it")?;
    let truth: Vec<Truth> = truth.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let truth: HashMap<String, Option<String>> = truth.into_iter().map(|line| (line.call, line.parent)).collect();
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();

    let settings = Settings::default().for_recording();
    let mut front = Front::new(&settings);
    let mut back = Back::new(settings.back);
    back.keep_claims();
    let mut reader = Reader::new(BufReader::new(File::open(file)?))?;
    let mut replay = Replay { when_made, ..Replay::default() };
    let begun = Instant::now();
    let mut events = Vec::new();
    while let Some(record) = reader.next_record()? {
        front.push(record, &mut events, |_| {});
        replay.pass(&mut events, &mut back);
    }
    front.finish(&mut events, |_| {});
    replay.pass(&mut events, &mut back);
    back.finish(&mut Vec::new());
    replay.keep(&mut back);

    let took = begun.elapsed();
    let calls = replay.claims.into_iter().filter_map(|(id, claim)| {
        let (call, what) = replay.calls.get(&id)?;
        let (truth, what) = (truth.get(call)?.clone(), what.clone());
        let id = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let claimed = claim.parent.as_ref().map(|parent| id(&parent.path));
        Some(Scored { process: name.clone(), what, truth, claimed, method: claim.method, confidence: claim.confidence })
    });
    Ok(Outcome { calls: calls.collect(), took })
}

#[derive(Default)]
struct Replay {
    when_made: bool,
    /// Requests so far from each local port.
    ports: HashMap<u16, u32>,
    /// The key of each call, and what it is.
    calls: HashMap<ExchangeId, (String, String)>,
    claims: BTreeMap<ExchangeId, Claim>,
}

impl Replay {
    fn pass(&mut self, events: &mut Vec<Event>, back: &mut Back) {
        for event in events.drain(..) {
            if let Event::Request(request) = &event
                && request.role == Role::Client
                && let Endpoints::Tcp { local, .. } = &request.endpoints
            {
                let n = self.ports.entry(local.port()).or_default();
                *n += 1;
                let what = format!("{} {}", request.head.method, request.head.path);
                self.calls.insert(request.id, (format!("{}/{n}", local.port()), what));
            }
            back.handle(event, &mut Vec::new());
            self.keep(back);
        }
    }

    fn keep(&mut self, back: &mut Back) {
        for claim in back.claims() {
            match self.claims.get_mut(&claim.call) {
                // In hindsight more is known, but of what was certain nothing is said.
                Some(earlier) if !self.when_made => *earlier = claim,
                Some(_) => {}
                None => {
                    self.claims.insert(claim.call, claim);
                }
            }
        }
    }
}
