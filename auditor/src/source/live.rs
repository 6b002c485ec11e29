//! The live source: turns what the kernel side delivers into the pipeline's records, with clock, processes, blind
//! spots and ticks beside them.

use std::io;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use lru::LruCache;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};

use super::kernel::Kernel;
use super::looks::Looks;
use super::node;
use super::process::{Descent, Describer};
use super::rewriters::Rewriters;
use crate::record::{ProcessId, Record, Tick};

/// How often time is told to the pipeline.
const TICK: Duration = Duration::from_secs(1);
/// How many ticks apart somebody looks for programs of others: that asks for each program on the node.
const REWRITERS: u64 = 60;
/// Records taken before timers and signals are looked at again.
const BATCH: usize = 1024;
/// Least time between two looks into a ring buffer that was empty after the first: to be woken for every record costs the
/// audited service. Not longer, because what comes together is looked at together: services wait for that processor
/// meanwhile.
const REST: Duration = Duration::from_millis(2);
/// The same while there are new processes: those that live for a call must be described before they are gone.
const SHORT_REST: Duration = Duration::from_millis(1);
/// How often the end of a run looks for what a program ships that was still running when it was detached, and how far
/// apart.
const LAST_LOOKS: u32 = 100;
const LOOK_APART: Duration = Duration::from_millis(1);

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// SIGINT or SIGTERM, or SIGHUP where that is to end it.
    Signal,
    /// `--duration` is over.
    Duration,
    /// Whoever takes the records wants no more (closed output).
    Consumer,
}

/// What ends a run beside SIGINT, SIGTERM and whoever takes the records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// So much time.
    pub after: Option<Duration>,
    /// SIGHUP: the terminal is gone.
    pub on_hangup: bool,
}

/// What the source is to know of the node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where its file system is.
    pub root: PathBuf,
    /// Processes whose description is not read again.
    pub processes: NonZeroUsize,
    /// For how long whoever takes the records leaves processes alone that call nobody.
    pub leaf_rest: Duration,
}

/// Passes records to `take` until it breaks, or what ends it comes.
///
/// The first record is the clock's: when it comes, everything is attached. At the end of the run everything is
/// detached; then what the ring buffer still holds is delivered, and a last tick with the final counters. `busy` hears how
/// long each batch of records and each tick took.
///
/// # Errors
/// When the ring buffer or signals cannot be waited for.
pub async fn run(
    kernel: Kernel,
    ends: Ends,
    node: Node,
    mut busy: impl FnMut(Duration),
    mut take: impl FnMut(Record) -> ControlFlow<()>,
) -> io::Result<Stopped> {
    // SAFETY: the descriptor is the ring buffer map's, which `Kernel` owns and never replaces.
    let kernel = unsafe { AsyncFd::register(kernel) }?;
    let known = LruCache::new(node.processes);
    let describer = Describer::new(node.root, node.name.clone());
    let mut live = Live {
        kernel,
        processes: Processes { known, describer, described: 0 },
        rewriters: Rewriters::default(),
        ticks: 0,
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Under nohup it goes on.
    let hangs_up = ends.on_hangup && !node::ignores_hangup();
    let mut hangup = hangs_up.then(|| signal(SignalKind::hangup())).transpose()?;
    let mut tick = tokio::time::interval_at(Instant::now() + TICK, TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Without a duration: a moment that does not come.
    let end = Instant::now() + ends.after.unwrap_or(Duration::from_secs(60 * 60 * 24 * 365 * 30));
    let (hooks, duty_cycle) = (live.kernel.get_ref().hooks().as_str(), live.kernel.get_ref().duty_cycle());
    let leaf_rest_ns = u64::try_from(node.leaf_rest.as_nanos()).unwrap_or(u64::MAX);
    if take(Record::Clock(node::clock_record(hooks, node.name, duty_cycle, leaf_rest_ns))).is_break() {
        return Ok(Stopped::Consumer);
    }
    let (mut rests_until, mut more, mut looks) = (Instant::now(), false, Looks::default());
    let stopped = loop {
        tokio::select! {
            // Signals first: under full load the ring buffer is always ready.
            biased;
            _ = interrupt.recv() => break Stopped::Signal,
            _ = terminate.recv() => break Stopped::Signal,
            () = received(hangup.as_mut()) => break Stopped::Signal,
            () = tokio::time::sleep_until(end) => break Stopped::Duration,
            _ = tick.tick() => {
                let began = Instant::now();
                // Also if nobody said that there was something.
                let drained = drain(live.kernel.get_mut(), &mut live.processes, BATCH, &mut take);
                let ControlFlow::Continue(taken) = drained else { return Ok(Stopped::Consumer) };
                // Behind one that nobody was woken for, nobody is.
                more |= taken == BATCH;
                if live.tick(&mut take).is_break() {
                    return Ok(Stopped::Consumer);
                }
                busy(began.elapsed());
            }
            due = look_due(&mut live.kernel, rests_until, more || looks.polls()) => {
                due?;
                let began = Instant::now();
                let described = live.processes.described;
                let drained = drain(live.kernel.get_mut(), &mut live.processes, BATCH, &mut take);
                busy(began.elapsed());
                let ControlFlow::Continue(taken) = drained else { return Ok(Stopped::Consumer) };
                if let Some(polls) = looks.looked(began.into_std(), taken > 0, 2 * REST) {
                    live.kernel.get_mut().set_polled(polls);
                }
                more = taken == BATCH;
                if more {
                    // The runtime looks for signals and at the clock only when this waits.
                    tokio::task::yield_now().await;
                } else {
                    let new = live.processes.described != described;
                    rests_until = began + if new { SHORT_REST } else { REST };
                }
            }
        }
    };
    // Attached, it would count records behind the last one that is read.
    live.kernel.get_mut().detach();
    for _ in 0..LAST_LOOKS {
        if drain(live.kernel.get_mut(), &mut live.processes, usize::MAX, &mut take).is_break() {
            return Ok(Stopped::Consumer);
        }
        if live.kernel.get_ref().is_drained() {
            break;
        }
        tokio::time::sleep(LOOK_APART).await;
    }
    let _ = live.tick(&mut take);
    Ok(stopped)
}

/// Waits for a signal; if it is none that ends anything, for ever.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits until `moment`, and unless it `polls` until the ring buffer has something.
async fn look_due(kernel: &mut AsyncFd<Kernel>, moment: Instant, polls: bool) -> io::Result<()> {
    tokio::time::sleep_until(moment).await;
    if !polls {
        // Nothing is waited for behind it, or what is known to be ready could be forgotten. What comes from now on makes
        // it ready again.
        kernel.readable_mut().await?.clear_ready();
    }
    Ok(())
}

struct Live {
    kernel: AsyncFd<Kernel>,
    processes: Processes,
    rewriters: Rewriters,
    ticks: u64,
}

/// Processes that are described.
struct Processes {
    /// With the number of their `exec`s at that time.
    known: LruCache<ProcessId, u32>,
    describer: Describer,
    /// How many were, and how often.
    described: u64,
}

impl Live {
    fn tick(&mut self, take: &mut impl FnMut(Record) -> ControlFlow<()>) -> ControlFlow<()> {
        let time = node::boot_now();
        let kernel = self.kernel.get_mut();
        kernel.flush_log();
        let blind = kernel.blind_spots(time);
        let counters = kernel.counters();
        for spot in blind {
            let Processes { known, describer, .. } = &mut self.processes;
            if !known.contains(&spot.process) {
                // What its data records say of `exec` is not known here; the first of them describes it again.
                known.put(spot.process, u32::MAX);
                let comm = describer.comm(spot.process.tgid);
                let process = describer.describe(spot.process, &comm, &Descent::default(), time);
                take(Record::Process(Box::new(process)))?;
            }
            take(Record::Blind(spot))?;
        }
        if self.ticks.is_multiple_of(REWRITERS)
            && let Some(spot) = self.rewriters.look(time)
        {
            take(Record::Blind(spot))?;
        }
        self.ticks += 1;
        take(Record::Tick(Tick { time, counters }))
    }
}

/// Delivers up to `limit` records; says how many were taken.
fn drain(
    kernel: &mut Kernel,
    Processes { known, describer, described }: &mut Processes,
    limit: usize,
    take: &mut impl FnMut(Record) -> ControlFlow<()>,
) -> ControlFlow<(), usize> {
    for taken in 0..limit {
        let record = match kernel.take_record() {
            None => return ControlFlow::Continue(taken),
            Some(bytes) => Record::from_wire(&bytes),
        };
        match record {
            Ok(record) => {
                if let Record::Data(data) = &record
                    // After an `exec` it is another program.
                    && known.get(&data.process) != Some(&data.exec_id)
                {
                    known.put(data.process, data.exec_id);
                    let descent = Descent { ancestors: data.ancestors.map(|task| task.tgid), cgroup: data.cgroup };
                    let process = describer.describe(data.process, &data.comm, &descent, data.time);
                    *described += 1;
                    take(Record::Process(Box::new(process)))?;
                }
                take(record)?;
            }
            // Its number is missing then, so the pipeline counts it as lost.
            Err(error) => log::warn!("a record of the kernel side cannot be read: {error}"),
        }
    }
    ControlFlow::Continue(limit)
}
