//! What runs beside a workload, and what it costs itself.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use auditor_tests::auditor::Auditor;
use auditor_tests::process::TempDir;
use serde::Serialize;

use super::bpf::Probes;
use super::peers::Peer;

/// The auditor's option to look at all of what goes on, also of who calls nobody.
pub(super) const ALL: &[&str] = &["--leaf-rest", "0"];

/// What runs beside a workload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Contender {
    /// What everything is compared with.
    Nothing,
    /// Empty programs where those of this hook strategy would be.
    Empty(&'static str),
    /// The auditor with this hook strategy and these options.
    Auditor(&'static str, &'static [&'static str]),
    Peer(&'static Peer),
}

impl Contender {
    pub(super) fn name(self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Empty(hooks) => format!("empty ({hooks})"),
            Self::Auditor(hooks, options) => format!("auditor ({})", [&[hooks], options].concat().join(" ")),
            Self::Peer(peer) => peer.name.to_owned(),
        }
    }

    /// Starts it for these processes, and waits until it works.
    pub(super) fn start(self, pids: &[u32]) -> Result<Running> {
        Ok(match self {
            Self::Nothing => Running::Nothing,
            Self::Empty(hooks) => Running::Empty(Probes::attach(hooks)?),
            Self::Auditor(hooks, options) => Running::auditor(Auditor::run_with(hooks, pids, options)),
            Self::Peer(peer) => Running::Other(Other::start(peer, pids)?),
        })
    }
}

/// What a contender cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Cost {
    /// Of all its threads, user and system.
    pub(super) cpu_seconds: f64,
    pub(super) peak_kib: u64,
    /// Through the ring buffer.
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Records, or what another tool counts (packets, events).
    pub(super) lost: u64,
}

/// A contender at work.
pub(super) enum Running {
    Nothing,
    Empty(#[expect(dead_code, reason = "it is what keeps them attached")] Probes),
    Auditor(Auditor, Usage),
    Other(Other),
}

impl Running {
    fn auditor(auditor: Auditor) -> Self {
        let before = Usage::of(auditor.pid());
        Self::Auditor(auditor, before)
    }

    /// Its process, if it has one.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Nothing | Self::Empty(_) => None,
            Self::Auditor(auditor, _) => Some(auditor.pid()),
            Self::Other(other) => Some(other.child.id()),
        }
    }

    /// Ends it, and says what it cost.
    pub(super) fn stop(self) -> Cost {
        let usage = self.pid().map(Usage::of).unwrap_or_default();
        match self {
            Self::Nothing | Self::Empty(_) => Cost::default(),
            Self::Other(mut other) => {
                other.end();
                Cost { lost: other.lost(), ..usage.since(other.before) }
            }
            Self::Auditor(auditor, before) => {
                let audit = auditor.stop();
                Cost {
                    records: audit.stat("kernel", "records"),
                    bytes: audit.stat("kernel", "bytes_captured"),
                    lost: audit.stat("stream", "lost"),
                    ..usage.since(before)
                }
            }
        }
    }
}

/// Time and memory so far of a process, and of those in its process group: some tools do their work in children.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    ticks: u64,
    peak_kib: u64,
}

impl Usage {
    fn of(pid: u32) -> Self {
        let Ok(processes) = std::fs::read_dir("/proc") else { return Self::default() };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|other| Self::of_one(other, pid)).fold(Self::default(), |sum, one| Self {
            ticks: sum.ticks + one.ticks,
            peak_kib: sum.peak_kib + one.peak_kib,
        })
    }

    /// `None` unless it is `wanted`, or of its group.
    fn of_one(pid: u32, wanted: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything: the state, the parent, the group; utime and stime are the 12th and 13th.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if pid != wanted && *fields.get(2)? != wanted.to_string() {
            return None;
        }
        let ticks = fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        Some(Self { ticks, peak_kib: peak.unwrap_or(0) })
    }

    fn since(self, before: Self) -> Cost {
        // SAFETY: sysconf takes an integer and touches no memory of ours.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        let cpu_seconds = self.ticks.saturating_sub(before.ticks) as f64 / per_second;
        Cost { cpu_seconds, peak_kib: self.peak_kib, ..Cost::default() }
    }
}

/// Another tool.
pub(super) struct Other {
    child: Child,
    before: Usage,
    /// What it says on stderr.
    log: PathBuf,
    _dir: TempDir,
}

impl Other {
    fn start(peer: &Peer, pids: &[u32]) -> Result<Self> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let dir = TempDir::new(peer.name);
        let log = dir.path().join("stderr");
        let mut command = (peer.command)(dir.path(), pids);
        let output = std::fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).process_group(0);
        let mut child = command.spawn().with_context(|| peer.name.to_owned())?;
        let begun = Instant::now();
        while !said(&log, peer.ready) {
            if child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                bail!("{} does not begin: {}", peer.name, std::fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let before = Usage::of(child.id());
        Ok(Self { child, before, log, _dir: dir })
    }

    fn end(&mut self) {
        // The children of tshark capture; they are of its process group.
        let _ = Command::new("kill").arg("-INT").arg("--").arg(format!("-{}", self.child.id())).status();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) && !matches!(self.child.try_wait(), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it says that it lost: `12 packets dropped by kernel`, `Lost 34 events`.
    fn lost(&self) -> u64 {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().collect();
        let said = words.windows(3).filter_map(|said| match said {
            [count, "packet" | "packets", "dropped"] | ["Lost", count, "events"] => count.parse::<u64>().ok(),
            _ => None,
        });
        said.sum()
    }
}

fn said(log: &Path, ready: &str) -> bool {
    std::fs::read_to_string(log).is_ok_and(|text| text.contains(ready))
}

impl Drop for Other {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
    }
}
