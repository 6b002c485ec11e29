//! Shows the auditor at work: a small fleet on loopback of which one service drops trace context and one restarts it,
//! some load, and what the auditor says of it, as JSON and as a table of hops.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use auditor_tests::client::Load;
use auditor_tests::process::Service;
use serde_json::Value;

use crate::shell::{self, command};

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seconds of traffic
    #[arg(long, default_value_t = 8, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) duration: u64,
}

/// No step of the demo takes longer when it works at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ctrl-C was pressed: show what there is.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_ctrl_c(_signal: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

/// From here on Ctrl-C ends the traffic and not the demo: the auditor, which gets it too, flushes what it knows.
fn stop_on_ctrl_c() {
    let handler: extern "C" fn(libc::c_int) = on_ctrl_c;
    // SAFETY: the handler does nothing but store to an atomic, which is safe in a signal handler.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}

/// Builds, starts the fleet, audits it, and prints what came out.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !shell::is_root() {
        bail!(
            "the demo loads BPF programs into the kernel and needs root: `sudo -E env PATH=\"$PATH\" cargo xtask demo`\n\
             (`auditor doctor` says what else this node may lack)"
        );
    }
    println!("Building the auditor and the demo's services (a minute or two the first time)");
    let programs = shell::build_programs()?;

    let fleet = Fleet::start(&programs.join("auditor-workload"));
    println!("\nA shop on loopback, {} services:", fleet.services.len());
    println!("  shop ──▶ legacy ──▶ ledger     legacy loses the trace context");
    println!("       ├─▶ gateway ─▶ stock      gateway starts a new trace");
    println!("       └─▶ proxy ───▶ prices     proxy passes it through untouched\n");

    let mut auditor = Auditor::start(&programs.join("auditor"), &fleet.pids(), args.duration)?;
    println!(
        "\nAttached. Some 50 requests a second to the shop for {} seconds; findings as they come:\n",
        args.duration
    );
    let load = Load::new(&fleet.entry().addr, "/checkout").clients(2).gap(Duration::from_millis(30));
    let load = load.total(usize::MAX / 4).start();
    stop_on_ctrl_c();
    auditor.listen(Duration::from_secs(args.duration))?;
    let report = load.stop();
    auditor.finish()?;

    let errors = if report.errors.is_empty() { String::new() } else { format!(", {} failed", report.errors.len()) };
    println!("\n{} requests answered{errors}. What became of the trace context on every hop:\n", report.ok);
    let hops = hops(&auditor.records);
    if hops.is_empty() {
        bail!("the auditor saw no hop; `{} doctor` says what it cannot see here", programs.join("auditor").display());
    }
    print_hops(&hops);
    let found = |code: &str, service: &str| {
        let is = |record: &&Value| record["finding"]["code"] == code && record["resource"]["service.name"] == service;
        auditor.records.iter().any(|record| is(&record))
    };
    if !found("traceparent_dropped", "legacy") || !found("trace_restarted", "gateway") {
        bail!("legacy drops and gateway restarts, and the auditor did not find both: this is a bug, please report it");
    }
    println!("\nNext:");
    println!("  cargo install --path auditor && auditor doctor   can this node be audited?");
    println!("  auditor run --comm java --comm node              audit services of yours");
    println!("  auditor check --duration 30s                     the same as a gate: exits 1 on an error");
    println!("  auditor explain traceparent_dropped              what it means and how to fix it");
    Ok(())
}

/// The services, callees first. They end with this process: each holds the other end of a pipe.
struct Fleet {
    services: Vec<Service>,
}

impl Fleet {
    fn start(workload: &Path) -> Self {
        let mut services: Vec<Service> = Vec::new();
        let spawn = |name: &str, args: &[&str]| {
            Service::spawn(Command::new(workload).args(args).env("OTEL_SERVICE_NAME", name))
        };
        let ledger = spawn("ledger", &["--delay-ms", "2"]);
        let stock = spawn("stock", &["--delay-ms", "2"]);
        let prices = spawn("prices", &["--delay-ms", "2"]);
        let legacy = spawn("legacy", &["--mode", "drop", "--call", &ledger.call("POST", "/entries")]);
        let gateway = spawn("gateway", &["--mode", "restart", "--call", &stock.call("GET", "/items/4711")]);
        let proxy = spawn("proxy", &["--mode", "pass", "--call", &prices.call("GET", "/prices")]);
        let calls = [legacy.call("POST", "/charge"), gateway.call("GET", "/stock"), proxy.call("GET", "/prices")];
        let mut args = vec!["--mode", "forward"];
        args.extend(calls.iter().flat_map(|call| ["--call", call.as_str()]));
        let shop = spawn("shop", &args);
        services.extend([ledger, stock, prices, legacy, gateway, proxy, shop]);
        Self { services }
    }

    /// The service that the load goes to.
    fn entry(&self) -> &Service {
        &self.services[self.services.len() - 1]
    }

    fn pids(&self) -> Vec<u32> {
        self.services.iter().map(Service::pid).collect()
    }
}

/// A running auditor and what it said so far; ended when dropped.
struct Auditor {
    child: Child,
    lines: mpsc::Receiver<String>,
    records: Vec<Value>,
}

impl Auditor {
    /// Starts it on these processes alone and waits until it is attached.
    fn start(program: &PathBuf, pids: &[u32], seconds: u64) -> Result<Self> {
        let mut run = command(program);
        // It stops by itself even if nobody is left to stop it.
        run.args(["run", "--duration", &format!("{}s", seconds + PATIENCE.as_secs())]);
        run.args(["--summary-interval", "3600s", "--stats-interval", "3600s"]);
        for pid in pids {
            run.args(["--pid", &pid.to_string()]);
        }
        println!("$ {}", shell::display(&run));
        let mut child = run.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the auditor")?;
        let stdout = child.stdout.take().context("the auditor has no output")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut auditor = Self { child, lines, records: Vec::new() };
        let deadline = Instant::now() + PATIENCE;
        while !auditor.records.iter().any(|record| record["event_name"] == "auditor.attached") {
            if !auditor.next(deadline)? {
                bail!("the auditor did not attach; what it said is above");
            }
        }
        Ok(auditor)
    }

    /// Takes in what it says for some time, or until Ctrl-C.
    fn listen(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline && !STOP.load(Ordering::Relaxed) {
            self.next(deadline.min(Instant::now() + Duration::from_millis(100)))?;
        }
        Ok(())
    }

    /// Asks it to end, and takes in its last words.
    fn finish(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: kill takes two integers and touches no memory of this process; the child has not been waited for, so
        // its pid is still its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let deadline = Instant::now() + PATIENCE;
        while self.next(deadline)? {}
        let status = self.child.wait().context("the auditor cannot be waited for")?;
        if !status.success() {
            bail!("the auditor ended with {status}");
        }
        Ok(())
    }

    /// Takes in a line, printing it when it is a finding; `false` when there is none before the deadline, or ever.
    fn next(&mut self, deadline: Instant) -> Result<bool> {
        let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            return Ok(false);
        };
        let record: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        if record["record_type"] == "finding" {
            println!("{line}\n");
        }
        self.records.push(record);
        Ok(true)
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One row of the table: the calls of a service on one edge.
#[derive(Default)]
struct Hop {
    outcomes: BTreeMap<&'static str, u64>,
}

/// Outcomes that lose the trace first.
const OUTCOMES: [&str; 8] =
    ["dropped", "restarted", "unknown", "absent", "started", "translated", "passed_through", "continued"];

impl Hop {
    fn calls(&self) -> u64 {
        self.outcomes.values().sum()
    }

    fn count(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.outcomes.get(name)).sum()
    }

    /// Share of the calls on which the trace went on.
    fn coverage(&self) -> f64 {
        let kept = self.count(&["continued", "passed_through", "translated"]);
        kept as f64 / self.calls().max(1) as f64
    }

    /// The commonest outcome, the worst first where two are as common.
    fn verdict(&self) -> &'static str {
        let mut worst = ("unknown", 0);
        for name in OUTCOMES {
            let count = self.count(&[name]);
            if count > worst.1 {
                worst = (name, count);
            }
        }
        worst.0
    }
}

/// Summaries folded into (service, edge).
fn hops(records: &[Value]) -> BTreeMap<(String, String), Hop> {
    let mut hops: BTreeMap<(String, String), Hop> = BTreeMap::new();
    for record in records.iter().filter(|record| record["record_type"] == "summary") {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let attributes = &record["attributes"];
        let inbound = record["inbound"]["http.route"].as_str().unwrap_or("(no request)");
        let (method, route) = (text(&attributes["http.request.method"]), text(&attributes["http.route"]));
        let port = attributes["server.port"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
        let edge = format!("{inbound} → {method} {route} {}{port}", text(&attributes["server.address"]));
        let hop = hops.entry((text(&record["resource"]["service.name"]), edge)).or_default();
        for name in OUTCOMES {
            *hop.outcomes.entry(name).or_default() += record["edge"][name].as_u64().unwrap_or(0);
        }
    }
    hops
}

fn print_hops(hops: &BTreeMap<(String, String), Hop>) {
    let mut rows: Vec<_> = hops.iter().filter(|(_, hop)| hop.calls() > 0).collect();
    // The worst first: least coverage, and of two without any the one that drops.
    let rank = |hop: &Hop| OUTCOMES.iter().position(|name| *name == hop.verdict());
    rows.sort_by(|(_, a), (_, b)| a.coverage().total_cmp(&b.coverage()).then(rank(a).cmp(&rank(b))));
    let width = |of: fn(&(String, String)) -> &str, title: &str| {
        rows.iter().map(|(key, _)| of(key).chars().count()).max().unwrap_or(0).max(title.len())
    };
    let (service, edge) = (width(|key| &key.0, "service"), width(|key| &key.1, "hop"));
    println!("{:<service$}  {:<edge$}  {:>6}  {:<15}  verdict", "service", "hop", "calls", "coverage");
    for ((name, hop), counts) in rows {
        let coverage = counts.coverage();
        let verdict = colour(counts.verdict());
        println!(
            "{name:<service$}  {hop:<edge$}  {:>6}  {} {:>3.0}%  {verdict}",
            counts.calls(),
            bar(coverage),
            coverage * 100.0
        );
    }
}

/// Ten cells.
fn bar(share: f64) -> String {
    let full = (share * 10.0).round().clamp(0.0, 10.0) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(10 - full))
}

fn colour(verdict: &str) -> String {
    let plain = verdict.replace('_', " ");
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return plain;
    }
    let code = match verdict {
        "dropped" => "31",
        "restarted" | "unknown" => "33",
        "continued" | "passed_through" | "translated" => "32",
        _ => "2",
    };
    format!("\x1b[{code}m{plain}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(outcome: &str, calls: u64) -> Value {
        serde_json::json!({
            "record_type": "summary",
            "edge": {"calls": calls, outcome: calls},
            "inbound": {"http.route": "/cart"},
            "attributes": {"http.request.method": "POST", "http.route": "/charge", "server.address": "pay", "server.port": 80},
            "resource": {"service.name": "shop"},
        })
    }

    #[test]
    fn summaries_of_one_edge_fold_into_one_hop() {
        let hops =
            hops(&[summary("continued", 30), summary("dropped", 10), serde_json::json!({"record_type": "stats"})]);
        let hop = &hops[&("shop".to_owned(), "/cart → POST /charge pay:80".to_owned())];
        assert_eq!((hop.calls(), hop.verdict()), (40, "continued"));
        assert!((hop.coverage() - 0.75).abs() < f64::EPSILON);
    }

    #[test]
    fn a_bar_has_ten_cells() {
        assert_eq!(bar(0.75).chars().filter(|cell| *cell == '█').count(), 8);
        assert_eq!(bar(0.0).chars().count(), 10);
    }
}
