//! Shows the auditor at work: a small fleet on loopback of which one service drops trace context and one restarts it,
//! some load, and what the auditor says of it, as JSON and as a table of hops.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use auditor::view::text::{self, Style};
use auditor::view::{Lines, Report};
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
    let report = auditor.report();
    let hops = report.rows();
    if hops.is_empty() {
        bail!("the auditor saw no hop; `{} doctor` says what it cannot see here", programs.join("auditor").display());
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print!("{}", text::table(&hops, Style { width: None, colour }));
    let found = |code: &str, service: &str| {
        report.findings().iter().any(|found| found.code == code && found.service == service)
    };
    if !found("traceparent_dropped", "legacy") || !found("trace_restarted", "gateway") {
        bail!("legacy drops and gateway restarts, and the auditor did not find both: this is a bug, please report it");
    }
    println!("\nNext:");
    println!("  cargo install --path auditor && auditor doctor   can this node be audited?");
    println!("  auditor run --comm java --comm node              audit services of yours");
    println!("  auditor check --duration 30s                     the same as a gate: exits 1 on an error");
    println!("  auditor top --comm java                          the table above, live");
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

    /// What `auditor report` makes of its lines.
    fn report(&self) -> Report {
        let (mut report, mut lines) = (Report::default(), Lines::new());
        for record in &self.records {
            lines.push(format!("{record}\n").as_bytes(), &mut report);
        }
        report
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
