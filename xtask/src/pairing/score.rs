//! Claims beside the truth: accuracy per process and method, and whether a confidence means what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use auditor::pair::{Claim, Method};

/// Confidences from which on the share of right claims is shown.
const CLAIMS: [f64; 2] = [0.99, 0.9];

/// One call: the key of its true parent, and that of the claimed one. `None`: no request made it.
pub(super) struct Scored {
    pub(super) process: String,
    /// Method and path of the call.
    pub(super) what: String,
    pub(super) truth: Option<String>,
    pub(super) claimed: Option<String>,
    /// The request that a finding on it names.
    pub(super) named: Option<String>,
    pub(super) method: Method,
    pub(super) confidence: f64,
}

impl Scored {
    fn is_right(&self) -> bool {
        self.truth == self.claimed
    }
}

/// What was found out about one file.
pub(super) struct Outcome {
    pub(super) calls: Vec<Scored>,
    /// Time of the replay.
    pub(super) took: Duration,
}

/// Takes a later claim for an earlier one if it knows better: delays know all that happened until the request ended, but
/// they are the last resort.
pub(super) fn better(claim: &mut Claim, later: Claim) {
    let last_resort = matches!(claim.method, Method::None | Method::AnyParent | Method::DelayModel);
    if last_resort && (later.parent.is_some() || claim.parent.is_none()) {
        *claim = later;
    }
}

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
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.claimed == 0 {
            return f.pad("-");
        }
        f.pad(&format!("{:.4} of {}", f64::from(self.right) / f64::from(self.claimed), self.claimed))
    }
}

#[derive(Clone, Default)]
struct Score {
    /// Of the calls that a request made.
    hops: Share,
    /// Of those that none did.
    background: Share,
    /// Of the findings, those that name the request that made the call.
    named: Share,
    methods: BTreeMap<Method, Share>,
    confident: [Share; CLAIMS.len()],
}

impl Score {
    fn add(&mut self, call: &Scored) {
        let right = call.is_right();
        if call.truth.is_some() { &mut self.hops } else { &mut self.background }.add(right);
        if call.named.is_some() {
            self.named.add(call.named == call.truth);
        }
        self.methods.entry(call.method).or_default().add(right);
        for (share, least) in self.confident.iter_mut().zip(CLAIMS) {
            if call.confidence >= least {
                share.add(right);
            }
        }
    }
}

/// All files.
pub(super) struct Board {
    except: Vec<String>,
    /// Every call that is wrong gets a line.
    wrong: bool,
    lines: Vec<String>,
    total: Score,
}

impl Board {
    /// `except`: processes that the totals leave out; `wrong`: whether to list the calls that are wrong.
    pub(super) fn new(except: &[String], wrong: bool) -> Self {
        let shares = ["hops right", "no hop, left so", "named in findings", "claimed >= 0.99", "claimed >= 0.9"];
        let head = [&["file, process"][..], &shares, &["by method"]].concat();
        Self {
            except: except.to_vec(),
            wrong,
            lines: vec![line(&head.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())],
            total: Score::default(),
        }
    }

    /// Adds a file.
    pub(super) fn add(&mut self, file: &Path, outcome: Outcome) {
        let mut processes: BTreeMap<&str, Score> = BTreeMap::new();
        let mut total = Score::default();
        for call in &outcome.calls {
            processes.entry(&call.process).or_default().add(call);
            if !self.except.contains(&call.process) {
                total.add(call);
                self.total.add(call);
            }
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.lines.push(format!("{name} ({:.1} s)", outcome.took.as_secs_f64()));
        for (process, score) in &processes {
            self.lines.push(line(&row(&format!("  {process}"), score)));
        }
        for call in outcome.calls.iter().filter(|call| self.wrong && !call.is_right()) {
            let (truth, claimed) = (call.truth.as_deref().unwrap_or("-"), call.claimed.as_deref().unwrap_or("-"));
            let (method, confidence) = (call.method.as_str(), call.confidence);
            self.lines.push(format!("    {}: {truth}, not {claimed} ({method}, {confidence:.3})", call.what));
        }
        if processes.len() > 1 {
            self.lines.push(line(&row("  together", &total)));
        }
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{}", line(&row("all files", &self.total)))
    }
}

#[cfg(test)]
impl Outcome {
    /// Share of the hops that are right, and of the claims that are nearly certain.
    pub(super) fn shares(&self) -> [f64; 2] {
        let mut score = Score::default();
        self.calls.iter().for_each(|call| score.add(call));
        [score.hops, score.confident[0]].map(|share| f64::from(share.right) / f64::from(share.claimed.max(1)))
    }
}

fn row(name: &str, score: &Score) -> Vec<String> {
    let methods = score.methods.iter().map(|(method, share)| format!("{} {share}", method.as_str()));
    let [most, many] = score.confident;
    let shares = [score.hops, score.background, score.named, most, many].map(|share| share.to_string());
    let methods = methods.collect::<Vec<_>>().join(", ");
    [vec![name.to_owned()], shares.to_vec(), vec![methods]].concat()
}

fn line(columns: &[String]) -> String {
    let width = |at| if at == 0 { 28 } else { 18 };
    let columns: Vec<_> = columns.iter().enumerate().map(|(at, column)| format!("{column:0$}", width(at))).collect();
    columns.join(" ").trim_end().to_owned()
}
