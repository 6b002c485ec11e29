//! `cargo xtask pairing FILE…`: how often the delay model finds the request that caused a call, where the truth is known.
//!
//! A file holds one exchange a line, as JSON: `process`, `direction` (`inbound` or `outbound`), `id`, `start_us`,
//! `end_us`, `operation`, for outbound ones `peer`, and `parent`, the truth. It is replayed in order of time; the model
//! is shown the times, the direction, the operation and the peer, and what it decides on the way is what counts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use auditor::exchange::ExchangeId;
use auditor::pair::delay::{Decision, Delays};
use serde::Deserialize;

/// Confidences from which on the share of right claims is shown.
const CLAIMS: [f64; 3] = [0.99, 0.9, 0.5];

/// Options of `cargo xtask pairing`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Exchanges with known parents, one JSON object a line
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print the calls that were paired wrongly
    #[arg(long)]
    wrong: bool,
}

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

/// Claims, and those of them that are right.
#[derive(Clone, Copy, Default)]
struct Share {
    claimed: u32,
    right: u32,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.claimed += 1;
        self.right += u32::from(right);
    }

    fn plus(&mut self, other: Self) {
        self.claimed += other.claimed;
        self.right += other.right;
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = f64::from(self.right) / f64::from(self.claimed.max(1));
        write!(f, "{:>6} {:>6.4}", self.claimed, share)
    }
}

/// The score of a process.
#[derive(Clone, Copy, Default)]
struct Score {
    all: Share,
    /// Exactly one request was open, and it is the claim.
    sole: Share,
    /// Several were open, or none.
    delay: Share,
    by_confidence: [Share; CLAIMS.len()],
    time: Duration,
}

impl Score {
    fn plus(&mut self, other: &Self) {
        self.all.plus(other.all);
        self.sole.plus(other.sole);
        self.delay.plus(other.delay);
        self.by_confidence.iter_mut().zip(other.by_confidence).for_each(|(share, other)| share.plus(other));
        self.time += other.time;
    }

    fn print(&self, name: &str) {
        let claims: Vec<String> = self.by_confidence.iter().map(Share::to_string).collect();
        let seconds = self.time.as_secs_f64();
        println!("{name:24} {}  {}  {}   {}  {seconds:6.2}", self.all, self.sole, self.delay, claims.join("  "));
    }
}

/// Scores every file.
pub(crate) fn run(args: &Args) -> Result<()> {
    for file in &args.files {
        let processes = read(file).with_context(|| format!("cannot read {}", file.display()))?;
        println!("{}", file.display());
        println!(
            "{:24} {:>13}  {:>13}  {:>13}   {:>13}  {:>13}  {:>13}  {:>6}",
            "process", "calls right", "sole right", "delay right", ">=0.99 right", ">=0.9 right", ">=0.5 right", "s"
        );
        let mut total = Score::default();
        for (process, exchanges) in &processes {
            let score = score(exchanges, args.wrong);
            if score.all.claimed > 0 {
                score.print(process);
                total.plus(&score);
            }
        }
        total.print("total");
    }
    Ok(())
}

fn read(file: &Path) -> Result<BTreeMap<String, Vec<Exchange>>> {
    let mut processes: BTreeMap<String, Vec<Exchange>> = BTreeMap::new();
    for (at, line) in std::fs::read_to_string(file)?.lines().enumerate() {
        let exchange: Exchange = serde_json::from_str(line).with_context(|| format!("line {}", at + 1))?;
        processes.entry(exchange.process.clone()).or_default().push(exchange);
    }
    Ok(processes)
}

/// Replays the exchanges of a process and compares.
fn score(exchanges: &[Exchange], show_wrong: bool) -> Score {
    let ids: HashMap<&str, usize> = exchanges.iter().enumerate().map(|(at, row)| (row.id.as_str(), at)).collect();
    let started = Instant::now();
    let decisions = replay(exchanges);
    let mut score = Score { time: started.elapsed(), ..Score::default() };
    let by_call: HashMap<usize, &Decision> = decisions.iter().map(|made| (made.call.0 as usize, made)).collect();
    for (at, call) in exchanges.iter().enumerate().filter(|(_, row)| row.direction == Direction::Outbound) {
        let truth = call.parent.as_deref().and_then(|parent| ids.get(parent)).map(|at| ExchangeId(*at as u64));
        let Some(decision) = by_call.get(&at) else {
            score.all.add(false);
            continue;
        };
        let right = decision.parent == truth;
        score.all.add(right);
        let sole = decision.candidates == 1 && decision.parent.is_some();
        if sole { &mut score.sole } else { &mut score.delay }.add(right);
        for (share, confidence) in score.by_confidence.iter_mut().zip(CLAIMS) {
            if decision.confidence >= confidence {
                share.add(right);
            }
        }
        if show_wrong && !right {
            let name = |id: Option<ExchangeId>| id.and_then(|id| exchanges.get(id.0 as usize)).map(|row| &row.id);
            println!("{} {:?} {:?} {:.3}", call.id, name(truth), name(decision.parent), decision.confidence);
        }
    }
    score
}

fn replay(exchanges: &[Exchange]) -> Vec<Decision> {
    let mut events: Vec<(u64, What, usize)> = Vec::new();
    for (at, row) in exchanges.iter().enumerate() {
        let (start, end) = match row.direction {
            Direction::Inbound => (What::Opened, What::Closed),
            Direction::Outbound if row.start_us == row.end_us => (What::Sent, What::AnsweredAtOnce),
            Direction::Outbound => (What::Sent, What::Answered),
        };
        events.extend([(row.start_us, start, at), (row.end_us, end, at)]);
    }
    events.sort_unstable();
    let Some((first, ..)) = events.first().copied() else { return Vec::new() };
    let mut delays = Delays::default();
    let mut decisions = Vec::new();
    let mut now = 0;
    for (time, what, at) in events {
        now = (time - first) * 1000;
        let (row, id) = (&exchanges[at], ExchangeId(at as u64));
        match what {
            What::Opened => delays.opened(now, id, hash(&row.operation)),
            What::Answered | What::AnsweredAtOnce => delays.answered(now, id),
            What::Sent => delays.sent(now, id, hash(&format!("{} {}", row.peer, row.operation)), None, &[]),
            What::Closed => delays.closed(now, id),
        }
        delays.settle(now, &mut decisions);
    }
    // Whoever waits for more is not going to get it.
    delays.settle(now + 60_000_000_000, &mut decisions);
    decisions
}

/// FNV-1a: the same in every run.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
