//! (e) What an exchange costs in user space alone, on recordings and on generated records: nanoseconds by stage, and, so
//! that it repeats on whatever machine, instructions (counted by callgrind) and allocations.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use auditor::record::Record;
use serde_json::json;

use super::cases::{self, Case, Service};
use super::counting::allocations;
use super::table::{Spread, Table};
use crate::shell;

/// Exchanges that are measured of a case.
const EXCHANGES: u64 = 20_000;
const FEWER: u64 = 2_000;
/// Fields of a head, at the most.
const FIELDS: usize = 128;
/// Requests open at once in the generated cases.
const OPEN: [u64; 4] = [1, 10, 100, 1000];

/// The cases whose names contain `only`, of about so many exchanges.
fn cases(exchanges: u64, only: &str) -> Result<Vec<Case>> {
    let mut cases = cases::recordings(&shell::root(), exchanges, only)?;
    for service in [Service::Forwards, Service::Drops] {
        for open in OPEN.into_iter().filter(|open| service.name(*open).contains(only)) {
            cases.push(cases::generated(service, open, exchanges)?);
        }
    }
    Ok(cases)
}

/// Measures all cases.
pub(super) fn run(rounds: u32, quick: bool, only: &str) -> Result<Table> {
    let cases = cases(if quick { FEWER } else { EXCHANGES }, only)?;
    let mut table = Table::new(
        "pipeline: the userspace stages alone, per exchange",
        &["case", "httparse", "decode", "front", "whole", "exchanges/s", "allocations", "instructions"],
    );
    for case in &cases {
        let stages = [parsed, decode, front, whole];
        let mut times = stages.map(|_| Vec::new());
        let mut count = 0;
        for _ in 0..rounds {
            for (stage, times) in stages.iter().zip(&mut times) {
                let (time, allocated) = stage(case)?;
                times.push(time / case.exchanges as f64);
                count = allocated;
            }
        }
        let [parsed, decode, front, whole] = times.map(Spread::of);
        let allocations = count as f64 / case.exchanges as f64;
        let instructions = instructions(&case.name)?;
        let rate = 1e9 / whole.median;
        table.row(
            vec![
                case.name.clone(),
                format!("{:.0} ns", parsed.median),
                format!("{:.0} ns", decode.median),
                format!("{:.0} ns", front.median),
                format!("{:.0} ns [{:.0}-{:.0}]", whole.median, whole.min, whole.max),
                format!("{rate:.0}"),
                format!("{allocations:.2}"),
                instructions.map_or_else(|| "-".to_owned(), |count| format!("{count:.0}")),
            ],
            json!({
                "case": case.name, "exchanges": case.exchanges, "httparse_ns": parsed, "decode_ns": decode,
                "front_ns": front, "whole_ns": whole, "exchanges_per_second": rate, "allocations": allocations,
                "instructions": instructions, "output": format!("{:016x}", case.digest()?),
            }),
        );
    }
    Ok(table)
}

/// Nanoseconds and allocations of `work`.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<(f64, u64)> {
    let (begun, before) = (Instant::now(), allocations());
    work()?;
    Ok((begun.elapsed().as_nanos() as f64, allocations() - before))
}

/// The floor of whatever reads HTTP: the bytes of the same records through its parser, and no more.
fn parsed(case: &Case) -> Result<(f64, u64)> {
    let mut heads = Vec::new();
    case.hot(&mut |record| {
        if let Record::Data(data) = record {
            heads.push(data.bytes);
        }
    })?;
    timed(|| {
        for head in &heads {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS];
            // What is no head, or half a one, is refused as fast as it can be.
            let read = if head.starts_with(b"HTTP/") {
                httparse::Response::new(&mut fields).parse(head).is_ok()
            } else {
                httparse::Request::new(&mut fields).parse(head).is_ok()
            };
            std::hint::black_box(read);
        }
        Ok(())
    })
}

fn decode(case: &Case) -> Result<(f64, u64)> {
    timed(|| case.hot(&mut |record| drop(std::hint::black_box(record))))
}

fn front(case: &Case) -> Result<(f64, u64)> {
    let (mut front, mut events) = (case.front(), Vec::new());
    let mut push = |record| {
        front.push(record, &mut events, |_| {});
        std::hint::black_box(&events);
        events.clear();
    };
    case.warm(&mut push)?;
    timed(|| case.hot(&mut push))
}

fn whole(case: &Case) -> Result<(f64, u64)> {
    let (mut pipeline, mut lines) = (case.pipeline(), Vec::new());
    let mut push = |record| {
        pipeline.push(record, &mut lines);
        std::hint::black_box(&lines);
        lines.clear();
    };
    case.warm(&mut push)?;
    timed(|| counted_by_callgrind(case, &mut push))
}

/// What callgrind counts: it knows the function by its name.
#[inline(never)]
fn counted_by_callgrind(case: &Case, push: &mut impl FnMut(Record)) -> Result<()> {
    case.hot(push)
}

/// Instructions of the whole pipeline per exchange; `None` without valgrind.
fn instructions(name: &str) -> Result<Option<f64>> {
    if shell::find("valgrind").is_none() {
        return Ok(None);
    }
    let mut callgrind = shell::command("valgrind");
    callgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_by_callgrind*"]);
    callgrind.arg(std::env::current_exe()?).args(["bench", "pipeline", "--once", name]);
    let output = callgrind.output().context("valgrind does not run")?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<f64>().ok());
    let exchanges = String::from_utf8_lossy(&output.stdout).trim().parse::<f64>();
    let (Some(collected), Ok(exchanges)) = (collected, exchanges) else { bail!("callgrind: {told}") };
    Ok(Some(collected / exchanges))
}

/// Runs one case, for callgrind, and says how many exchanges it has.
pub(super) fn once(name: &str) -> Result<()> {
    let cases = cases(FEWER, name)?;
    let case = cases.iter().find(|case| case.name == name).with_context(|| format!("there is no case {name:?}"))?;
    whole(case)?;
    println!("{}", case.exchanges);
    Ok(())
}
