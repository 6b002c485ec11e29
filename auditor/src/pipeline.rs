//! The stages wired together.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod answering;
mod back;
mod broken;
mod config;
mod degraded;
mod ends;
mod example;
mod filter;
mod findings;
mod front;
mod latest;
mod lines;
mod named;
mod received;
mod reload;
mod upkeep;

use std::collections::BTreeMap;

pub use back::Back;
pub use config::Config;
pub use degraded::{Cause, OutputHealth};
pub use filter::Filter;
pub use front::Front;

use crate::exchange::{self, Event};
use crate::http::Masking;
use crate::pair::Rest;
use crate::record::Record;
use crate::report::{Counters, Line, Totals};
use crate::stream;

/// Everything a user may set of the pipeline.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Bounds of the reordering.
    pub stream: stream::Limits,
    /// Bounds of the table of connections.
    pub exchange: exchange::Limits,
    /// What becomes of values that requests and calls may have in common. By default nothing of them stays.
    pub masking: Masking,
    /// Pairing, judgement, output.
    pub back: Config,
    /// What is left out.
    pub filter: Filter,
}

impl Settings {
    /// Most entries of each table; the names are those of the `stats` record.
    pub fn bounds(&self) -> [(&'static str, u64); 7] {
        let (back, size) = (&self.back, |size| u64::try_from(size).unwrap_or(u64::MAX));
        [
            ("connections", size(self.exchange.connections)),
            ("processes", size(back.pairing.processes)),
            ("requests", size(back.pairing.requests)),
            ("hops", size(back.max_pending)),
            ("edges", size(back.max_edges)),
            ("fingerprints", size(back.max_fingerprints)),
            ("suspects", size(back.max_fingerprints)),
        ]
    }

    /// The same for a recording, which is in order and masked already.
    pub fn for_recording(self) -> Self {
        Self { stream: stream::Limits::RECORDING, masking: Masking::Done, ..self }
    }
}

/// The whole pipeline: records in, lines out.
#[derive(Debug)]
pub struct Pipeline {
    front: Front,
    filter: Filter,
    back: Back,
    events: Vec<Event>,
}

impl Pipeline {
    /// With these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            front: Front::new(&settings),
            filter: settings.filter,
            back: Back::new(settings.back),
            events: Vec::new(),
        }
    }

    /// Takes a record; what is to be written goes to `out`.
    pub fn push(&mut self, record: Record, out: &mut Vec<Line>) {
        let tick = matches!(record, Record::Tick(_));
        self.front.push(record, &mut self.events, |_| {});
        self.pass_on(out);
        if tick {
            // After everything that the tick let go has been handled: on replay that comes before it.
            self.share_counters();
        }
    }

    /// The run is over: pending verdicts, summaries and totals go to `out`.
    pub fn finish(&mut self, out: &mut Vec<Line>) {
        self.front.finish(&mut self.events, |_| {});
        self.pass_on(out);
        self.share_counters();
        self.back.finish(out);
    }

    /// From now on, what a user may set is as in `settings`; everything that is known is kept. What is readable of heads
    /// and the bounds of tables stay as they are: the selection must name the same headers as before.
    ///
    /// `message` says what has changed; the line about it goes to `out`.
    pub fn reconfigure(&mut self, settings: Settings, message: String, out: &mut Vec<Line>) {
        self.back.choose(self.filter.replace(settings.filter));
        self.back.reconfigure(settings.back, message, out);
    }

    /// Which processes the source is to leave alone, or look at again, since the last time.
    pub fn rests(&mut self) -> Vec<Rest> {
        self.back.rests()
    }

    /// What the run amounts to so far.
    pub fn totals(&self) -> &Totals {
        self.back.totals()
    }

    /// Sets the counters of a stage behind the pipeline (cumulative); they turn up in `stats`.
    pub fn set_stage_counters<'a>(&mut self, stage: &str, counters: impl IntoIterator<Item = (&'a str, u64)>) {
        self.back.set_stage_counters(stage, counters);
    }

    /// What the outputs say of themselves, before each tick; what is wrong with them becomes a line for the others.
    pub fn set_outputs(&mut self, outputs: OutputHealth) {
        self.back.set_outputs(outputs);
    }

    /// What the stages count, by stage and name: what the `stats` record says.
    pub fn stats(&self) -> BTreeMap<String, Counters> {
        self.back.stats()
    }

    /// What makes the audit worth less than it should be, now.
    pub fn degraded(&self) -> impl Iterator<Item = Cause> {
        self.back.degraded()
    }

    /// In how many processes something could not be audited, by the code of the blind spot.
    pub fn blind_spots(&self) -> BTreeMap<&'static str, u64> {
        self.back.blind_spots()
    }

    fn pass_on(&mut self, out: &mut Vec<Line>) {
        for event in self.events.drain(..) {
            if self.filter.event(&event) {
                self.back.handle(event, out);
            }
        }
    }

    fn share_counters(&mut self) {
        for (stage, counters) in self.front.counters() {
            self.back.set_stage_counters(stage, counters);
        }
    }
}

#[cfg(test)]
mod apart;
#[cfg(test)]
mod boundaries;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod children;
#[cfg(test)]
mod ignores;
#[cfg(test)]
mod innocents;
#[cfg(test)]
mod leaves;
#[cfg(test)]
mod mixed;
#[cfg(test)]
mod naming;
#[cfg(test)]
mod node;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod unseen;
#[cfg(test)]
mod worlds;
