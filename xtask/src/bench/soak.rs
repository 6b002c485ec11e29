//! What memory does over time: nginx with ever new traces and paths, of which it answers three in five itself, passes one on
//! and loses the context of one.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use auditor_tests::fleet::Nginx;
use auditor_tests::kernel::resident_kib;
use auditor_tests::process::Service;
use serde_json::json;

use super::contender::Contender;
use super::load;
use super::table::Table;

const CLIENTS: u32 = 4;
const CONNECTIONS: usize = 400;
/// Requests a second.
const RATE: u32 = 2000;
const PATHS: u32 = 100_000;
/// How often memory is looked at.
const LOOKS: u32 = 10;

/// Goes on for so long.
pub(super) fn run(time: Duration) -> Result<Table> {
    let backend = Service::workload("backend", &[]);
    let nginx = Nginx::start_with(&backend.addr, |config| {
        let lost = "location /lost {\n proxy_pass http://backend;\n proxy_http_version 1.1;\n \
                    proxy_set_header Connection \"\";\n proxy_set_header traceparent \"\";\n}\n";
        let own = "location /own {\n return 200 \"ok\\n\";\n}\n";
        config.replace("location = /static", &format!("{lost}{own}location = /static"))
    });
    let mut table = Table::new(
        "soak: the auditor's memory, nginx at 2,000 requests/s over 400 connections, 100,000 paths, one context in five lost",
        &["after s", "resident MiB", "peak MiB", "cpu s/M requests", "records", "lost"],
    );
    let running = Contender::Auditor("sock", &[]).start(&nginx.pids())?;
    let pid = running.pid().context("it is a process")?;
    let mut connections = load::hold(&nginx.addr, "/static", CONNECTIONS)?;
    let (begin, gap) = (Instant::now(), Duration::from_secs(1) * CLIENTS / RATE);
    let requests = std::thread::scope(|scope| -> Result<usize> {
        let clients: Vec<_> = (0..CLIENTS)
            .zip(connections.chunks_mut(CONNECTIONS / CLIENTS as usize))
            .map(|(client, streams)| {
                let first = begin + gap * client / CLIENTS;
                scope.spawn(move || load::paced(streams, first, gap, begin + time, |turn| path(client, turn)))
            })
            .collect();
        for look in 1..=LOOKS {
            std::thread::sleep((begin + time * look / LOOKS).saturating_duration_since(Instant::now()));
            let (after, resident) = (begin.elapsed().as_secs(), resident_kib(pid) as f64 / 1024.0);
            let cells = vec![after.to_string(), format!("{resident:.1}")];
            table.row(cells, json!({ "after_seconds": after, "resident_mib": resident }));
        }
        let latencies = clients.into_iter().map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?);
        latencies.map(|latencies| Ok(latencies?.len())).sum()
    })?;
    let cost = running.stop();
    let (peak, cpu) = (cost.peak_kib as f64 / 1024.0, cost.cpu_seconds / requests.max(1) as f64 * 1e6);
    table.row(
        vec![
            "in all".to_owned(),
            String::new(),
            format!("{peak:.1}"),
            format!("{cpu:.2}"),
            cost.records.to_string(),
            cost.lost.to_string(),
        ],
        json!({
            "requests": requests, "peak_mib": peak, "cpu_seconds_per_million": cpu, "records": cost.records,
            "lost": cost.lost,
        }),
    );
    Ok(table)
}

/// What a client asks for.
fn path(client: u32, turn: u32) -> String {
    let place = ["own", "kept", "own", "lost", "own"].get(turn as usize % 5).copied().unwrap_or_default();
    // Each client goes through all of them.
    let number = client.wrapping_mul(PATHS / CLIENTS).wrapping_add(turn) % PATHS;
    format!("/{place}/{number}")
}
