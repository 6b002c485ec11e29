//! What a finding is told by. Most examples give way to a later one before a line is written: until then a call is kept as
//! it was judged, and costs no words.

use std::sync::Arc;

use super::back::{Back, Hop};
use super::lines::{self, Answer, Evidence};
use super::named::{Again, Named};
use crate::audit::{Found, Outcome, Severity};
use crate::pair::Inbound;
use crate::record::Process;
use crate::report::{Correlation, EdgeKey, FindingLine, Tells};

/// Fields of a call and its request, in bytes, from which on its line is the smaller of the two.
const LONG: usize = 2048;

/// The latest example of a finding.
#[derive(Debug)]
pub(super) enum Example {
    /// A line, and the edge its counts come from.
    Line(Box<FindingLine>, Option<Box<EdgeKey>>),
    /// A call.
    Call(CallExample),
}

/// A call with a fault.
#[derive(Debug)]
pub(super) struct CallExample {
    pub(super) hop: Arc<Hop>,
    pub(super) found: Found,
    pub(super) severity: Severity,
    /// Why it is not just as bad as its rule.
    pub(super) why: String,
    pub(super) fingerprint: u64,
    pub(super) outcome: Outcome,
    pub(super) answer: Answer,
    pub(super) correlation: Option<Correlation>,
    /// Who received it, and who sent the request, where that was seen.
    pub(super) peer: Option<Arc<Process>>,
    pub(super) client: Option<Arc<Process>>,
}

impl Example {
    /// The format that was found to be wrong.
    pub(super) fn format(&self) -> &'static str {
        match self {
            Self::Line(line, _) => line.finding.format,
            Self::Call(call) => call.found.format,
        }
    }

    /// Where.
    pub(super) fn edge(&self) -> Option<&EdgeKey> {
        match self {
            Self::Line(_, edge) => edge.as_deref(),
            Self::Call(call) => Some(&call.hop.edge),
        }
    }

    /// By now it is this certain.
    pub(super) fn set_confidence(&mut self, confidence: f64) {
        let correlation = match self {
            Self::Line(line, _) => &mut line.finding.correlation,
            Self::Call(call) => &mut call.correlation,
        };
        if let Some(correlation) = correlation {
            correlation.confidence = confidence;
        }
    }

    /// How well the request is known that it names.
    fn named(&self) -> Named {
        match self {
            Self::Line(_, None) => Named::Known,
            Self::Line(line, _) if line.finding.correlation.is_some() => Named::Thought,
            Self::Line(..) => Named::Known,
            Self::Call(call) => call.named(),
        }
    }

    /// The same, if it is not too long to be kept as it is.
    pub(super) fn kept(call: CallExample, back: &Back) -> Self {
        let received = call.parent().map_or(0, |parent| parent.carried.size());
        if call.hop.sent.size() + received <= LONG {
            return Self::Call(call);
        }
        Self::Line(Box::new(call.line(back)), Some(Box::new(call.hop.edge.clone())))
    }

    /// Counts and times are still to be filled in.
    pub(super) fn line(self, back: &Back) -> Box<FindingLine> {
        match self {
            Self::Line(line, _) => line,
            Self::Call(call) => Box::new(call.line(back)),
        }
    }
}

impl Tells for Example {
    fn waits(&self) -> bool {
        self.named() == Named::Awaited
    }

    fn tells_less(&self, earlier: &Self) -> bool {
        let (now, before) = (self.named(), earlier.named());
        // Of two that wait, more is known sooner of the earlier.
        now < before || now == before && now == Named::Awaited
    }
}

impl CallExample {
    fn parent(&self) -> Option<&Inbound> {
        self.hop.told_parent(self.correlation.as_ref())
    }

    fn named(&self) -> Named {
        self.hop.named(self.correlation.as_ref())
    }

    fn line(&self, back: &Back) -> FindingLine {
        let (hop, parent) = (&self.hop, self.parent());
        let client = match hop.again.get() {
            Some(Again::Other(_, client)) => client.as_deref(),
            _ => self.client.as_deref(),
        };
        let mut line = Evidence {
            found: &self.found,
            severity: self.severity,
            selection: &back.config.selection,
            outcome: Some(self.outcome),
            formats: &hop.verdict.formats,
            fingerprint: self.fingerprint,
            received: parent.map(|parent| &parent.carried),
            sent: Some(&hop.sent),
            correlation: self.correlation,
            inbound: parent,
            inbound_peer: client,
            destination: Some(&hop.destination),
            attributes: lines::call(
                &hop.request,
                &hop.edge.outbound,
                &hop.destination,
                self.answer,
                self.peer.as_deref(),
            ),
            resource: back.resource(&hop.process),
        }
        .line();
        line.message += &self.why;
        line
    }
}
