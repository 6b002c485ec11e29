//! What a head carries in all the formats together.

use bytes::Bytes;

use super::format::{Cargo, Fields, Format, Reading, Status};
use super::identity::Named;
use super::selection::Selection;
use super::w3c::{self, Context, W3C};
use crate::exchange::{RequestHead, Visibility};

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
    pub named: Vec<Named>,
    /// Whether it carries one.
    pub presence: Presence,
    /// It was seen whole.
    pub whole: bool,
    /// It carries none because none is to be recorded, and says so.
    pub denied: bool,
    /// Formats of the selection of which there is a field.
    present: u64,
    /// The one that a finding about the trace is about, and of which its loss is a fault.
    main: Option<usize>,
    fields: Vec<(Bytes, Bytes)>,
}

impl Carried {
    /// Reads the fields of a head.
    pub fn of(head: &RequestHead, visibility: Visibility, selection: &Selection) -> Self {
        let whole = visibility == Visibility::Whole;
        let fields = Fields(&head.fields);
        let audited = |at: usize, format: &dyn Format| if has(fields, format) { 1 << (at & 63) } else { 0 };
        let present = selection.formats.iter().enumerate().fold(0, |all, (at, format)| all | audited(at, *format));
        let mut carried = Self {
            w3c: if whole { Context::Absent } else { Context::Unseen },
            named: Vec::new(),
            presence: if whole { Presence::Absent } else { Presence::Unclear },
            whole,
            denied: false,
            present,
            main: None,
            fields: head.fields.clone(),
        };
        if selection.formats.iter().any(|format| format.name() == w3c::NAME) {
            carried.w3c = Context::read(fields, visibility);
        }
        for (at, format) in selection.formats.iter().enumerate().filter(|(at, _)| present & 1 << (at & 63) != 0) {
            carried.add(at, *format, selection);
        }
        // Many are held.
        carried.named.shrink_to_fit();
        carried
    }

    fn add(&mut self, at: usize, format: &dyn Format, selection: &Selection) {
        // Of a head that was cut only the field whose length is known is trusted.
        if format.cargo() != Cargo::Trace || !self.whole && self.w3c.valid().is_none_or(|_| format.name() != w3c::NAME)
        {
            return;
        }
        let Some(reading) = format.read(self.fields(), selection.level) else { return };
        let sound = reading.faults.iter().all(|fault| w3c::rules::is_of_state(fault.rule));
        let identity = reading.identity;
        self.denied |= reading.denied;
        self.named.extend(identity.map(|identity| Named { format: format.name(), identity }));
        let lost = format.compare(self.fields(), Fields(&[]), selection.level).status;
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

    /// What it carries in a format.
    pub fn read(&self, format: &dyn Format, selection: &Selection) -> Option<Reading> {
        if self.whole { format.read(self.fields(), selection.level) } else { None }
    }

    /// Whether both name the same trace, or carry the same value for one.
    pub fn continues(&self, received: &Self) -> bool {
        let same = |a: &Named| received.named.iter().any(|b| a.identity.same_trace(&b.identity));
        self.named.iter().any(same)
            || self.w3c.trace_id().is_some_and(|id| received.w3c.trace_id() == Some(id))
            || self.repeats(received)
    }

    /// Whether `traceparent` is, byte for byte, what was received.
    pub fn repeats(&self, received: &Self) -> bool {
        self.w3c.raw().is_some_and(|raw| received.w3c.raw() == Some(raw))
    }
}

fn has(head: Fields<'_>, format: &dyn Format) -> bool {
    let is = |name: &[u8], field: &str| name.eq_ignore_ascii_case(field.as_bytes());
    let begins = |name: &[u8], prefix: &str| name.get(..prefix.len()).is_some_and(|name| is(name, prefix));
    head.0.iter().any(|(name, _)| {
        format.fields().iter().any(|field| is(name, field))
            || format.prefixes().iter().any(|prefix| begins(name, prefix))
    })
}
