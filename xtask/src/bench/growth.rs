//! (f) How the pipeline's cost grows: connections, processes, bodies, heads.

use std::time::Instant;

use anyhow::Result;
use auditor::record::{Direction, ProcessId, Record};
use auditor::testing::Script;
use serde_json::json;

use super::cases::Case;
use super::counting;
use super::table::{Spread, Table};

/// Exchanges of a case, unless it needs more for every connection or process to have some.
const EXCHANGES: u64 = 20_000;
const FEWER: u64 = 2_000;

/// What grows.
#[derive(Clone, Copy)]
struct Shape {
    connections: u64,
    processes: u64,
    body: u64,
    head: u64,
}

const SMALL: Shape = Shape { connections: 10, processes: 1, body: 0, head: 200 };

pub(super) fn run(rounds: u32, quick: bool, only: &str) -> Result<Table> {
    let mut shapes = Vec::new();
    for connections in [10, 100, 1000, 10_000, 100_000] {
        shapes.push((format!("{connections} connections"), Shape { connections, ..SMALL }));
    }
    for processes in [1, 10, 100, 1000, 10_000] {
        shapes.push((format!("{processes} processes"), Shape { processes, connections: processes, ..SMALL }));
    }
    for (name, body) in [("1 KiB", 1 << 10), ("1 MiB", 1 << 20), ("1 GiB", 1 << 30)] {
        shapes.push((format!("bodies of {name}"), Shape { body, ..SMALL }));
    }
    for head in [100, 1000, 4000, 16_000] {
        shapes.push((format!("heads of {head} B"), Shape { head, ..SMALL }));
    }
    let mut table = Table::new(
        "growth: the userspace stages alone",
        &["case", "ns per exchange", "to the first", "allocations", "held MiB"],
    );
    let mut first = None;
    for (name, shape) in shapes.iter().filter(|(name, _)| name.contains(only)) {
        // Half of them only warm up.
        let exchanges = 2 * if quick { FEWER } else { EXCHANGES.max(shape.connections) };
        let case = Case::live(name.clone(), &records(*shape, exchanges))?;
        let (mut times, mut allocated, mut held) = (Vec::new(), 0, 0);
        for _ in 0..rounds {
            let before = counting::held();
            let (mut pipeline, mut lines) = (case.pipeline(), Vec::new());
            let mut push = |record| {
                pipeline.push(record, &mut lines);
                lines.clear();
            };
            case.warm(&mut push)?;
            let (begun, allocations) = (Instant::now(), counting::allocations());
            case.hot(&mut push)?;
            times.push(begun.elapsed().as_nanos() as f64 / case.exchanges as f64);
            allocated = counting::allocations() - allocations;
            held = counting::held().saturating_sub(before);
        }
        let spread = Spread::of(times);
        let ratio = spread.median / *first.get_or_insert(spread.median);
        let (allocations, held) = (allocated as f64 / case.exchanges as f64, held as f64 / f64::from(1 << 20));
        table.row(
            vec![
                name.clone(),
                format!("{:.0} [{:.0}-{:.0}]", spread.median, spread.min, spread.max),
                format!("{ratio:.2}"),
                format!("{allocations:.2}"),
                format!("{held:.1}"),
            ],
            json!({ "case": name, "ns": spread, "to_first": ratio, "allocations": allocations, "held_mib": held }),
        );
    }
    Ok(table)
}

/// Requests to the connections in turn, each with a response and a call of its process.
fn records(shape: Shape, exchanges: u64) -> Vec<Record> {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const CALLS: u64 = 1 << 32;
    let mut script = Script::new();
    for n in 0..exchanges / 2 {
        let connection = n % shape.connections;
        let process = connection % shape.processes;
        script.process = ProcessId { tgid: 100 + process as u32, start_ns: 1 };
        script.tid = 100 + process as u32;
        script.time += 1_000_000;
        let context =
            |span: u64| format!("traceparent: 00-{:032x}-{:016x}-01\r\n", u128::from(n) + (1 << 100), span + 1);
        let start = format!("POST /cart HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n{}", shape.body, context(0));
        let padding = (shape.head as usize).saturating_sub(start.len() + 11);
        let padding = if padding > 0 { format!("x-pad: {}\r\n", "p".repeat(padding)) } else { String::new() };
        script.recv(connection, format!("{start}{padding}\r\n"));
        script.skip(connection, Direction::Recv, shape.body);
        script.send(CALLS + connection, format!("GET /prices HTTP/1.1\r\nHost: backend:8080\r\n{}\r\n", context(1)));
        script.recv(CALLS + connection, OK);
        script.send(connection, OK);
        if n % 1000 == 999 {
            script.tick();
        }
    }
    script.records
}
