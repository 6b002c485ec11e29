//! Where the numbers of the run are pinned up for who asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use auditor::pipeline::{Cause, Pipeline};
use auditor::report::{Counters, Totals};
use auditor::sink::SinkCounters;
use prometheus_client::metrics::histogram::Histogram;

/// Seconds from a few records to being far behind; none that the two formats write differently, such as 1 and 1.0.
const BUSY: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 2.5];

/// How the capture runs: what does not change once it does.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) hooks: &'static str,
    pub(crate) kernel: String,
    /// Size of the ring buffer.
    pub(crate) ring_bytes: u64,
    /// Most entries of each table.
    pub(crate) bounds: Vec<(&'static str, u64)>,
}

/// What an output says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputState {
    /// Whether it takes lines.
    pub(crate) up: bool,
    pub(crate) counters: SinkCounters,
}

/// The numbers of one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) stats: BTreeMap<String, Counters>,
    pub(crate) totals: Totals,
    pub(crate) blind_spots: BTreeMap<&'static str, u64>,
    pub(crate) degraded: Vec<Cause>,
    /// By name.
    pub(crate) outputs: BTreeMap<String, OutputState>,
    /// When the latest record was made; `None` before the first.
    pub(crate) last_record: Option<SystemTime>,
    /// When all this was so.
    pub(crate) time: SystemTime,
}

impl Snapshot {
    /// What there is now. `idle`: since the latest record.
    pub(crate) fn of(pipeline: &Pipeline, outputs: BTreeMap<String, OutputState>, idle: Option<Duration>) -> Self {
        let time = SystemTime::now();
        Self {
            stats: pipeline.stats(),
            totals: pipeline.totals().clone(),
            blind_spots: pipeline.blind_spots(),
            degraded: pipeline.degraded().collect(),
            outputs,
            last_record: idle.and_then(|idle| time.checked_sub(idle)),
            time,
        }
    }

    /// A counter of a stage.
    pub(crate) fn stat(&self, stage: &str, name: &str) -> u64 {
        self.stats.get(stage).and_then(|stage| stage.get(name)).copied().unwrap_or(0)
    }
}

/// What changes.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    /// When there was last a sign of life.
    pub(super) at: Instant,
    /// The run is coming to its end.
    pub(super) stopping: bool,
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

/// Shared by what runs the pipeline and what answers. Nobody holds its lock for longer than a copy of a few pointers.
#[derive(Debug)]
pub(crate) struct Board {
    pub(super) capture: Arc<Capture>,
    pinned: Mutex<Pinned>,
    /// How long the capture's thread was busy each time.
    pub(super) busy: Histogram,
    /// When this process began.
    pub(super) started: SystemTime,
}

impl Board {
    pub(super) fn new(capture: Capture) -> Self {
        let pinned = Pinned { at: Instant::now(), stopping: false, snapshot: None };
        let busy = Histogram::new(BUSY);
        Self { capture: Arc::new(capture), pinned: Mutex::new(pinned), busy, started: SystemTime::now() }
    }

    /// A second has passed.
    pub(crate) fn ticked(&self, snapshot: Snapshot) {
        let snapshot = Some(Arc::new(snapshot));
        let mut pinned = self.lock();
        pinned.at = Instant::now();
        let old = std::mem::replace(&mut pinned.snapshot, snapshot);
        drop(pinned);
        drop(old);
    }

    /// The capture's thread was busy for so long: with a batch of records, or a tick.
    pub(crate) fn was_busy(&self, time: Duration) {
        self.busy.observe(time.as_secs_f64());
    }

    /// The run is coming to its end.
    pub(crate) fn stopping(&self) {
        self.lock().stopping = true;
    }

    pub(super) fn pinned(&self) -> Pinned {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Pinned> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
