//! What the pairing engine costs: time per exchange of the stages up to the exchanges alone and of the whole pipeline,
//! over generated records, as the number of requests that could be a call's parent grows.

use std::time::Instant;

use anyhow::Result;
use auditor::pipeline::{Front, Pipeline, Settings};
use auditor::record::{ProcessId, Record};
use auditor::testing::{MASKING, Script};

use crate::shell;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each case is measured
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests of a case, each with one call
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(100..=50_000))]
    requests: u32,
}

/// Requests open at once.
const CANDIDATES: [u64; 4] = [1, 10, 100, 1000];

/// What the service does with the context.
#[derive(Clone, Copy)]
enum Service {
    Forwards,
    Drops,
}

/// Measures and prints a table, optimised.
pub(crate) fn run(args: &Args) -> Result<()> {
    // Timings of a debug build, which the alias makes, say nothing.
    if cfg!(debug_assertions) {
        let mut bench = shell::cargo();
        bench.args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench"]);
        bench.args(["--rounds", &args.rounds.to_string(), "--requests", &args.requests.to_string()]);
        return shell::run(&mut bench);
    }
    println!("ns per exchange (median of {} rounds, front and pipeline in turn)\n", args.rounds);
    println!("{:<10} {:>10} {:>8} {:>10} {:>8} {:>7}", "service", "candidates", "front", "pipeline", "engine", "share");
    for (service, name) in [(Service::Forwards, "forwards"), (Service::Drops, "drops")] {
        for open in CANDIDATES {
            let records = records(service, open, u64::from(args.requests));
            let exchanges = f64::from(args.requests) * 2.0;
            let (mut fronts, mut wholes) = (Vec::new(), Vec::new());
            for _ in 0..args.rounds {
                fronts.push(front(records.clone()) / exchanges);
                wholes.push(whole(records.clone()) / exchanges);
            }
            let (front, whole) = (median(fronts), median(wholes));
            let engine = whole - front;
            let share = engine / whole * 100.0;
            println!("{name:<10} {open:>10} {front:>8.0} {whole:>10.0} {engine:>8.0} {share:>6.0}%");
        }
    }
    Ok(())
}

/// Requests on connections of their own thread, `open` at a time on one thread as in an event loop; each makes a call
/// when half of the others that are open with it have come, and is answered when all of them have.
fn records(service: Service, open: u64, requests: u64) -> Vec<Record> {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
    const CALLS: u64 = 1 << 20;
    let mut script = Script::new();
    script.process = ProcessId { tgid: 100, start_ns: 1 };
    let traceparent = |trace: u64, span: u64| {
        format!("traceparent: 00-{:032x}-{:016x}-01\r\n", u128::from(trace) + (1 << 100), span + 1)
    };
    for n in 0..requests + open {
        // A millisecond apart.
        script.time += 990_000;
        if n < requests {
            let head = format!(
                "GET /cart HTTP/1.1\r\nHost: shop\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nCookie: session={n:016x}\r\n{}\r\n",
                traceparent(n, 0)
            );
            script.recv(n % open, head);
        }
        if let Some(caller) = n.checked_sub(open / 2).filter(|caller| *caller < requests) {
            let context = match service {
                Service::Forwards => traceparent(caller, 1),
                Service::Drops => String::new(),
            };
            let head = format!(
                "POST /charge HTTP/1.1\r\nHost: backend:8080\r\nUser-Agent: bench/1.0\r\nContent-Length: 0\r\n{context}\r\n"
            );
            script.time += 100_000;
            script.send(CALLS, head);
            script.time += 100_000;
            script.recv(CALLS, OK);
        }
        // Before the connection is used again.
        if let Some(answered) = n.checked_sub(open - 1).filter(|answered| *answered < requests) {
            script.send(answered % open, OK);
        }
        if n % 1000 == 999 {
            script.tick();
        }
    }
    script.records
}

/// Nanoseconds.
fn front(records: Vec<Record>) -> f64 {
    let mut front = Front::new(&Settings { masking: MASKING, ..Settings::default() });
    let mut events = Vec::new();
    let begun = Instant::now();
    for record in records {
        front.push(record, &mut events, |_| {});
        std::hint::black_box(&events);
        events.clear();
    }
    front.finish(&mut events, |_| {});
    begun.elapsed().as_nanos() as f64
}

/// Nanoseconds.
fn whole(records: Vec<Record>) -> f64 {
    let mut pipeline = Pipeline::new(Settings { masking: MASKING, ..Settings::default() });
    let mut lines = Vec::new();
    let begun = Instant::now();
    for record in records {
        pipeline.push(record, &mut lines);
        std::hint::black_box(&lines);
        lines.clear();
    }
    pipeline.finish(&mut lines);
    begun.elapsed().as_nanos() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_are_what_they_claim_to_be() {
        for (service, forwarded) in [(Service::Forwards, 100), (Service::Drops, 0)] {
            let mut pipeline = Pipeline::new(Settings::default());
            let mut lines = Vec::new();
            for record in records(service, 10, 100) {
                pipeline.push(record, &mut lines);
            }
            pipeline.finish(&mut lines);
            let totals = pipeline.totals();
            assert_eq!((totals.requests, totals.hops.values().sum::<u64>(), totals.lost), (100, 100, 0));
            assert_eq!(totals.info().hops.get("continued").copied().unwrap_or(0), forwarded);
        }
    }
}
