//! `cargo xtask …`: what a person or CI does with this repository. One module per subcommand.

mod bench;
mod build_ebpf;
mod codes;
mod demo;
mod dist;
mod pairing;
mod shell;
mod test;
mod toolchain;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the auditor repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show the auditor at work on a small fleet on loopback (needs root)
    Demo(demo::Args),
    /// Check everything: lints, licences, tests, kernel tests, README, the BPF object, other kernels
    Test(test::Args),
    /// Measure what the auditor costs: system calls, services, the pipeline alone
    Bench(bench::Args),
    /// Build the BPF object that the auditor embeds, or check the one that is there
    BuildEbpf(build_ebpf::Args),
    /// Write docs/codes.md, the catalogue of all codes
    Codes,
    /// Make the release: Debian package, archive, container root
    Dist(dist::Args),
    /// Score the pairing by time where the truth is known
    Pairing(pairing::Args),
    /// Run the kernel tests on other kernels, in QEMU
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::BuildEbpf(args) => build_ebpf::run(&args),
        Task::Codes => codes::run(),
        Task::Dist(args) => dist::run(&args),
        Task::Pairing(args) => pairing::run(&args),
        Task::Vm(args) => vm::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
