//! (a) What one system call costs: getppid, and a message sent and received, with and without an HTTP head in it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use super::bpf;
use super::contender::{ALL, Contender};
use super::table::{Spread, Table};

const CONTENDERS: [Contender; 5] = [
    Contender::Nothing,
    Contender::Empty("sock"),
    Contender::Empty("syscall"),
    Contender::Auditor("sock", ALL),
    Contender::Auditor("syscall", ALL),
];
/// Operations of a round.
const OPERATIONS: u32 = 100_000;
const FEWER: u32 = 5_000;
/// A round is many turns of so few operations that they fit between two interruptions. The fastest counts: what else the
/// machine does only adds.
const TURN: u32 = 50;

/// What is done over and over.
struct Operation {
    name: &'static str,
    run: fn(&mut Sockets, u32) -> Result<()>,
}

const OPERATIONS_MEASURED: [Operation; 10] = [
    Operation { name: "getppid", run: getppid },
    Operation { name: "unix 200 B", run: |sockets, n| transfer(&mut sockets.unix, &[b'.'; 200], n) },
    Operation { name: "unix 16 KB", run: |sockets, n| transfer(&mut sockets.unix, &[b'.'; 16 << 10], n) },
    Operation { name: "tcp 200 B", run: |sockets, n| transfer(&mut sockets.tcp, &[b'.'; 200], n) },
    Operation { name: "tcp 16 KB", run: |sockets, n| transfer(&mut sockets.tcp, &[b'.'; 16 << 10], n) },
    Operation { name: "tcp 200 B, answered", run: |sockets, n| answered(&mut sockets.talk, &[b'.'; 200], n) },
    Operation { name: "tcp 16 KB, answered", run: |sockets, n| answered(&mut sockets.talk, &[b'.'; 16 << 10], n) },
    Operation { name: "tcp 200 B of TLS, answered", run: |sockets, n| answered(&mut sockets.tls, &TLS_RECORD, n) },
    Operation { name: "tcp request", run: |sockets, n| exchange(&mut sockets.http, n) },
    Operation { name: "tcp 16 KB in a body", run: |sockets, n| transfer(&mut sockets.body, &[b'.'; 16 << 10], n) },
];

/// As one looks to who sees only the beginning: application data, TLS 1.2 or 1.3.
const TLS_RECORD: [u8; 200] = {
    let mut record = [b'.'; 200];
    (record[0], record[1], record[2]) = (0x17, 3, 3);
    record
};

/// Connections to ourselves.
struct Sockets {
    unix: (UnixStream, UnixStream),
    /// Only from one end to the other, as a body goes.
    tcp: (TcpStream, TcpStream),
    /// To and fro, as other protocols speak.
    talk: (TcpStream, TcpStream),
    tls: (TcpStream, TcpStream),
    http: (TcpStream, TcpStream),
    /// In a request body that does not end.
    body: (TcpStream, TcpStream),
}

impl Sockets {
    fn open() -> Result<Self> {
        let mut body = tcp()?;
        let head = b"POST /upload HTTP/1.1\r\nHost: bench\r\nContent-Length: 1000000000000\r\n\r\n";
        transfer(&mut body, head, 1)?;
        Ok(Self { unix: UnixStream::pair()?, tcp: tcp()?, talk: tcp()?, tls: tcp()?, http: tcp()?, body })
    }
}

fn tcp() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

fn getppid(_: &mut Sockets, operations: u32) -> Result<()> {
    for _ in 0..operations {
        // SAFETY: a system call without arguments.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
    Ok(())
}

fn transfer((one, other): &mut (impl Write, impl Read), message: &[u8], operations: u32) -> Result<()> {
    let mut buffer = vec![0; message.len()];
    for _ in 0..operations {
        one.write_all(message)?;
        other.read_exact(&mut buffer)?;
    }
    Ok(())
}

fn answered((one, other): &mut (TcpStream, TcpStream), message: &[u8], operations: u32) -> Result<()> {
    let mut buffer = vec![0; message.len()];
    for _ in 0..operations {
        one.write_all(message)?;
        other.read_exact(&mut buffer)?;
        other.write_all(message)?;
        one.read_exact(&mut buffer)?;
    }
    Ok(())
}

/// A request and its response: two messages each way.
fn exchange((client, server): &mut (TcpStream, TcpStream), operations: u32) -> Result<()> {
    const REQUEST: &[u8] = b"GET /cart HTTP/1.1\r\nHost: shop\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
    let mut buffer = [0; 256];
    for _ in 0..operations {
        client.write_all(REQUEST)?;
        server.read_exact(buffer.get_mut(..REQUEST.len()).unwrap_or_default())?;
        server.write_all(RESPONSE)?;
        client.read_exact(buffer.get_mut(..RESPONSE.len()).unwrap_or_default())?;
    }
    Ok(())
}

pub(super) fn run(rounds: u32, quick: bool, only: &str) -> Result<Table> {
    let operations = if quick { FEWER } else { OPERATIONS };
    let measured: Vec<_> = OPERATIONS_MEASURED.iter().filter(|operation| operation.name.contains(only)).collect();
    let mut times = vec![vec![Vec::new(); CONTENDERS.len()]; measured.len()];
    for round in 0..rounds {
        for (at, contender) in CONTENDERS.iter().enumerate() {
            eprintln!("  round {} of {rounds}: {}", round + 1, contender.name());
            let running = contender.start(&[std::process::id()])?;
            // Opened now, as connections of a service are after the auditor began.
            let mut sockets = Sockets::open()?;
            for (operation, times) in measured.iter().zip(&mut times) {
                times.get_mut(at).context("there is a place for each")?.push(fastest(
                    operation,
                    &mut sockets,
                    operations,
                )?);
            }
            running.stop();
        }
    }
    let mut table = Table::new(
        "syscalls: ns per operation (send and receive; what is answered, twice)",
        &["operation", "beside", "ns", "to nothing", "to empty probes"],
    );
    for (operation, times) in measured.iter().zip(times) {
        let spreads: Vec<_> = times.into_iter().map(Spread::of).collect();
        let ratio = |at: usize, to: usize| match (spreads.get(at), spreads.get(to)) {
            (Some(a), Some(b)) => a.median / b.median,
            _ => f64::NAN,
        };
        for (at, (contender, spread)) in CONTENDERS.iter().zip(&spreads).enumerate() {
            // The auditor with hooks of one kind is to be compared with empty probes of that kind.
            let floor = at.checked_sub(2).filter(|floor| *floor > 0).map(|floor| ratio(at, floor));
            table.row(
                vec![
                    operation.name.to_owned(),
                    contender.name(),
                    format!("{:.0} [{:.0}-{:.0}]", spread.median, spread.min, spread.max),
                    format!("{:.3}", ratio(at, 0)),
                    floor.map_or_else(String::new, |ratio| format!("{ratio:.3}")),
                ],
                json!({ "operation": operation.name, "beside": contender.name(), "ns": spread,
                        "to_nothing": ratio(at, 0), "to_empty": floor }),
            );
        }
    }
    Ok(table)
}

/// Nanoseconds an operation.
fn fastest(operation: &Operation, sockets: &mut Sockets, operations: u32) -> Result<f64> {
    (operation.run)(sockets, TURN)?;
    let mut best = f64::INFINITY;
    for _ in 0..(operations / TURN).max(1) {
        let begun = Instant::now();
        (operation.run)(sockets, TURN)?;
        best = best.min(begun.elapsed().as_nanos() as f64 / f64::from(TURN));
    }
    Ok(best)
}

/// What the kernel says that the programs took, run by run: less noise than throughput has.
pub(super) fn programs(quick: bool, only: &str) -> Result<Table> {
    const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
    let mut table =
        Table::new("programs: ns per run, as the kernel counts them", &["operation", "program", "runs", "ns"]);
    let before = std::fs::read_to_string(SWITCH).context("the kernel keeps no statistics of programs")?;
    std::fs::write(SWITCH, "1").context(SWITCH)?;
    let measured = OPERATIONS_MEASURED.iter().filter(|operation| operation.name.contains(only));
    let result = measured.flat_map(|operation| CONTENDERS.map(|contender| (operation, contender))).try_for_each(
        |(operation, contender)| {
            if !matches!(contender, Contender::Auditor(..)) {
                return Ok(());
            }
            let running = contender.start(&[std::process::id()])?;
            let mut sockets = Sockets::open()?;
            let pid = running.pid().context("it has no process")?;
            let begun = bpf::runs(pid)?;
            (operation.run)(&mut sockets, if quick { FEWER } else { OPERATIONS })?;
            for (program, (time, runs)) in bpf::runs(pid)? {
                let (earlier, before) = begun.get(&program).copied().unwrap_or_default();
                let runs = runs - before;
                if runs > 100 {
                    let each = (time - earlier) as f64 / runs as f64;
                    let name = format!("{}: {program}", contender.name());
                    table.row(
                        vec![operation.name.to_owned(), name.clone(), runs.to_string(), format!("{each:.0}")],
                        json!({ "operation": operation.name, "program": name, "runs": runs, "ns": each }),
                    );
                }
            }
            running.stop();
            Ok(())
        },
    );
    std::fs::write(SWITCH, before.trim()).context(SWITCH)?;
    result.map(|()| table)
}
