//! From verdicts to findings: what they say, how bad they are, and when they are certain.

use std::sync::Arc;

use super::back::{Back, Hop};
use super::example::{CallExample, Example};
use super::lines::Answer;
use crate::audit::{Boundaries, Code, Found, Outcome, Severity, dropped};
use crate::context::format::Format;
use crate::context::w3c::{self, W3C, rules};
use crate::context::{Carried, Presence, Selection, format, xray};
use crate::pair::{ClassRef, Inbound, Suspicion};
use crate::report::{Correlation, FormatCounts, Line, Mark, NO_FORMAT, fingerprint, round4};

pub(super) type Occurrence = crate::report::Occurrence<Example>;

impl Back {
    /// A class is certain: its earlier calls count as well.
    pub(super) fn convict(
        &mut self,
        class: &ClassRef,
        suspicion: Suspicion,
        confidence: f64,
        (mark, mut found): (Mark, Occurrence),
        out: &mut Vec<Line>,
    ) {
        for (other, mut earlier) in self.suspects.pop(&(class.group, class.route)).unwrap_or_default() {
            if let Some(edge) = earlier.example.edge() {
                self.edges.confirm(edge, suspicion, earlier.count, &earlier.formats);
                earlier.formats = FormatCounts::default();
            }
            let unknown = self.totals.hops.entry(Outcome::Unknown).or_default();
            *unknown = unknown.saturating_sub(earlier.count);
            *self.totals.hops.entry(Outcome::of(suspicion)).or_default() += earlier.count;
            self.totals.settle(Outcome::of(suspicion), earlier.example.format(), earlier.count);
            self.totals.suspected = self.totals.suspected.saturating_sub(earlier.count);
            earlier.example.set_confidence(round4(confidence));
            if other == mark {
                earlier.absorb(found);
                found = earlier;
            } else {
                self.found(other, earlier, out);
            }
        }
        self.found(mark, found, out);
    }

    /// A finding on a call.
    pub(super) fn occurrence(
        &self,
        hop: &Arc<Hop>,
        found: Found,
        outcome: Outcome,
        answer: Answer,
        correlation: Option<Correlation>,
    ) -> (Mark, Occurrence) {
        let parent = hop.told_parent(correlation.as_ref());
        let (method, route) = parent.map_or(("", ""), |parent| (&*parent.target.method, &*parent.target.route));
        let outbound = &hop.edge.outbound;
        let code = Code(found.fault.rule);
        let silenced = hop.silence.has(code);
        let edge = [method, route, &outbound.method, &outbound.route];
        let fingerprint = fingerprint(&found, &hop.edge.service, &edge, &hop.destination);
        let (severity, why) = self.severity(hop, hop.pairing.parent.as_deref(), &found);
        let (peer, client) = (self.peer(hop.request.id), parent.and_then(|parent| self.peer(parent.id)));
        let how = match outcome {
            Outcome::Dropped => Some(Suspicion::Dropped),
            Outcome::Restarted => Some(Suspicion::Restarted),
            _ => None,
        };
        let time = hop.request.time;
        let formats = FormatCounts::default();
        let hop = hop.clone();
        let call = CallExample { hop, found, severity, why, fingerprint, outcome, answer, correlation, peer, client };
        let example = Example::kept(call, self);
        (
            (fingerprint, severity),
            Occurrence { example, code, severity, how, silenced, count: 1, seen: (time, time), formats },
        )
    }

    /// How bad a finding is on this call for this request, and why, if not just as bad as its rule.
    pub(super) fn severity(&self, hop: &Hop, parent: Option<&Inbound>, found: &Found) -> (Severity, String) {
        let rule = found.fault.rule;
        let request = parent.map(|parent| &parent.endpoints);
        let boundaries = &self.config.boundaries;
        if let Some(severity) = Boundaries::severity(rule, &self.config.selection) {
            if let Some(trust) = boundaries.crossed(&hop.subject(), request) {
                return (severity, format!(", across the trust boundary {trust}"));
            }
            if boundaries.is_external(&hop.destination, &hop.request.endpoints) {
                return (severity, ", which is not internal".to_owned());
            }
            if parent.is_some_and(|parent| xray::is_unrecorded(found.format, &parent.carried.named)) {
                return (severity, ", of a trace that nobody records".to_owned());
            }
        }
        match self.samples.severity(rule, &hop.pairing, &hop.edge.outbound, &hop.destination) {
            Some(severity) => (severity, ", although the process sets parent-ids of its own on other calls".to_owned()),
            None => (rule.severity, String::new()),
        }
    }

    pub(super) fn found(&mut self, mark: Mark, occurrence: Occurrence, out: &mut Vec<Line>) {
        if !self.config.selection.tells(occurrence.example.format()) {
            return;
        }
        if occurrence.silenced {
            self.totals.findings_ignored += occurrence.count;
            return;
        }
        *self.totals.findings.entry((occurrence.code, occurrence.severity)).or_default() += occurrence.count;
        if occurrence.severity >= self.config.min_severity {
            let mut ready = Vec::new();
            self.fold.add(self.now, mark, occurrence, &mut ready);
            self.write(ready, out);
        }
    }
}

/// What a suspicion comes to when it is certain.
pub(super) fn accusation(parent: Option<&Inbound>, suspicion: Suspicion, selection: &Selection) -> Found {
    let (format, rule) = match (suspicion, parent) {
        (Suspicion::Dropped, Some(parent)) => dropped(&parent.carried, selection),
        (Suspicion::Dropped, None) => (w3c::NAME, &rules::DROPPED),
        (Suspicion::Restarted, Some(parent)) => (parent.carried.main(selection).name(), &rules::RESTARTED),
        (Suspicion::Restarted, None) => (w3c::NAME, &rules::RESTARTED),
        (Suspicion::NotStarted, _) => (w3c::NAME, &rules::NOT_STARTED),
    };
    Found { format, fault: format::Fault { rule, reason: None, detail: None } }
}

/// The format that says what became of the trace: of the request, if it carried anything, else of the call.
pub(super) fn format_of(hop: &Hop, selection: &Selection) -> &'static str {
    let received = hop.pairing.parent.as_deref().map(|parent| &parent.carried);
    let carries = |carried: &&Carried| carried.presence != Presence::Absent;
    let told = received.filter(carries).or(Some(&hop.sent).filter(carries));
    told.map_or(NO_FORMAT, |carried| carried.main(selection).name())
}

/// What a service that certainly started a trace of its own took over from the one that it received, where it is known
/// which one that was.
pub(super) fn kept_on_restart(hop: &Hop, suspicion: Suspicion, selection: &Selection) -> Vec<Found> {
    let known = suspicion == Suspicion::Restarted && hop.pairing.candidates == 1;
    let Some(parent) = hop.pairing.parent.as_deref().filter(|_| known) else { return Vec::new() };
    let compared = W3C.compare(parent.carried.fields(), hop.sent.fields(), selection.level);
    let kept = compared.faults.into_iter().filter(|fault| fault.rule.name == rules::STATE_KEPT_ON_RESTART.name);
    kept.map(|fault| Found { format: w3c::NAME, fault }).collect()
}
