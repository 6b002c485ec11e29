//! What the auditor said about each service of a scene, beside what is true.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::model::{Processes, Variant};
use super::scene::Played;
use crate::audit::Audit;

/// Inbound and outbound route of an edge.
type Edge = (String, String);

/// The word on one service.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which service; `?` for findings that are about none of the scene.
    pub name: String,
    /// Broken edges that were found.
    pub found: BTreeSet<Edge>,
    /// Broken edges that were not.
    pub missed: BTreeSet<Edge>,
    /// Findings at error or warning that are not true, in short.
    pub false_accusations: Vec<String>,
    /// Calls that the service made; that the auditor saw; whose fate it did not know.
    pub calls: [u64; 3],
    /// Requests of the driver that failed, or a truth that does not add up.
    pub trouble: String,
}

impl Verdict {
    /// Nothing but the truth, but not all of it.
    pub fn only_missed(&self) -> bool {
        self.false_accusations.is_empty() && self.trouble.is_empty()
    }

    /// Nothing but the truth, and all of it.
    pub fn is_right(&self) -> bool {
        self.missed.is_empty() && self.false_accusations.is_empty() && self.trouble.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edges =
            |edges: &BTreeSet<Edge>| edges.iter().map(|(_, to)| to.as_str()).collect::<Vec<_>>().join(" ").to_owned();
        let [made, seen, unknown] = self.calls;
        let right = if self.is_right() { "ok" } else { "WRONG" };
        write!(f, "{:<16} {right:<5} calls {made:>4} seen {seen:>4} unknown {unknown:>4}", self.name)?;
        write!(f, "  found [{}] missed [{}]", edges(&self.found), edges(&self.missed))?;
        write!(f, " false [{}] {}", self.false_accusations.join(", "), self.trouble)
    }
}

/// Judges an audit of a whole scene.
pub fn verdicts(audit: &Audit, variant: Variant, played: &[Played]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = played.iter().map(|played| blank(audit, variant, played)).collect();
    for finding in audit.of_type("finding").filter(|finding| finding["level"] != "info") {
        let about = played.iter().position(|played| is_about(finding, played));
        let edge = edge(finding);
        let name = finding["resource"]["service.name"].as_str().unwrap_or("?");
        match about.and_then(|index| Some((verdicts.get_mut(index)?, played.get(index)?))) {
            Some((verdict, played)) if is_true(finding, played, variant) => {
                verdict.missed.remove(&edge);
                verdict.found.insert(edge);
            }
            Some((verdict, _)) => verdict.false_accusations.push(short(finding)),
            None => verdicts.push(Verdict {
                name: format!("? {name}"),
                found: BTreeSet::new(),
                missed: BTreeSet::new(),
                false_accusations: vec![short(finding)],
                calls: [0; 3],
                trouble: String::new(),
            }),
        }
    }
    verdicts
}

fn blank(audit: &Audit, variant: Variant, played: &Played) -> Verdict {
    let seen = audit.outcomes(|summary| summary["resource"]["service.name"] == played.model.name);
    let seen = |name: &str| seen.get(name).copied().unwrap_or(0);
    Verdict {
        name: played.model.name.to_owned(),
        found: BTreeSet::new(),
        missed: played.model.broken(variant),
        false_accusations: Vec::new(),
        calls: [played.truth.calls.len() as u64, seen("calls"), seen("unknown")],
        trouble: played.trouble(),
    }
}

/// Accused is the service, or what happened at its backend.
fn is_about(finding: &Value, played: &Played) -> bool {
    finding["resource"]["service.name"] == played.model.name || goes_to(finding, played.backend)
}

/// The right service is accused of the right thing, towards the right destination, and it is that very edge.
fn is_true(finding: &Value, played: &Played, variant: Variant) -> bool {
    finding["finding"]["code"] == "traceparent_dropped"
        && finding["resource"]["service.name"] == played.model.name
        && (played.model.processes == Processes::Many || finding["resource"]["process.pid"] == played.pid)
        && goes_to(finding, played.backend)
        && played.model.broken(variant).contains(&edge(finding))
}

/// Where the call really went: `server.port` is what `Host` says, which a proxy passes on or makes up.
fn goes_to(finding: &Value, port: u16) -> bool {
    finding["attributes"]["network.peer.port"] == port
}

fn edge(finding: &Value) -> Edge {
    let route = |record: &Value| record["http.route"].as_str().unwrap_or("?").to_owned();
    (route(&finding["finding"]["inbound"]), route(&finding["attributes"]))
}

fn short(finding: &Value) -> String {
    let ((from, to), correlation) = (edge(finding), &finding["finding"]["correlation"]);
    format!(
        "{} {from}→{to} ×{} ({} {} of {})",
        finding["finding"]["code"].as_str().unwrap_or("?"),
        finding["finding"]["count"],
        correlation["method"].as_str().unwrap_or("?"),
        correlation["confidence"],
        correlation["candidates"],
    )
}
