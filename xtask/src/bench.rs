//! What the auditor costs. One module a group of measurements; every figure is measured beside what it is compared with,
//! in one run.

mod bpf;
mod cases;
mod contender;
mod counting;
mod growth;
mod load;
mod peers;
mod pipeline;
mod services;
mod soak;
mod syscalls;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::json;

use crate::shell;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure [default: everything]
    groups: Vec<Group>,
    /// How often each case is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Fewer and shorter cases: shows that it works, and no more
    #[arg(long)]
    quick: bool,
    /// How many seconds a service is under each load, each time; a soak takes so many minutes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Beside services, also measure these, or all; installs them if it can
    #[arg(long, value_name = "NAMES", num_args = 0.., require_equals = true, value_delimiter = ',',
          default_missing_values = peers::NAMES, value_parser = clap::builder::PossibleValuesParser::new(peers::NAMES))]
    peers: Vec<String>,
    /// Only the cases whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// Where the figures go as JSON [default: bench.json where build output goes]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run one case of the pipeline once, for callgrind
    #[arg(long, hide = true)]
    once: Option<String>,
}

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// System calls beside empty probes and beside the auditor (needs root)
    Syscalls,
    /// ns per run of the kernel programs (needs root)
    Programs,
    /// nginx, Node and Python under load (needs root)
    Services,
    /// The auditor's memory over many minutes (needs root)
    Soak,
    /// The userspace stages alone, on recordings and generated records
    Pipeline,
    /// The same as connections, processes, bodies and heads grow
    Growth,
}

impl Group {
    fn needs_kernel(self) -> bool {
        matches!(self, Self::Syscalls | Self::Programs | Self::Services | Self::Soak)
    }
}

/// Measures and prints tables, optimised.
pub(crate) fn run(args: &Args) -> Result<()> {
    // Timings of a debug build, which the alias makes, say nothing.
    if cfg!(debug_assertions) {
        let mut bench = shell::cargo();
        bench.args(["run", "--quiet", "--release", "--package", "xtask", "--"]);
        bench.args(std::env::args_os().skip(1));
        return shell::run(&mut bench);
    }
    if let Some(case) = &args.once {
        return pipeline::once(case);
    }
    let groups = if args.groups.is_empty() { Group::value_variants() } else { &args.groups };
    if groups.iter().any(|group| group.needs_kernel()) {
        prepare()?;
    }
    let mut tables = Vec::new();
    for group in groups {
        eprintln!("{group:?}");
        tables.push(match group {
            Group::Syscalls => syscalls::run(args.rounds, args.quick, &args.only)?,
            Group::Programs => syscalls::programs(args.quick, &args.only)?,
            Group::Services => {
                let seconds = if args.quick { 1 } else { args.seconds };
                services::run(args.rounds, seconds, &args.only, &args.peers)?
            }
            Group::Soak => soak::run(Duration::from_secs(if args.quick { 5 } else { args.seconds * 60 }))?,
            Group::Pipeline => pipeline::run(args.rounds, args.quick, &args.only)?,
            Group::Growth => growth::run(args.rounds, args.quick, &args.only)?,
        });
    }
    let machine = machine();
    println!("{machine}\nMedian of {} rounds [min-max].\n", args.rounds);
    tables.iter().for_each(table::Table::print);
    let output = args.output.clone().unwrap_or_else(|| shell::target_dir().join("bench.json"));
    let figures = json!({
        "machine": machine,
        "rounds": args.rounds,
        "quick": args.quick,
        "groups": tables.iter().map(table::Table::json).collect::<Vec<_>>(),
    });
    std::fs::write(&output, format!("{figures:#}\n")).with_context(|| output.display().to_string())
}

/// Builds what is measured, and finds or installs what makes the load.
fn prepare() -> Result<()> {
    if !shell::is_root() {
        bail!("these groups load BPF programs and need root; `pipeline` and `growth` do not");
    }
    let mut build = shell::cargo();
    build.args(["build", "--quiet", "--release", "--package", "auditor", "--bin", "auditor"]);
    shell::run(build.args(["--package", "auditor-tests", "--bin", "auditor-workload"]))?;
    let tools = [("nginx", "nginx-light"), ("wrk", "wrk"), ("node", "nodejs"), ("python3", "python3")];
    let missing = tools.iter().filter(|(program, _)| shell::find(program).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() { Ok(()) } else { shell::apt_install(&packages, "the load") }
}

/// Processor, kernel and date.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |m| m.1);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let date = std::process::Command::new("date").arg("+%F").output().map(|out| out.stdout).unwrap_or_default();
    format!(
        "{count} x {model}, Linux {}, {}, load {} before",
        kernel.trim(),
        String::from_utf8_lossy(&date).trim(),
        load.split(' ').next().unwrap_or("?")
    )
}
