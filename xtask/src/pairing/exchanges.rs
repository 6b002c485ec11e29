//! Exchanges of many processes, one JSON object a line: `process`, `direction`, `id`, `start_us`, `end_us`,
//! `operation`, for outbound ones `peer`, and `parent`, the truth. Nothing but time, direction, operation and peer is
//! shown to the pairing: every process has one thread, every request a context, and no call any. Calls are solved
//! jointly, which a live run does not do: there is nothing else to go by.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use auditor::exchange::{End, Event, ExchangeId, Request, RequestHead, Role};
use auditor::pair::Claim;
use auditor::pipeline::{Back, Config};
use auditor::record::{ProcessId, Tick};
use auditor::testing;
use serde::Deserialize;

use super::score::{Outcome, Scored, better};

#[derive(Deserialize)]
struct Exchange {
    process: String,
    direction: Direction,
    id: String,
    start_us: u64,
    end_us: u64,
    operation: String,
    #[serde(default)]
    peer: String,
    parent: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Inbound,
    Outbound,
}

/// What happens at one moment, in this order. A call without duration is answered after it was sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Opened,
    Answered,
    Sent,
    AnsweredAtOnce,
    Closed,
}

const SECOND_US: u64 = 1_000_000;

pub(super) fn score(file: &Path) -> Result<Outcome> {
    let text = std::fs::read_to_string(file)?;
    let parse = |(at, line): (usize, &str)| serde_json::from_str(line).with_context(|| format!("line {}", at + 1));
    let rows: Vec<Exchange> = text.lines().enumerate().map(parse).collect::<Result<_>>()?;
    let mut order: Vec<(u64, What, usize)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let (begin, end) = match row.direction {
            Direction::Inbound => (What::Opened, What::Closed),
            Direction::Outbound if row.start_us == row.end_us => (What::Sent, What::AnsweredAtOnce),
            Direction::Outbound => (What::Sent, What::Answered),
        };
        order.extend([(row.start_us, begin, at), (row.end_us, end, at)]);
    }
    order.sort_unstable();

    let mut back = Back::new(Config::default());
    back.keep_claims();
    back.solve_jointly();
    let mut pids: HashMap<&str, u32> = HashMap::new();
    let mut ids = vec![ExchangeId(0); rows.len()];
    let mut claims: BTreeMap<ExchangeId, Claim> = BTreeMap::new();
    let mut tick = order.first().map_or(0, |(time, ..)| *time);
    let begun = Instant::now();
    for (next, (time_us, what, at)) in order.into_iter().enumerate() {
        let mut events = Vec::new();
        while tick + SECOND_US < time_us {
            tick += SECOND_US;
            events.push(Event::Tick(Arc::new(Tick { time: tick * 1000, counters: Default::default() })));
        }
        let (row, time) = (&rows[at], time_us * 1000);
        match what {
            What::Opened | What::Sent => {
                ids[at] = ExchangeId(next as u64 + 1);
                let number = pids.len() as u32 + 1;
                let tgid = *pids.entry(&row.process).or_insert(number);
                events.push(Event::Request(Arc::new(request(row, ids[at], tgid, time))));
            }
            What::Answered | What::AnsweredAtOnce | What::Closed => {
                let id = ids[at];
                events.push(Event::Response { id, time, tid: 1, coroutine: 0, status: Some(200) });
                events.push(Event::End { id, time, end: End::Complete });
            }
        }
        for event in events {
            back.handle(event, &mut Vec::new());
        }
        for claim in back.claims() {
            match claims.get_mut(&claim.call) {
                Some(earlier) => better(earlier, claim),
                None => {
                    claims.insert(claim.call, claim);
                }
            }
        }
    }
    // The last ones are decided once nothing more can come.
    let end = Event::Tick(Arc::new(Tick { time: (tick + 60 * SECOND_US) * 1000, counters: Default::default() }));
    back.handle(end, &mut Vec::new());
    for claim in back.claims() {
        if let Some(earlier) = claims.get_mut(&claim.call) {
            better(earlier, claim);
        }
    }

    let took = begun.elapsed();
    let keys: HashMap<ExchangeId, &str> = ids.iter().copied().zip(rows.iter().map(|row| row.id.as_str())).collect();
    let calls =
        rows.iter().zip(&ids).filter(|(row, _)| row.direction == Direction::Outbound).filter_map(|(row, id)| {
            let claim = claims.get(id)?;
            let claimed = claim.parent.as_ref().and_then(|parent| keys.get(&parent.id)).map(|id| (*id).to_owned());
            let (process, truth) = (row.process.clone(), row.parent.clone());
            let what = format!("{} to {}", row.operation, row.peer);
            let (method, confidence, named) = (claim.method, claim.confidence, None);
            Some(Scored { process, what, truth, claimed, named, method, confidence })
        });
    Ok(Outcome { calls: calls.collect(), took })
}

fn request(row: &Exchange, id: ExchangeId, tgid: u32, time: u64) -> Request {
    let inbound = row.direction == Direction::Inbound;
    let context = format!("00-{:032x}-{:016x}-01", id.0, id.0);
    let request = testing::request(id, if inbound { Role::Server } else { Role::Client }, time);
    let head = RequestHead {
        path: format!("/{}", row.operation.trim_start_matches('/')).into(),
        host: Some(row.peer.as_str().into()),
        fields: inbound.then_some(("traceparent", context)).into_iter().collect(),
        ..request.head
    };
    Request { process: ProcessId { tgid, start_ns: 1 }, head, ..request }
}
