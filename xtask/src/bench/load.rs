//! Load on a service: as much as it takes (wrk), or so many requests a second, whatever it takes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use auditor_tests::http::TraceParent;
use auditor_tests::socket::Addr;
use serde::Serialize;

/// Connections of the fixed rate: more than are busy at once, so that a slow answer delays no other request.
const CONNECTIONS: u32 = 16;

/// How much.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rate {
    /// Over so many connections that are never idle.
    Most(u32),
    /// Requests a second.
    Fixed(u32),
}

/// What the clients saw.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Seen {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Microseconds.
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Rate {
    pub(super) fn name(self) -> String {
        match self {
            Self::Most(connections) => format!("{connections} connections"),
            Self::Fixed(rate) => format!("{rate}/s"),
        }
    }

    /// Puts the load on for so long.
    pub(super) fn run(self, addr: &Addr, path: &str, time: Duration) -> Result<Seen> {
        match self {
            Self::Most(connections) => most(addr, path, connections, time),
            Self::Fixed(rate) => fixed(addr, path, rate, time),
        }
    }
}

fn most(addr: &Addr, path: &str, connections: u32, time: Duration) -> Result<Seen> {
    let threads = connections.min(2);
    let output = Command::new("wrk")
        .args(["--latency", "--threads", &threads.to_string(), "--connections", &connections.to_string()])
        .args(["--duration", &format!("{}s", time.as_secs().max(1))])
        .args(["--header", &format!("traceparent: {}", TraceParent::new())])
        .arg(format!("http://{addr}{path}"))
        .output()
        .context("wrk does not start; install it (wrk)")?;
    let report = String::from_utf8_lossy(&output.stdout);
    let after = |name: &str| report.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let requests = report.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let per_second = after("Requests/sec:").and_then(|rate| rate.parse().ok());
    let quantile = |name| after(name).and_then(micros);
    match (requests, per_second, quantile("50%"), quantile("99%")) {
        (Some(requests), Some(per_second), Some(p50), Some(p99)) => Ok(Seen { requests, per_second, p50, p99 }),
        _ => bail!("wrk says {report}"),
    }
}

/// `12.34us`, `1.20ms`, `1.02s`
fn micros(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    units.iter().find_map(|(unit, micros)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * micros))
}

/// Opens so many connections, and makes a request on each.
pub(super) fn hold(addr: &Addr, path: &str, connections: usize) -> Result<Vec<TcpStream>> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes to, then reads from a structure of its own layout.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
    let mut answer = vec![0; 16 * 1024];
    (0..connections)
        .map(|number| {
            let mut stream = TcpStream::connect(("127.0.0.1", addr.port()))
                .with_context(|| format!("connection {number} of {connections} (see ulimit -n)"))?;
            stream.set_nodelay(true)?;
            let context = TraceParent::new();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\ntraceparent: {context}\r\n\r\n")?;
            read_answer(&mut stream, &mut answer)?;
            Ok(stream)
        })
        .collect()
}

/// A request is late from when it was due, not from when there was a connection for it.
fn fixed(addr: &Addr, path: &str, rate: u32, time: Duration) -> Result<Seen> {
    let begin = Instant::now() + Duration::from_millis(50);
    let gap = Duration::from_secs(1) * CONNECTIONS / rate.max(1);
    let client = |number: u32| -> Result<Vec<f64>> {
        let stream = TcpStream::connect(("127.0.0.1", addr.port()))?;
        stream.set_nodelay(true)?;
        paced(&mut [stream], begin + gap * number / CONNECTIONS, gap, begin + time, |_| path.to_owned())
    };
    let mut latencies = std::thread::scope(|scope| -> Result<Vec<f64>> {
        let clients: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(move || client(number))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(all)
    })?;
    latencies.sort_by(f64::total_cmp);
    let quantile = |of: f64| latencies.get((latencies.len() as f64 * of) as usize).copied().unwrap_or(f64::NAN);
    let requests = latencies.len() as u64;
    Ok(Seen { requests, per_second: requests as f64 / time.as_secs_f64(), p50: quantile(0.5), p99: quantile(0.99) })
}

/// Requests on these connections in turn, one every `gap` from `first` to `end`; how many microseconds after it was due each
/// was answered.
pub(super) fn paced(
    streams: &mut [TcpStream],
    first: Instant,
    gap: Duration,
    end: Instant,
    path: impl Fn(u32) -> String,
) -> Result<Vec<f64>> {
    let (mut answer, mut latencies) = (vec![0; 16 * 1024], Vec::new());
    for turn in 0.. {
        let due = first + gap * turn;
        if due > end {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let at = turn as usize % streams.len().max(1);
        let stream = streams.get_mut(at).context("there is a connection")?;
        let (path, context) = (path(turn), TraceParent::new());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\ntraceparent: {context}\r\n\r\n")?;
        read_answer(stream, &mut answer)?;
        latencies.push(due.elapsed().as_nanos() as f64 / 1e3);
    }
    Ok(latencies)
}

/// Reads a response with `Content-Length` or chunks. As long as nothing else is asked, all that comes belongs to it.
fn read_answer(stream: &mut TcpStream, answer: &mut [u8]) -> Result<()> {
    let mut length = 0;
    loop {
        let read = stream.read(answer.get_mut(length..).unwrap_or_default())?;
        if read == 0 {
            bail!("no whole answer");
        }
        length += read;
        let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let whole = match head.split_once("content-length: ").map(|(_, rest)| rest.lines().next().unwrap_or("0")) {
            Some(length) => body.len() >= length.trim().parse()?,
            None => body.ends_with("0\r\n\r\n"),
        };
        if whole {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_wrk() {
        assert_eq!(
            [micros("12.5us"), micros("1.5ms"), micros("2s"), micros("x")],
            [Some(12.5), Some(1500.0), Some(2e6), None]
        );
    }
}
