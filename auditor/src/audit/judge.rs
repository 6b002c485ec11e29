//! Judges calls, and requests by themselves.

use super::Outcome;
use super::hop::Hop;
use crate::context::format::{Fault, Status};
use crate::context::w3c::{self, Context};
use crate::context::{Carried, Presence, Selection, agreement};
use crate::pair::{Inbound, Method, Pairing, Parents, Suspicion};

/// A fault, and the format it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Name of the format.
    pub format: &'static str,
    /// What is wrong.
    pub fault: Fault,
}

impl Found {
    /// Whether it is the same fault, whatever it shows in.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.format, self.fault.rule.name) == (other.format, other.fault.rule.name)
    }
}

/// Judgement on one hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of the trace. [`Outcome::Unknown`] while only suspected.
    pub outcome: Outcome,
    /// What became of each format that the request or the call carries. It counts if the outcome is known.
    pub formats: Vec<(&'static str, Status)>,
    /// What is certain from the values themselves.
    pub findings: Vec<Found>,
    /// What would be reported if the call is not background work.
    pub suspicion: Option<Suspicion>,
}

impl Verdict {
    fn plain(outcome: Outcome) -> Self {
        Self { outcome, formats: Vec::new(), findings: Vec::new(), suspicion: None }
    }
}

/// Judges a call.
pub fn judge(pairing: &Pairing, sent: &Carried, selection: &Selection) -> Verdict {
    let parent = pairing.parent.as_deref();
    let hop = parent.map(|parent| Hop::new(&parent.carried, sent, selection));
    let formats = hop.as_ref().map_or_else(Vec::new, Hop::statuses);
    if let (Method::TraceId, Some(hop)) = (pairing.method, hop)
        && let Some((outcome, mut findings)) = hop.judge()
    {
        for other in &pairing.others {
            if findings.is_empty() {
                break;
            }
            let of_other = Hop::new(&other.carried, sent, selection).judge().map_or_else(Vec::new, |(_, f)| f);
            findings.retain(|found| of_other.iter().any(|other| found.is_like(other)));
        }
        if pairing.may_copy || parent.is_some_and(|parent| parent.ignored) {
            findings.clear();
        }
        return Verdict { formats, findings, ..Verdict::plain(outcome) };
    }
    let findings = made(pairing, sent, selection);
    let is_broken = matches!(sent.w3c, Context::Malformed(..) | Context::Duplicated(..));
    if sent.presence == Presence::Unclear || is_broken {
        return Verdict { formats, findings, ..Verdict::plain(Outcome::Unknown) };
    }
    if let Some((suspicion, _)) = &pairing.suspect {
        // Without a route to name there is nobody to tell.
        let suspicion = parent.is_some().then_some(*suspicion);
        return Verdict { formats, findings, suspicion, ..Verdict::plain(Outcome::Unknown) };
    }
    let sends = sent.presence == Presence::Valid || !sent.named.is_empty();
    let none = |p: &Inbound| p.ignored && p.carried.presence == Presence::Absent;
    let outcome = match (pairing.parents, parent) {
        (Parents::None, _) if sends => Outcome::Started,
        (Parents::None, _) => Outcome::Absent,
        (Parents::Absent, _) if sends => Outcome::Started,
        // To start anew after an invalid context is what the specification asks for: no trace ends there.
        (Parents::Unclear, Some(p)) if (is_invalid(p) || none(p)) && sends => Outcome::Started,
        (Parents::Unclear, Some(p)) if is_invalid(p) || none(p) => Outcome::Absent,
        _ => Outcome::Unknown,
    };
    Verdict { formats, findings, ..Verdict::plain(outcome) }
}

fn is_invalid(parent: &Inbound) -> bool {
    parent.carried.presence == Presence::Unclear
        && matches!(parent.carried.w3c, Context::Malformed(..) | Context::Duplicated(..))
}

/// What is wrong with the values of a call that carries nothing of any request, so that the service made them.
fn made(pairing: &Pairing, sent: &Carried, selection: &Selection) -> Vec<Found> {
    let parent = pairing.parent.as_deref();
    let by_execution = matches!(pairing.method, Method::Coroutine | Method::Thread | Method::ChildProcess);
    let all = faults(sent, None, selection);
    match pairing.parents {
        // Nothing was received that it could have been copied from.
        Parents::None if !pairing.may_copy => all,
        _ if by_execution && parent.is_some_and(|p| p.carried.whole) => {
            faults(sent, parent.map(|p| &p.carried), selection)
        }
        // A valid context is no copy of a broken one, and neither is none.
        Parents::None | Parents::Valid | Parents::Absent => {
            all.into_iter().filter(|found| is_parents(&found.fault)).collect()
        }
        // Of one that was seen whole it would have been found.
        Parents::Unclear if pairing.method == Method::TraceId || parent.is_some_and(|p| p.carried.whole) => {
            let received = parent.map(|p| &p.carried);
            faults(sent, received, selection).into_iter().filter(|found| is_parents(&found.fault)).collect()
        }
        Parents::Unclear | Parents::JustAnswered => Vec::new(),
    }
}

/// Whether it is about the value of `traceparent`.
fn is_parents(fault: &Fault) -> bool {
    [w3c::rules::MALFORMED.name, w3c::rules::DUPLICATED.name].contains(&fault.rule.name)
}

/// What is wrong with the values of a head whoever sent it, but for what it `received`.
pub(super) fn faults(sent: &Carried, received: Option<&Carried>, selection: &Selection) -> Vec<Found> {
    // A broken value that is not the one that came is the service's own, though it be broken in the same way.
    let remade = received.is_some_and(|received| !sent.w3c.is_of(&received.w3c));
    let own = |fault: &Fault| remade && is_parents(fault);
    let came = |format: &str, fault: &Fault| {
        let mut faults = received.into_iter().flat_map(|received| received.faults());
        faults.any(|(of, came)| of == format && came.is_like(fault))
    };
    // Each format's own come first.
    let mut found: Vec<_> = sent.faults().filter(|(format, fault)| own(fault) || !came(format, fault)).collect();
    found.sort_by_key(|(format, fault)| (selection.place(format), !own(fault)));
    found.into_iter().map(|(format, fault)| Found { format, fault: fault.clone() }).collect()
}

/// Judges what was received; the sender is the one at fault.
pub fn judge_inbound(received: &Carried, selection: &Selection) -> Vec<Found> {
    let mut found = faults(received, None, selection);
    if received.whole {
        let fault = agreement::disagreement(&received.named);
        found.extend(fault.map(|fault| Found { format: received.main(selection).name(), fault }));
    }
    found
}
