//! What `run` and `check` share: capture, pipeline, lines.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use auditor::pipeline::{Filter, OutputHealth, Pipeline, Settings};
use auditor::record::Record;
use auditor::report::{Line, Totals};
use auditor::sink::{self, Full, Outputs, SinkCounters, Spec, Written};
use auditor::source::kernel::{Hooks, Kernel, Options, Selection};
use auditor::source::live::{self, Ends, Stopped};
use auditor::source::{cgroup, node, privilege};

use super::manager::Manager;
use super::reload::Reload;
use crate::cli::{Capture, Headers, HooksArg, Judge, LogLevel, Services};
use crate::exit::{self, Failure};
use crate::metrics::{self, Board, OutputState, Snapshot};

/// Processes whose description is not read again.
const KNOWN_PROCESSES: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// What the live source runs on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(Failure::io("starting"))
}

/// Loads and attaches as the flags say, then gives up the privileges that only that needed. Threads keep what they have:
/// none may be started before.
pub(crate) fn attach(capture: &Capture, log_level: LogLevel) -> Result<Kernel, Failure> {
    let cgroups = capture
        .cgroup
        .iter()
        .map(|path| cgroup::subtree(path).map_err(|error| Failure::Usage(format!("--cgroup {error}"))))
        .collect::<Result<_, _>>()?;
    if !privilege::in_initial_user_namespace() {
        return Err(Failure::UserNamespace);
    }
    warn_of_pids(&capture.pid);
    if !capture.host_root.is_dir() {
        log::warn!("--host-root {}: there is no such directory: containers get no names", capture.host_root.display());
    }
    let kernel = Kernel::attach(&Options {
        hooks: match capture.hooks {
            HooksArg::Auto => None,
            HooksArg::Sock => Some(Hooks::Sock),
            HooksArg::Syscall => Some(Hooks::Syscall),
        },
        selection: Selection { pids: capture.pid.clone(), comms: capture.comm.clone(), cgroups },
        duty_cycle: capture.duty_cycle,
        ring_bytes: ring_bytes(capture),
        log_level: kernel_log_level(log_level),
    })?;
    if let Some((what, without)) = privilege::unreadable(privilege::effective()) {
        log::warn!("without {} this cannot be read of other users' processes: {what}", without.join(" and "));
    }
    if let Err(error) = privilege::give_up() {
        log::warn!("privileges that are not needed any more could not be given up: {error}");
    }
    Ok(kernel)
}

/// Size of the ring buffer as the flags say.
fn ring_bytes(capture: &Capture) -> u32 {
    capture.buffer.next_power_of_two() << 20
}

/// How it is attached, for who asks.
pub(crate) fn capture(capture: &Capture, kernel: &Kernel, settings: &Settings) -> metrics::Capture {
    metrics::Capture {
        hooks: kernel.hooks().as_str(),
        kernel: node::kernel_release(),
        ring_bytes: ring_bytes(capture).into(),
        bounds: settings.bounds().to_vec(),
    }
}

/// The node as the flags say.
pub(crate) fn node(capture: &Capture, leaf_rest: Duration) -> live::Node {
    live::Node {
        name: capture.host_name.clone().unwrap_or_else(node::host_name),
        root: capture.host_root.clone(),
        processes: KNOWN_PROCESSES,
        leaf_rest,
    }
}

/// What is worth knowing before a selection of pids turns out to have selected nothing.
fn warn_of_pids(pids: &[u32]) {
    if let Ok(false) = node::in_initial_pid_namespace() {
        let names = if node::sees_host_processes() { "" } else { ", and services are named by their command only" };
        log::warn!(
            "this is not the host's pid namespace: pids in the output are the host's, --pid will not match the pids \
             seen here{names}; run on the host, or with hostPID: true / --pid=host"
        );
        return;
    }
    for pid in pids.iter().filter(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
        log::warn!("--pid {pid}: there is no such process (yet)");
    }
}

/// The kernel side's diagnostics cost a little, so they are only made when somebody reads them.
fn kernel_log_level(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 4,
        LogLevel::Trace => 5,
        _ => 0,
    }
}

/// The pipeline as the flags say.
pub(crate) fn settings(services: &Services, judge: &Judge, headers: &Headers) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    settings.back.selection = judge.selection(headers)?;
    settings.back.aggregation_window = judge.aggregation_window;
    settings.back.summary_interval = judge.summary_interval;
    settings.back.stats_interval = judge.stats_interval;
    settings.back.min_confidence = judge.min_confidence;
    settings.back.max_findings_per_second = judge.max_findings_per_second;
    settings.back.min_severity = judge.min_severity.severity();
    settings.back.boundaries = judge.boundaries.boundaries();
    settings.back.ignores = judge.boundaries.ignores();
    settings.back.ports = judge.port.clone();
    settings.filter = filter(services)?;
    Ok(settings)
}

/// The selection of services as the flags say.
pub(crate) fn filter(services: &Services) -> Result<Filter, Failure> {
    Filter::new(&services.exe, &services.unit, &services.container)
        .map_err(|error| Failure::Usage(format!("--exe {error}")))
}

/// Opens the outputs, and from then on again on SIGUSR1.
pub(crate) fn outputs(specs: &[Spec], full: Full) -> Result<Outputs, Failure> {
    let outputs = Outputs::open(specs, full, |text| exit::stderr(text))?;
    sink::reopen_on_sigusr1(outputs.monitor()).map_err(Failure::io("starting"))?;
    Ok(outputs)
}

/// Takes the pipeline's lines.
pub(crate) trait Take {
    /// Some lines, or none. `Closed`: nobody reads any more.
    fn take(&mut self, lines: &[Line]) -> Written;

    /// Where they go.
    fn outputs(&mut self) -> &mut Outputs;
}

impl Take for Outputs {
    fn take(&mut self, lines: &[Line]) -> Written {
        self.write(lines)
    }

    fn outputs(&mut self) -> &mut Outputs {
        self
    }
}

/// An audit through the kernel, and what goes on beside it.
pub(crate) struct Audit<'a> {
    /// Attached.
    pub(crate) kernel: Kernel,
    pub(crate) node: live::Node,
    pub(crate) duration: Option<Duration>,
    pub(crate) settings: Settings,
    pub(crate) runtime: &'a tokio::runtime::Runtime,
    /// Where the metrics are read from.
    pub(crate) board: Option<&'a Board>,
    pub(crate) reload: Option<Reload>,
}

impl<'a> Audit<'a> {
    /// Alone.
    pub(crate) fn new(
        kernel: Kernel,
        capture: &Capture,
        leaf_rest: Duration,
        duration: Option<Duration>,
        settings: Settings,
        runtime: &'a tokio::runtime::Runtime,
    ) -> Self {
        Self { kernel, node: self::node(capture, leaf_rest), duration, settings, runtime, board: None, reload: None }
    }
}

/// Runs the pipeline over the live source until it ends; gives the pipeline back for its totals.
pub(crate) fn audit(audit: Audit<'_>, sink: &mut impl Take) -> Result<(Pipeline, Stopped), Failure> {
    let Audit { mut kernel, node, duration, settings, runtime, board, mut reload } = audit;
    let masking = node::run_masking().map_err(Failure::io("making a key"))?;
    let mut pipeline = Pipeline::new(Settings { masking, ..settings });
    let mut lines = Vec::new();
    let mut manager = Manager::from_env();
    let mut latest = None;
    let mut leaves = kernel.take_leaves();
    let busy = |time| board.iter().for_each(|board| board.was_busy(time));
    let stopped = runtime
        .block_on(live::run(kernel, Ends { after: duration, on_hangup: false }, node, busy, |record| {
            let tick = matches!(record, Record::Tick(_)).then(|| record.time());
            if let Record::Clock(clock) = &record {
                manager.ready(&format!("attached with {} hooks", clock.hooks));
            } else if tick.is_some() {
                manager.alive(|| status(pipeline.totals()));
                count_dropped(&mut pipeline, sink);
                if let Some(reload) = &mut reload {
                    reload.look(&mut pipeline, sink.outputs(), &mut lines);
                }
            } else if record.seq().is_some() {
                latest = latest.max(Some(record.time()));
            }
            pipeline.push(record, &mut lines);
            let rests = pipeline.rests();
            if let Some(leaves) = leaves.as_mut().filter(|_| tick.is_some() || !rests.is_empty()) {
                leaves.set(rests);
            }
            if let (Some(board), Some(now)) = (board, tick) {
                let idle = latest.map(|latest| Duration::from_nanos(now.saturating_sub(latest)));
                board.ticked(Snapshot::of(&pipeline, states(sink.outputs()), idle));
            }
            match flush(&mut lines, sink) {
                Written::Yes => ControlFlow::Continue(()),
                Written::Closed => ControlFlow::Break(()),
            }
        }))
        .map_err(Failure::io("waiting for the kernel"))?;
    manager.stopping();
    board.iter().for_each(|board| board.stopping());
    if stopped != Stopped::Consumer {
        sink.outputs().hurry();
        count_dropped(&mut pipeline, sink);
        pipeline.finish(&mut lines);
        flush(&mut lines, sink);
    }
    Ok((pipeline, stopped))
}

/// The state in a line, for `systemctl status`.
fn status(totals: &Totals) -> String {
    let calls: u64 = totals.hops.values().sum();
    let findings: u64 = totals.findings.values().sum();
    let (requests, lost) = (totals.requests_with_context, totals.lost);
    format!("{requests} requests with context, {calls} calls audited, {findings} findings, {lost} records lost")
}

fn count_dropped(pipeline: &mut Pipeline, sink: &mut impl Take) {
    let total = sink.outputs().monitor().total();
    let counters = [("written", total.written), ("dropped", total.dropped), ("retried", total.retried)];
    pipeline.set_stage_counters("output", counters.into_iter().chain([("errors", total.errors)]));
    pipeline.set_outputs(OutputHealth { dropped: total.dropped, down: sink.outputs().monitor().down() });
}

/// What each output says of itself. While one is replaced there are two of a name.
fn states(outputs: &Outputs) -> BTreeMap<String, OutputState> {
    let down = outputs.monitor().down();
    let mut states: BTreeMap<String, OutputState> = BTreeMap::new();
    for (name, counters) in outputs.counters() {
        let up = !down.contains(&name);
        let state = states.entry(name).or_insert_with(|| OutputState { up, counters: SinkCounters::default() });
        state.counters = state.counters.plus(counters);
    }
    states
}

/// Passes lines on.
pub(crate) fn flush(lines: &mut Vec<Line>, sink: &mut impl Take) -> Written {
    let written = sink.take(lines);
    lines.clear();
    written
}
