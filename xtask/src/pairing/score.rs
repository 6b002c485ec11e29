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
    pub(super) truth: Option<String>,
    pub(super) claimed: Option<String>,
    pub(super) method: Method,
    pub(super) confidence: f64,
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
    all: Share,
    methods: BTreeMap<Method, Share>,
    confident: [Share; CLAIMS.len()],
}

impl Score {
    fn add(&mut self, call: &Scored) {
        let right = call.truth == call.claimed;
        self.all.add(right);
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
    lines: Vec<String>,
    total: Score,
}

impl Board {
    /// Processes that the totals leave out.
    pub(super) fn new(except: &[String]) -> Self {
        let head =
            line(&["file, process", "calls right", "claimed >= 0.99", "claimed >= 0.9", "by method"].map(String::from));
        Self { except: except.to_vec(), lines: vec![head], total: Score::default() }
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
    /// Share of the calls whose parent is right, and of the claims that are nearly certain.
    pub(super) fn shares(&self) -> [f64; 2] {
        let mut score = Score::default();
        self.calls.iter().for_each(|call| score.add(call));
        [score.all, score.confident[0]].map(|share| f64::from(share.right) / f64::from(share.claimed.max(1)))
    }
}

fn row(name: &str, score: &Score) -> [String; 5] {
    let methods = score.methods.iter().map(|(method, share)| format!("{} {share}", method.as_str()));
    let [most, many] = score.confident;
    [name.to_owned(), score.all.to_string(), most.to_string(), many.to_string(), methods.collect::<Vec<_>>().join(", ")]
}

fn line([name, all, most, many, methods]: &[String; 5]) -> String {
    format!("{name:28} {all:18} {most:18} {many:18} {methods}").trim_end().to_owned()
}
