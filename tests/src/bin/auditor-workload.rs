//! The service that kernel tests and the demo audit: its own process, so that it has its own pid.
//!
//! Prints `listening ADDR` and serves until its standard input ends, so that it cannot outlive who started it.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use auditor_tests::http::{HeaderStyle, ReadStyle, WriteStyle};
use auditor_tests::server::{Call, Mode, Respond, Service};
use auditor_tests::socket::Addr;
use clap::Parser;

/// A small HTTP service whose treatment of trace context is chosen.
#[derive(Parser)]
struct Args {
    /// 127.0.0.1:0, [::1]:0 or unix:PATH
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: Addr,
    /// forward, pass, drop or restart
    #[arg(long, default_value = "forward")]
    mode: Mode,
    /// A call made for every request: "METHOD PATH ADDR"
    #[arg(long)]
    call: Vec<Call>,
    /// Requests for this path make none
    #[arg(long)]
    quiet: Option<String>,
    /// Work before every answer
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// A new connection for every call
    #[arg(long)]
    fresh: bool,
    /// plain, peek, recvmmsg or readv
    #[arg(long, default_value = "plain")]
    read: ReadStyle,
    /// whole, bytes, split-each, iovecs:N or sendmmsg:N
    #[arg(long, default_value = "whole")]
    write: WriteStyle,
    /// plain, upper, no-space, tabs or after-cookies
    #[arg(long, default_value = "plain")]
    header: HeaderStyle,
    /// plain, apart, sendfile or chunked
    #[arg(long, default_value = "plain")]
    respond: Respond,
    /// A call made without any request: "METHOD PATH ADDR"
    #[arg(long)]
    background: Option<Call>,
    /// How often
    #[arg(long, default_value_t = 20)]
    background_every_ms: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    std::thread::spawn(|| {
        // Whoever started this service holds the other end of its standard input.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let every = Duration::from_millis(args.background_every_ms);
    let service = Service {
        listen: args.listen,
        mode: args.mode,
        calls: args.call,
        quiet: args.quiet,
        delay: Duration::from_millis(args.delay_ms),
        fresh: args.fresh,
        read: args.read,
        write: args.write,
        header: args.header,
        respond: args.respond,
        background: args.background.map(|call| (call, every)),
    };
    let result = service.run(|addr| {
        println!("listening {addr}");
        let _ = std::io::stdout().flush();
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("auditor-workload: {error}");
            ExitCode::FAILURE
        }
    }
}
