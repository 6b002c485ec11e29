//! What makes an audit worth less than it should be, from when to when: `auditor.degraded`, `auditor.recovered`.
//!
//! One line when it begins and one when it is over, however long it lasts and however often it happens meanwhile: how
//! much it was is in `stats`.

use super::back::Back;
use crate::record::BootNs;
use crate::report::{Counters, DegradedInfo, LifecycleLine, Line, SCHEMA_VERSION};

/// It is over after this long without.
const QUIET: BootNs = 60_000_000_000;

/// Tables that forget what was still needed when they are full. The others hold what is good to have: the oldest goes
/// in the ordinary course of things.
const NEEDED: [&str; 6] = ["processes", "hops", "edges", "fingerprints", "suspects", "blind_spots"];

/// Counters of the kernel side behind each of which a record is missing.
const MISSING: [&str; 3] = ["lost_ring_full", "lost_busy", "lost_socket_table"];

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Records did not arrive: what they would have said is unknown.
    RecordsLost,
    /// A table is full: what was still needed was forgotten.
    TableFull,
    /// An output does not keep up: it gets fewer lines than the others.
    LinesDropped,
    /// An output takes nothing at all.
    OutputDown,
}

impl Cause {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::RecordsLost, Self::TableFull, Self::LinesDropped, Self::OutputDown];

    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordsLost => "records_lost",
            Self::TableFull => "table_full",
            Self::LinesDropped => "lines_dropped",
            Self::OutputDown => "output_down",
        }
    }

    fn begins(self) -> &'static str {
        match self {
            Self::RecordsLost => "records are being lost: calls around them are unknown; a larger --buffer may help",
            Self::TableFull => "tables are full: what is forgotten cannot be judged",
            Self::LinesDropped => "an output does not keep up: lines are dropped",
            Self::OutputDown => "an output takes no lines",
        }
    }

    fn ends(self) -> &'static str {
        match self {
            Self::RecordsLost => "no record was lost for a minute",
            Self::TableFull => "no table was full for a minute",
            Self::LinesDropped => "no line was dropped for a minute",
            Self::OutputDown => "every output has taken its lines for a minute",
        }
    }
}

/// What the outputs say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputHealth {
    /// Lines that were dropped so far.
    pub dropped: u64,
    /// Names of the outputs that take nothing now.
    pub down: Vec<String>,
}

/// While something is wrong.
#[derive(Clone, Debug)]
struct Episode {
    since: BootNs,
    /// When it last was.
    last: BootNs,
    /// What had been counted before.
    before: u64,
}

/// What is watched of one cause.
#[derive(Clone, Debug, Default)]
struct Watch {
    count: u64,
    episode: Option<Episode>,
}

/// All causes.
#[derive(Clone, Debug, Default)]
pub(super) struct Degradation {
    watches: [Watch; Cause::ALL.len()],
    evicted: Counters,
    outputs: OutputHealth,
}

impl Degradation {
    /// What is wrong now.
    pub(super) fn causes(&self) -> impl Iterator<Item = Cause> {
        let watched = Cause::ALL.into_iter().zip(&self.watches);
        watched.filter(|(_, watch)| watch.episode.is_some()).map(|(cause, _)| cause)
    }
}

impl Watch {
    /// `count`: how much there was so far; `lasts`: it is still going on though nothing is counted.
    fn look(&mut self, now: BootNs, count: u64, lasts: bool) -> Option<Change> {
        let before = self.count;
        self.count = before.max(count);
        let happens = lasts || count > before;
        match &mut self.episode {
            Some(episode) if happens => episode.last = now,
            Some(episode) if now.saturating_sub(episode.last) >= QUIET => {
                let (since, count) = (episode.since, self.count - episode.before);
                self.episode = None;
                return Some(Change::Ended { since, count });
            }
            Some(_) => {}
            None if happens => {
                self.episode = Some(Episode { since: now, last: now, before });
                return Some(Change::Begun { count: self.count - before });
            }
            None => {}
        }
        None
    }
}

enum Change {
    Begun { count: u64 },
    Ended { since: BootNs, count: u64 },
}

impl Back {
    /// What the outputs say of themselves, before a tick.
    pub fn set_outputs(&mut self, outputs: OutputHealth) {
        self.degradation.outputs = outputs;
    }

    /// What makes the audit worth less than it should be, now.
    pub fn degraded(&self) -> impl Iterator<Item = Cause> {
        self.degradation.causes()
    }

    /// Tells what has gone wrong or right since the last time.
    pub(super) fn watch(&mut self, out: &mut Vec<Line>) {
        let kernel = self.stages.get("kernel");
        let missing =
            MISSING.iter().filter_map(|name| kernel?.get(*name)).fold(0, |sum: u64, &n| sum.saturating_add(n));
        let mut evicted = self.evictions();
        evicted.retain(|table, _| NEEDED.contains(&table.as_str()));
        let given_up = self.stages.get("exchange").and_then(|stage| stage.get("evicted_exchanges")).copied();
        evicted.insert("exchanges".to_owned(), given_up.unwrap_or(0));
        let state = &mut self.degradation;
        let grown = |(table, count): &(&String, &u64)| **count > state.evicted.get(*table).copied().unwrap_or(0);
        let full: Vec<String> = evicted.iter().filter(grown).map(|(table, _)| table.clone()).collect();
        let looks = [
            // The end of a burst shows in the kernel side's counters before the next record shows the hole.
            (self.totals.lost.max(missing), false, Vec::new()),
            (evicted.values().sum(), false, full),
            (state.outputs.dropped, false, Vec::new()),
            (0, !state.outputs.down.is_empty(), state.outputs.down.clone()),
        ];
        state.evicted = evicted;
        for ((cause, watch), (count, lasts, what)) in Cause::ALL.into_iter().zip(&mut state.watches).zip(looks) {
            let Some(change) = watch.look(self.now, count, lasts) else { continue };
            let (event_name, words, since, count) = match change {
                Change::Begun { count } => ("auditor.degraded", cause.begins(), self.now, count),
                Change::Ended { since, count } => ("auditor.recovered", cause.ends(), since, count),
            };
            let named = if what.is_empty() { String::new() } else { format!(" ({})", what.join(", ")) };
            out.push(Line::Lifecycle(Box::new(LifecycleLine {
                schema_version: SCHEMA_VERSION,
                timestamp: self.timeline.format(self.now),
                event_name,
                message: format!("{words}{named}"),
                auditor: None,
                totals: None,
                degraded: Some(DegradedInfo { cause: cause.as_str(), since: self.timeline.format(since), count, what }),
            })));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use auditor_ebpf::wire::{self, COUNTERS};

    use super::*;
    use crate::exchange::Event;
    use crate::pipeline::Config;
    use crate::pipeline::script::{SECOND, START, Script};
    use crate::record::Tick;

    struct World {
        back: Back,
        time: BootNs,
        ring_full: u64,
    }

    impl World {
        fn new() -> Self {
            let mut back = Back::new(Config { stats_interval: Default::default(), ..Config::default() });
            for event in Script::default().events() {
                back.handle(event, &mut Vec::new());
            }
            Self { back, time: START, ring_full: 0 }
        }

        /// What was told after so many seconds.
        fn tick(&mut self, seconds: u64) -> Vec<(&'static str, DegradedInfo)> {
            let mut lines = Vec::new();
            for _ in 0..seconds {
                self.time += SECOND;
                let mut counters = [0; COUNTERS];
                counters[wire::COUNT_LOST_RING_FULL] = self.ring_full;
                self.back.handle(Event::Tick(Arc::new(Tick { time: self.time, counters })), &mut lines);
            }
            let told = lines.into_iter().filter_map(|line| match line {
                Line::Lifecycle(line) => Some((line.event_name, line.degraded.expect("what it is about"))),
                _ => None,
            });
            told.collect()
        }

        fn causes(&self) -> Vec<&'static str> {
            self.back.degraded().map(Cause::as_str).collect()
        }
    }

    #[test]
    fn losses_are_told_once_until_a_minute_is_without() {
        let mut world = World::new();
        assert_eq!(world.tick(5), []);
        world.ring_full = 7;
        let told = world.tick(1);
        assert_eq!((told[0].0, told[0].1.cause, told[0].1.count), ("auditor.degraded", "records_lost", 7));
        assert_eq!(world.causes(), ["records_lost"]);
        // Whether it is known from the kernel side or from the hole, it is the same loss.
        world.back.handle(Event::Lost { count: 7, time: world.time }, &mut Vec::new());
        for _ in 0..5 {
            world.ring_full += 1;
            assert_eq!(world.tick(50), []);
        }
        let told = world.tick(20);
        assert_eq!((told.len(), told[0].0, told[0].1.count), (1, "auditor.recovered", 12));
        assert!(told[0].1.since < world.back.timeline.format(world.time));
        assert!(world.causes().is_empty());
        world.ring_full += 1;
        assert_eq!(world.tick(100).len(), 2, "it begins anew, and ends");
    }

    #[test]
    fn outputs_are_told_by_name() {
        let mut world = World::new();
        world.back.set_outputs(OutputHealth { dropped: 3, down: vec!["file".into()] });
        let told = world.tick(100);
        let told: Vec<_> = told.iter().map(|(event, info)| (*event, info.cause, info.count, info.what.len())).collect();
        let expected = [
            ("auditor.degraded", "lines_dropped", 3, 0),
            ("auditor.degraded", "output_down", 0, 1),
            ("auditor.recovered", "lines_dropped", 3, 0),
        ];
        assert_eq!(told, expected);
        world.back.set_outputs(OutputHealth { dropped: 3, down: Vec::new() });
        assert_eq!(world.tick(100)[0].0, "auditor.recovered");
    }

    #[test]
    fn full_tables_are_told_by_name() {
        let mut world = World::new();
        world.back.evicted.insert("hops".into(), 1);
        world.back.evicted.insert("routes".into(), 1);
        let told = world.tick(1);
        assert_eq!(
            (told.len(), told[0].1.cause, told[0].1.what.as_slice()),
            (1, "table_full", &["hops".to_owned()][..])
        );
    }
}
