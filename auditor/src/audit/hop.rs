//! A call that certainly belongs to a request: it carries its trace, in whatever format.

use smallvec::SmallVec;

use super::Outcome;
use super::judge::{Found, faults};
use crate::context::format::{Cargo, Comparison, Fault, Format, Status};
use crate::context::identity::Named;
use crate::context::translate::{self, Fate};
use crate::context::w3c::rules::{DROPPED, INVALID_REUSED, RESTARTED};
use crate::context::{Carried, Selection, agreement};
use crate::rule::Rule;

/// A request, and a call that carries its trace.
pub(super) struct Hop<'a> {
    received: &'a Carried,
    sent: &'a Carried,
    selection: &'a Selection,
    /// What became of each format that either head carries; of heads that were not seen whole nothing is known.
    compared: SmallVec<[(&'static dyn Format, Comparison); 2]>,
}

impl<'a> Hop<'a> {
    pub(super) fn new(received: &'a Carried, sent: &'a Carried, selection: &'a Selection) -> Self {
        let whole = received.whole && sent.whole;
        let formats = sent.formats(Some(received), selection).filter(|_| whole);
        let compared = formats.map(|format| (format, received.compare(sent, format, selection))).collect();
        Self { received, sent, selection, compared }
    }

    /// What became of each format in a word.
    pub(super) fn statuses(&self) -> Vec<(&'static str, Status)> {
        self.compared.iter().map(|(format, compared)| (format.name(), compared.status)).collect()
    }

    /// What became of the trace, and what is wrong; `None`: it cannot be said whether it is the trace at all.
    pub(super) fn judge(&self) -> Option<(Outcome, Vec<Found>)> {
        let (received, sent) = (self.received, self.sent);
        if sent.named.is_empty() && !sent.repeats(received) {
            return None;
        }
        if !received.whole || !sent.whole {
            let same = sent.repeats(received);
            return Some((if same { Outcome::PassedThrough } else { Outcome::Continued }, Vec::new()));
        }
        let outcome = self.outcome();
        let main = received.main(self.selection).name();
        let lives = matches!(outcome, Outcome::Continued | Outcome::PassedThrough | Outcome::Translated)
            && !self.is_superseded(main);
        let mut found: Vec<Found> = Vec::new();
        let state = |carried: &Carried| carried.fields().values("tracestate").any(|value| !value.is_empty());
        let state_lost = state(received) && !state(sent);
        let across = translate::faults(&received.named, main, &sent.named, state_lost).into_iter();
        let across = across.chain(agreement::introduced(&received.named, &sent.named));
        found.extend(across.map(|fault| Found { format: main, fault }));
        let mut ended: Vec<Named> = Vec::new();
        for (format, compared) in &self.compared {
            let (format, name) = (*format, format.name());
            let goes_on = self.goes_on(name);
            let lost = match (format.cargo(), compared.status) {
                (Cargo::Trace, Status::Restarted) if goes_on => None,
                (Cargo::Trace, Status::Dropped) if self.is_superseded(name) => None,
                (Cargo::Trace, status) => self.ended(name, &mut ended).and_then(|()| end(format, status)),
                // What belongs to the trace is not told of apart from its end.
                (_, Status::Dropped) if lives => format.dropped(),
                _ => None,
            };
            // Two traces are one fault.
            let mismatch = found.iter().any(|found| found.fault.rule.name == agreement::MISMATCH.name);
            let lost = lost.filter(|rule| !(mismatch && rule.name == RESTARTED.name));
            let lost = lost.map(|rule| Fault { rule, reason: None, detail: None });
            let faults = lost.into_iter().chain(compared.faults.iter().cloned());
            // The id that another format names was not taken from the value that is invalid.
            let faults = faults.filter(|fault| !(goes_on && fault.rule.name == INVALID_REUSED.name));
            found.extend(faults.map(|fault| Found { format: name, fault }));
        }
        found.extend(faults(sent, Some(received), self.selection));
        Some((outcome, found))
    }

    /// What became of the trace that the request is about.
    fn outcome(&self) -> Outcome {
        let main = self.received.main(self.selection);
        let status = |format: &dyn Format| {
            let compared = self.compared.iter().find(|(other, _)| other.name() == format.name());
            Outcome::from(compared.map_or(Status::Absent, |(_, compared)| compared.status))
        };
        let Some(named) = self.named(main.name()) else {
            // Of a value that is not valid.
            return status(main);
        };
        match translate::fate(named, &self.sent.named) {
            Fate::Translated(to) | Fate::Truncated(to) if to != main.name() => Outcome::Translated,
            Fate::Ended if self.goes_on(main.name()) => Outcome::Continued,
            Fate::Ended if status(main) == Outcome::Dropped && self.is_superseded(main.name()) => Outcome::Continued,
            _ => status(main),
        }
    }

    /// The trace that was received in this format.
    fn named(&self, format: &str) -> Option<&Named> {
        self.received.named.iter().find(|named| named.format == format)
    }

    /// Whether the trace that was received in this format ended because another one went on that came with it. Only one of
    /// two can, and whoever sent both was told so. That an id of a load balancer's went on is no reason for the trace to end
    /// that it was added to.
    fn is_superseded(&self, format: &str) -> bool {
        let goes_on = |named: &Named| translate::fate(named, &self.sent.named) != Fate::Ended;
        let Some(ended) = self.named(format).filter(|named| !goes_on(named)) else { return false };
        // Who only copies what came can copy all of it.
        let is_taken_up = |named: &Named| {
            let (sent, named) = (&self.sent.named, &named.identity);
            sent.iter().any(|sent| sent.identity.same_trace(named) && !sent.identity.same_span(named))
        };
        let made_up = |named: &Named| agreement::is_of_load_balancers(named.format);
        let mut others = self.received.named.iter().filter(|other| !other.identity.same_trace(&ended.identity));
        others.any(|other| is_taken_up(other) && (!made_up(other) || made_up(ended)))
    }

    /// Whether what the call names in this format is a trace that was received, in whatever format: of two that come
    /// together only one can go on.
    fn goes_on(&self, format: &str) -> bool {
        let sent = self.sent.named.iter().find(|named| named.format == format);
        sent.is_some_and(|sent| self.received.named.iter().any(|named| named.identity.same_trace(&sent.identity)))
    }

    /// Whether the trace that was received in this format ended here, and no other format has told so.
    fn ended(&self, format: &str, ended: &mut Vec<Named>) -> Option<()> {
        let named = *self.named(format)?;
        let told = ended.iter().any(|other| other.identity.same_trace(&named.identity));
        if told || translate::fate(&named, &self.sent.named) != Fate::Ended {
            return None;
        }
        ended.push(named);
        Some(())
    }
}

/// The rule for the end of a trace.
fn end(format: &dyn Format, status: Status) -> Option<&'static Rule> {
    match status {
        Status::Dropped => format.dropped(),
        Status::Restarted => Some(&RESTARTED),
        _ => None,
    }
}

/// The rule for calls that carry nothing although their requests did.
pub fn dropped(received: &Carried, selection: &Selection) -> (&'static str, &'static Rule) {
    let main = received.main(selection);
    (main.name(), main.dropped().unwrap_or(&DROPPED))
}
