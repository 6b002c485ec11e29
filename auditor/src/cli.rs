//! The command line. Parsing only; the commands are in [`crate::commands`].

mod boundaries;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use auditor::audit::Severity;
use auditor::context::format::Level;
use auditor::context::{Selection, SelectionError};
use auditor::record::DutyCycle;
use auditor::sink::Spec;
use auditor::units::duration;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::metrics::address;
use boundaries::BoundaryArgs;

/// Heading of what is about the run itself.
const RUN: &str = "Run";

/// Audits trace-context propagation: which hop received traceparent and did not forward it.
#[derive(Debug, Parser)]
#[command(name = "auditor", version, disable_help_subcommand = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// What goes to stderr beside errors.
    #[arg(long, global = true, env = "AUDITOR_LOG_LEVEL", default_value = "warn", value_name = "LEVEL")]
    pub(crate) log_level: LogLevel,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(crate) fn filter(self) -> log::LevelFilter {
        match self {
            Self::Off => log::LevelFilter::Off,
            Self::Error => log::LevelFilter::Error,
            Self::Warn => log::LevelFilter::Warn,
            Self::Info => log::LevelFilter::Info,
            Self::Debug => log::LevelFilter::Debug,
            Self::Trace => log::LevelFilter::Trace,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Audit until Ctrl-C, SIGTERM or the end of --duration; findings as JSON lines on stdout.
    Run(Box<Run>),
    /// Audit for a while, then judge: exit 0 clean, 1 findings at --fail-on or above, 3 nothing could be concluded.
    Check(Check),
    /// Write what the kernel delivers to a file, for `auditor replay`. Secrets and bodies are masked.
    Record(Record),
    /// Audit a recording: the same output, byte for byte, every time. Needs no privilege.
    Replay(Replay),
    /// Can this node be audited? One line a check, and a fix for each failure.
    Doctor(Doctor),
    /// A person's view of the lines of `run` and `check`: the hop table, worst first; or a page with the service graph.
    Report(Report),
    /// The hop table, live: audits as `run` does, or follows a file of lines.
    Top(Top),
    /// What a finding code means, and how to fix what it found. Without a code: the list.
    Explain(Explain),
    /// Print the JSON Schema (draft 2020-12) of every output record.
    Schema,
    /// Print the completions of a shell.
    Completions(Completions),
    /// Print the man page, or that of a command.
    Man(Man),
    /// Configuration files: check one, print what is in effect, print one with every key explained.
    #[command(subcommand)]
    Config(Config),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check a file: exit 0 if it can be used, 78 if not; with what is wrong, and where.
    Check {
        /// The file; `-` reads stdin. Without: the one that AUDITOR_CONFIG names, or /etc/auditor/auditor.toml.
        file: Option<PathBuf>,
    },
    /// Print the effective configuration of `run` with these options, as a file that can be used again.
    Dump(Box<Run>),
    /// Print a configuration file with every key, explained, at its default.
    Example,
}

/// Where settings come from that neither options nor the environment give.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file: its keys are the options' names. A list that is given here, or in the environment, takes the
    /// place of the file's. `run`, `check` and `record` read /etc/auditor/auditor.toml if they are given none and it is
    /// there. On SIGHUP `run` reads the file again.
    #[arg(long, env = "AUDITOR_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Print the effective configuration, as a file that can be used again, and end.
    #[arg(long)]
    pub(crate) dump_config: bool,
    #[command(flatten)]
    pub(crate) capture: Capture,
    #[command(flatten)]
    pub(crate) rest: Rest,
    #[command(flatten)]
    pub(crate) headers: Headers,
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) judge: Judge,
    /// Stop after this long, such as 30s or 5m.
    #[arg(long, env = "AUDITOR_DURATION", help_heading = RUN, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Answer at http://ADDRESS/metrics (OpenMetrics or Prometheus text), /healthz and /readyz. A port alone is on
    /// loopback; port 0: a free one, which stderr tells.
    #[arg(long, env = "AUDITOR_METRICS_ADDR", value_name = "[ADDRESS:]PORT", value_parser = address)]
    pub(crate) metrics_addr: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[command(flatten)]
    pub(crate) capture: Capture,
    #[command(flatten)]
    pub(crate) headers: Headers,
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) judge: Judge,
    /// How long to watch.
    #[arg(long, env = "AUDITOR_DURATION", default_value = "30s", help_heading = RUN, value_parser = duration)]
    pub(crate) duration: Duration,
    /// The least severity that fails the check.
    #[arg(long, env = "AUDITOR_FAIL_ON", help_heading = RUN, default_value = "error", value_name = "SEVERITY")]
    pub(crate) fail_on: SeverityArg,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[command(flatten)]
    pub(crate) capture: Capture,
    #[command(flatten)]
    pub(crate) headers: Headers,
    #[command(flatten)]
    pub(crate) services: Services,
    /// Stop after this long, such as 30s or 5m.
    #[arg(long, env = "AUDITOR_DURATION", help_heading = RUN, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// The file; it is created with mode 0600 and must not exist.
    #[arg(id = "recording", long = "output", short, help_heading = RUN, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[command(flatten)]
    pub(crate) headers: Headers,
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) judge: Judge,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The recording; `-` reads stdin.
    pub(crate) file: PathBuf,
}

/// Where lines go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Judgement and output")]
pub(crate) struct Output {
    /// Where lines go: `-` (stdout), a PATH (appended to, created with mode 0600), `syslog+unix:PATH`,
    /// `syslog+udp://HOST[:PORT]`, `syslog+tcp://HOST[:PORT]`, `journald:`, `otlp+http://HOST[:PORT]`. Options come after
    /// a `?`, with `&` between them: format=json|json-nested|ecs|otlp-json|text, queue=LINES; of files rotate=SIZE,
    /// rotate-age=TIME and keep=FILES; of syslog facility=NAME and protocol=rfc5424|rfc3164.
    /// Repeatable.
    #[arg(
        long = "output",
        short = 'o',
        allow_hyphen_values = true,
        env = "AUDITOR_OUTPUT",
        hide_env_values = true,
        default_value = "-",
        value_name = "OUTPUT",
        value_delimiter = ','
    )]
    pub(crate) specs: Vec<Spec>,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Files with lines of `auditor run` or `check`, of one node or several; `-` or none reads stdin.
    pub(crate) file: Vec<PathBuf>,
    /// How the report is printed: for a terminal, as one HTML page, or for programs.
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Html,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Follow this file of lines instead of auditing; `-` reads stdin.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) capture: Capture,
    #[command(flatten)]
    pub(crate) rest: Rest,
    #[command(flatten)]
    pub(crate) headers: Headers,
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) judge: Judge,
    /// Stop after this long, such as 30s or 5m.
    #[arg(long, env = "AUDITOR_DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// How often new calls are counted in.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) interval: Duration,
    /// Print the table once, after --duration (5s if it is not set) or at the end of the file.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A code such as traceparent_dropped.
    pub(crate) code: Option<String>,
    /// How the answer is printed.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// How the answer is printed.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// A command such as run.
    pub(crate) command: Option<String>,
    /// Write all pages into this directory, as packages do.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// What is captured. Several values of one flag are alternatives; different flags must all match.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection and capture")]
pub(crate) struct Capture {
    /// Only this process. Repeatable.
    #[arg(long, env = "AUDITOR_PID", value_delimiter = ',', value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: Vec<u32>,
    /// Only threads with this command name (at most 15 bytes count). Repeatable.
    #[arg(long, env = "AUDITOR_COMM", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) comm: Vec<String>,
    /// Only processes in this cgroup (v2) or below. Repeatable.
    #[arg(long, env = "AUDITOR_CGROUP", value_name = "PATH", value_parser = name)]
    pub(crate) cgroup: Vec<String>,
    /// Look at each process for a part of every period only, each at a time of its own: 10s/1m is ten seconds of every
    /// minute. For nodes where all of it costs too much; what goes on meanwhile is not seen.
    #[arg(long, env = "AUDITOR_DUTY_CYCLE", value_name = "AUDITED/PERIOD")]
    pub(crate) duty_cycle: Option<DutyCycle>,
    /// How socket operations are seen: `sock` (Linux 6.3+, cheapest), `syscall`, or the best this kernel has.
    #[arg(long, env = "AUDITOR_HOOKS", default_value = "auto")]
    pub(crate) hooks: HooksArg,
    /// Size of the buffer between kernel and daemon, in MiB (rounded up to a power of two).
    #[arg(long, env = "AUDITOR_BUFFER_MIB", default_value = "8", value_name = "MIB",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) buffer: u32,
    /// Where the node's file system is: names of pods and containers are looked for in its `/var/log/pods`,
    /// `/var/log/containers`, `/var/lib/docker` and `/var/lib/containers`.
    #[arg(long, env = "AUDITOR_HOST_ROOT", default_value = "/", value_name = "DIR")]
    pub(crate) host_root: PathBuf,
    /// Name of the node, instead of this machine's host name: in a pod that is the pod's.
    #[arg(long, env = "AUDITOR_HOST_NAME", value_name = "NAME",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) host_name: Option<String>,
}

/// What is left out where there is nothing to audit: not of a recording, nor where a verdict is due in seconds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection and capture")]
pub(crate) struct Rest {
    /// Leave a process alone for so long that received 500 requests a second for some seconds and was not seen to send
    /// one. Of what it does only requests that it sends are seen then, and the first of these ends its rest. 0: never.
    #[arg(long, env = "AUDITOR_LEAF_REST", default_value = "1m", value_name = "TIME", value_parser = duration)]
    pub(crate) leaf_rest: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HooksArg {
    Auto,
    Sock,
    Syscall,
}

/// Which processes, beyond what the kernel side can tell: works on recordings too.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection of services")]
pub(crate) struct Services {
    /// Only processes whose executable name matches (`*` and `?` match any characters and any one). Repeatable.
    #[arg(long, env = "AUDITOR_EXE", value_name = "GLOB", value_parser = name)]
    pub(crate) exe: Vec<String>,
    /// Only processes of this systemd unit. Repeatable.
    #[arg(long, env = "AUDITOR_UNIT", value_delimiter = ',', value_name = "NAME", value_parser = name)]
    pub(crate) unit: Vec<String>,
    /// Only processes in this container (name, id or its beginning). Repeatable.
    #[arg(long, env = "AUDITOR_CONTAINER", value_delimiter = ',', value_name = "ID", value_parser = name)]
    pub(crate) container: Vec<String>,
}

/// Headers besides those of the formats.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is audited")]
pub(crate) struct Headers {
    /// Audit this header, too: where the trace goes on, it is to go on as it was received. Findings never show its value,
    /// but a recording holds it: name it when you record, and again on replay. Repeatable.
    #[arg(long, env = "AUDITOR_HEADER", value_name = "NAME", value_delimiter = ',')]
    pub(crate) header: Vec<String>,
}

impl Headers {
    /// With every format.
    pub(crate) fn selection(&self) -> Result<Selection, SelectionError> {
        Selection::new(&["all"], &self.header, Level::default())
    }
}

/// What is reported.
#[derive(Debug, Args)]
#[command(next_help_heading = "Judgement and output")]
pub(crate) struct Judge {
    /// Formats to report on, by name, with commas between them; a trace that goes on in another one has not ended. A wrong
    /// name lists them.
    #[arg(long, env = "AUDITOR_FORMATS", default_value = "all", value_name = "LIST", value_delimiter = ',')]
    pub(crate) formats: Vec<String>,
    /// Level of W3C Trace Context to audit against; 1 has no random flag.
    #[arg(long, env = "AUDITOR_SPEC_LEVEL", default_value = "2", value_name = "1|2")]
    pub(crate) spec_level: LevelArg,
    /// Report findings of at least this severity.
    #[arg(long, env = "AUDITOR_MIN_SEVERITY", default_value = "info", value_name = "SEVERITY")]
    pub(crate) min_severity: SeverityArg,
    /// A drop or restart is reported when it is at least this likely not to be background work (0 to 1).
    #[arg(long, env = "AUDITOR_MIN_CONFIDENCE", default_value = "0.99", value_name = "P", value_parser = probability)]
    pub(crate) min_confidence: f64,
    /// Repeat a finding at most once in this time, with a count; 0: one line per occurrence.
    #[arg(long, env = "AUDITOR_AGGREGATION_WINDOW", default_value = "60s", value_parser = duration)]
    pub(crate) aggregation_window: Duration,
    /// How often every edge is summarised.
    #[arg(long, env = "AUDITOR_SUMMARY_INTERVAL", default_value = "60s", value_parser = duration)]
    pub(crate) summary_interval: Duration,
    /// How often the auditor's own counters are printed.
    #[arg(long, env = "AUDITOR_STATS_INTERVAL", default_value = "60s", value_parser = duration)]
    pub(crate) stats_interval: Duration,
    /// Write at most so many findings a second (ten times as many at once); what is held back is in the count of a later
    /// line. 0: no limit.
    #[arg(long, env = "AUDITOR_MAX_FINDINGS_PER_SECOND", default_value = "20", value_name = "N")]
    pub(crate) max_findings_per_second: u32,
    /// Only hops whose request came in on this local port. Repeatable.
    #[arg(long, env = "AUDITOR_PORT", value_delimiter = ',', value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Vec<u16>,
    #[command(flatten)]
    pub(crate) boundaries: BoundaryArgs,
}

impl Judge {
    /// What is audited, with these headers.
    pub(crate) fn selection(&self, headers: &Headers) -> Result<Selection, SelectionError> {
        Selection::new(&self.formats, &headers.header, self.spec_level.level())
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LevelArg {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

impl LevelArg {
    fn level(self) -> Level {
        match self {
            Self::One => Level::One,
            Self::Two => Level::Two,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SeverityArg {
    Error,
    Warning,
    Info,
}

impl SeverityArg {
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Info => Severity::Info,
        }
    }
}

/// What is to be selected by it: nothing is called nothing, and everything begins with it.
fn name(text: &str) -> Result<String, String> {
    match text.trim().trim_end_matches(".service") {
        "" => Err(format!("{text:?} is empty: it selects nothing")),
        _ => Ok(text.to_owned()),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err(format!("{text:?} is not a number from 0 to 1")),
    }
}

#[cfg(test)]
mod tests;
