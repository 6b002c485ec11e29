//! Audits or records the fleets whose truth is known, outside the tests. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use auditor_tests::truth::model::{Model, Variant};
use auditor_tests::truth::trial::{self, CONCURRENCIES};
use auditor_tests::truth::verdict::Verdict;
use clap::{Args, Parser, Subcommand};

/// Fleets whose truth is known: which request caused which call.
#[derive(Parser)]
#[command(arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Audit all models at the same time, and compare what is said with what is true
    Audit {
        #[command(flatten)]
        which: Which,
        /// Repeatable; healthy and broken when not given
        #[arg(long)]
        variant: Vec<Variant>,
    },
    /// Record each model for DIR/MODEL-VARIANT-CONCURRENCY.rec, and write the truth into .truth beside it
    Record {
        #[command(flatten)]
        which: Which,
        /// Repeatable; blind and affine when not given
        #[arg(long)]
        variant: Vec<Variant>,
        /// How long each is driven
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Where the files go
        dir: PathBuf,
    },
}

#[derive(Args)]
struct Which {
    /// Only this model; repeatable
    #[arg(long)]
    model: Vec<String>,
    /// How many requests are open at once; repeatable
    #[arg(long)]
    concurrency: Vec<usize>,
}

impl Which {
    fn models(&self) -> Vec<Model> {
        let wanted = |model: &Model| self.model.is_empty() || self.model.iter().any(|name| name == model.name);
        auditor_tests::truth::models().into_iter().filter(wanted).collect()
    }

    fn concurrencies(&self, default: &[usize]) -> Vec<usize> {
        if self.concurrency.is_empty() { default.to_vec() } else { self.concurrency.clone() }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Audit { which, variant } => audit(&which, &or(variant, &[Variant::Healthy, Variant::Broken])),
        Command::Record { which, variant, seconds, dir } => {
            let duration = Duration::from_secs(seconds);
            record(&which, &or(variant, &[Variant::Blind, Variant::Affine]), duration, &dir)
        }
    }
}

fn or(given: Vec<Variant>, default: &[Variant]) -> Vec<Variant> {
    if given.is_empty() { default.to_vec() } else { given }
}

fn audit(which: &Which, variants: &[Variant]) -> ExitCode {
    let mut right = true;
    for variant in variants {
        for connections in which.concurrencies(&CONCURRENCIES) {
            let verdicts = trial::audit(&which.models(), *variant, connections);
            print!("{}", trial::table(*variant, connections, &verdicts));
            right &= verdicts.iter().all(Verdict::is_right);
        }
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn record(which: &Which, variants: &[Variant], duration: Duration, dir: &std::path::Path) -> ExitCode {
    if let Err(error) = std::fs::create_dir_all(dir) {
        eprintln!("{}: {error}", dir.display());
        return ExitCode::FAILURE;
    }
    for model in which.models() {
        for variant in variants {
            for connections in which.concurrencies(&[16, 64]) {
                println!("{}", trial::record(&model, *variant, connections, duration, dir));
            }
        }
    }
    ExitCode::SUCCESS
}
