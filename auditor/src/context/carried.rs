//! What a head carries in all the formats together.

use smallvec::SmallVec;

use super::format::{Cargo, Comparison, Fault, Fields, Format, Level, Reading, Status};
use super::identity::Named;
use super::selection::Selection;
use super::w3c::{self, Context, W3C};
use crate::exchange::{FieldLines, RequestHead, Visibility};

/// Whether a head carries a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was seen whole, and carries none.
    Absent,
    /// A service that receives it is expected to carry it on.
    Valid,
    /// It was not seen whole, or something in it cannot be read.
    Unclear,
}

/// What a head carries.
#[derive(Clone, Debug)]
pub struct Carried {
    /// `traceparent`.
    pub w3c: Context,
    /// The traces it names, at most one a format.
    pub named: SmallVec<[Named; 1]>,
    /// Whether it carries one.
    pub presence: Presence,
    /// It was seen whole.
    pub whole: bool,
    /// It carries none because none is to be recorded, and says so.
    pub denied: bool,
    /// What is wrong with it whoever sent it, by format. Of a head that was seen whole.
    faults: Vec<(&'static str, Fault)>,
    /// Formats of the selection of which there is a field.
    present: u64,
    /// The one that a finding about the trace is about, and of which its loss is a fault.
    main: Option<usize>,
    fields: FieldLines,
}

impl Carried {
    /// Reads the fields of a head.
    pub fn of(head: &RequestHead, visibility: Visibility, selection: &Selection) -> Self {
        let whole = visibility == Visibility::Whole;
        let fields = Fields(&head.fields);
        let present = fields.0.iter().fold(0, |all, (name, _)| all | selection.formats_of(name));
        let mut carried = Self {
            w3c: if whole { Context::Absent } else { Context::Unseen },
            named: SmallVec::new(),
            presence: if whole { Presence::Absent } else { Presence::Unclear },
            whole,
            denied: false,
            faults: Vec::new(),
            present,
            main: None,
            fields: head.fields.clone(),
        };
        carried.w3c = Context::read(fields, visibility);
        for (at, format) in selection.formats.iter().enumerate().filter(|(at, _)| present & 1 << (at & 63) != 0) {
            carried.add(at, *format, selection);
        }
        // Many are held.
        carried.faults.shrink_to_fit();
        carried
    }

    fn add(&mut self, at: usize, format: &'static dyn Format, selection: &Selection) {
        let is_w3c = format.name() == w3c::NAME;
        // Of a head that was cut only the field whose length is known is trusted.
        let trusted = self.whole || is_w3c && self.w3c.valid().is_some();
        if !trusted {
            return;
        }
        let reading = match is_w3c && self.whole {
            true => W3C.read_with(&self.w3c, self.fields()),
            false => format.read(self.fields(), selection.level),
        };
        let Some(reading) = reading else { return };
        if format.cargo() == Cargo::Trace {
            self.trace(at, format, &reading, selection);
        }
        if self.whole {
            self.faults.extend(reading.faults.into_iter().map(|fault| (format.name(), fault)));
        }
    }

    fn trace(&mut self, at: usize, format: &'static dyn Format, reading: &Reading, selection: &Selection) {
        let sound = reading.faults.iter().all(|fault| w3c::rules::is_of_state(fault.rule));
        let identity = reading.identity;
        self.denied |= reading.denied;
        if let Some(identity) = identity {
            self.named.push(Named { format: format.name(), identity });
        }
        let lost = self.lost(format, selection);
        match (lost, identity, self.presence) {
            (Status::Dropped, Some(_), _) if format.dropped().is_some() => {
                self.main = self.main.or(Some(at));
                self.presence = Presence::Valid;
            }
            // What a load balancer made up belongs to no trace.
            (Status::Absent, ..) if sound => {}
            (_, _, Presence::Absent) => self.presence = Presence::Unclear,
            _ => {}
        }
    }

    /// What becomes of a format where nothing is sent on.
    fn lost(&self, format: &'static dyn Format, selection: &Selection) -> Status {
        match format.name() == w3c::NAME && self.whole {
            true => w3c::status(&self.w3c, &Context::Absent),
            false => format.compare(self.fields(), Fields(&FieldLines::default()), selection.level).status,
        }
    }

    /// What became of a format from a request to a call that was made for it. Both heads were seen whole.
    pub fn compare(&self, sent: &Self, format: &'static dyn Format, selection: &Selection) -> Comparison {
        match format.name() == w3c::NAME && self.whole && sent.whole {
            true => W3C.compare_with((&self.w3c, self.fields()), (&sent.w3c, sent.fields()), selection.level),
            false => format.compare(self.fields(), sent.fields(), selection.level),
        }
    }

    /// The audited fields as they crossed the socket.
    pub fn fields(&self) -> Fields<'_> {
        Fields(&self.fields)
    }

    /// Their size in bytes.
    pub fn size(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Formats of the selection that this head or the other one has a field of.
    pub fn formats<'a>(
        &self,
        other: Option<&Self>,
        selection: &'a Selection,
    ) -> impl Iterator<Item = &'static dyn Format> + use<'a> {
        let present = self.present | other.map_or(0, |other| other.present);
        let formats = selection.formats.iter().enumerate();
        formats.filter(move |(at, _)| present & 1 << (at & 63) != 0).map(|(_, format)| *format)
    }

    /// The format that a finding about the trace is about.
    pub fn main(&self, selection: &Selection) -> &'static dyn Format {
        self.main.and_then(|at| selection.formats.get(at).copied()).unwrap_or(&W3C)
    }

    /// What is wrong with it whoever sent it, by format. Of a head that was not seen whole nothing is known.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &Fault)> {
        self.faults.iter().map(|(format, fault)| (*format, fault))
    }

    /// What it carries in a format, as far as it may be shown.
    pub fn evidence(&self, format: &dyn Format, level: Level) -> Option<String> {
        let carries = self.whole && format.read(self.fields(), level).is_some();
        carries.then(|| format.evidence(self.fields())).filter(|evidence| !evidence.is_empty())
    }

    /// Whether both name the same trace, or carry the same value for one.
    pub fn continues(&self, received: &Self) -> bool {
        let same = |a: &Named| received.named.iter().any(|b| a.identity.same_trace(&b.identity));
        self.named.iter().any(same)
            || self.w3c.trace_id().is_some_and(|id| received.w3c.trace_id() == Some(id))
            || self.repeats(received)
    }

    /// Whether the span of what was received is still the one that sent this, in whatever format.
    pub fn keeps_span_of(&self, received: &Self) -> bool {
        self.named.iter().any(|a| received.named.iter().any(|b| a.identity.same_span(&b.identity)))
    }

    /// Whether `traceparent` is, byte for byte, what was received.
    pub fn repeats(&self, received: &Self) -> bool {
        self.w3c.raw().is_some_and(|raw| received.w3c.raw() == Some(raw))
    }
}
