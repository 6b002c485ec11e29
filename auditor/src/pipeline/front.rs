//! The stages up to the exchanges: what `record` runs alone, so that what it writes is ordered and masked.

use crate::exchange::{Event, Exchanges};
use crate::http::Policy;
use crate::record::{BootNs, Record};
use crate::stream::{Ordered, Stream};

use super::Settings;

/// Orders records, frames and masks their bytes, rebuilds exchanges.
#[derive(Debug)]
pub struct Front {
    stream: Stream,
    exchanges: Exchanges,
    now: BootNs,
}

impl Front {
    /// With these bounds, and what is audited readable.
    pub fn new(settings: &Settings) -> Self {
        let selection = &settings.back.selection;
        let policy = Policy::new(settings.masking, selection.fields(), selection.prefixes());
        Self { stream: Stream::new(settings.stream), exchanges: Exchanges::new(settings.exchange, policy), now: 0 }
    }

    /// Takes a record. `tap` is shown every record that is now in order, masked; what it means goes to `events`.
    pub fn push(&mut self, record: Record, events: &mut Vec<Event>, mut tap: impl FnMut(&Record)) {
        let Self { stream, exchanges, now } = self;
        stream.push(record, &mut |item| pass(exchanges, now, item, events, &mut tap));
    }

    /// The run is over.
    pub fn finish(&mut self, events: &mut Vec<Event>, mut tap: impl FnMut(&Record)) {
        let Self { stream, exchanges, now } = self;
        stream.finish(&mut |item| pass(exchanges, now, item, events, &mut tap));
        exchanges.finish(*now, events);
    }

    /// Counters of both stages: (stage, counter, value).
    pub fn counters(&self) -> [(&'static str, Vec<(&'static str, u64)>); 3] {
        let s = self.stream.counters();
        let e = self.exchanges.counters();
        [
            ("stream", vec![("records", s.records), ("reordered", s.reordered), ("late", s.late), ("lost", s.lost)]),
            (
                "http",
                vec![
                    ("heads", e.heads),
                    ("lookalikes", e.lookalikes),
                    ("not_http", e.not_http),
                    ("unparsable", e.unparsable),
                    ("gaps", e.gaps),
                    ("partial_heads", e.partial_heads),
                    ("opaque_connections", e.opaque_connections),
                ],
            ),
            (
                "exchange",
                vec![
                    ("requests", e.requests),
                    ("requests_lost", e.requests_lost),
                    ("requests_truncated", e.requests_truncated),
                    ("responses", e.responses),
                    ("orphan_responses", e.orphan_responses),
                    ("evicted_connections", e.evicted_connections),
                    ("evicted_exchanges", e.evicted_exchanges),
                    ("connections", self.exchanges.connections() as u64),
                    ("held_bytes", self.exchanges.held_bytes() as u64),
                ],
            ),
        ]
    }
}

fn pass(
    exchanges: &mut Exchanges,
    now: &mut BootNs,
    mut item: Ordered,
    events: &mut Vec<Event>,
    tap: &mut impl FnMut(&Record),
) {
    exchanges.feed(&mut item, events);
    if let Ordered::Record(record) = &item {
        *now = (*now).max(record.time());
        tap(record);
    }
}
