//! (b) to (d) What services lose: nginx that answers by itself, nginx in front of a service, Node, Python; each under as
//! much load as it takes, and at a fixed rate.

use std::time::Duration;

use anyhow::Result;
use auditor_tests::fleet::{Nginx, interpreted};
use auditor_tests::process::Service;
use auditor_tests::socket::Addr;
use serde_json::json;

use super::contender::{ALL, Contender, Cost};
use super::load::{self, Rate, Seen};
use super::peers;
use super::table::{Spread, Table};

/// A service with all that it needs.
struct Scene {
    name: &'static str,
    addr: Addr,
    path: &'static str,
    pids: Vec<u32>,
    /// The heads of a request: received, sent on, and their responses.
    heads: u64,
    /// Connections that are open all the time, each with a request behind it.
    live: usize,
    rates: [Rate; 2],
    _nginx: Option<Nginx>,
    _services: Vec<Service>,
}

impl Scene {
    fn nginx_static() -> Self {
        Self::nginx(|config| config)
    }

    fn nginx(change: impl FnOnce(String) -> String) -> Self {
        let backend = Service::workload("backend", &[]);
        let nginx = Nginx::start_with(&backend.addr, change);
        Self {
            name: "nginx, static",
            addr: nginx.addr.clone(),
            path: "/static",
            pids: nginx.pids(),
            heads: 2,
            live: 0,
            rates: [Rate::Most(32), Rate::Fixed(5000)],
            _nginx: Some(nginx),
            _services: vec![backend],
        }
    }

    /// The same with as many other connections as a busy node has.
    fn nginx_connections() -> Self {
        let nginx = Self::nginx(|config| {
            let config = config.replace("worker_connections 512", "worker_connections 12000");
            config.replace("events {", "worker_rlimit_nofile 12000;\nevents {")
        });
        Self { name: "nginx, 10,000 connections", live: 10_000, ..nginx }
    }

    fn nginx_proxy() -> Self {
        Self {
            name: "nginx, proxy",
            path: "/cart",
            heads: 4,
            rates: [Rate::Most(32), Rate::Fixed(2000)],
            ..Self::nginx_static()
        }
    }

    fn interpreted(name: &'static str, args: [&str; 3], rates: [Rate; 2]) -> Self {
        let backend = Service::workload("backend", &[]);
        let port = backend.addr.port().to_string();
        let [interpreter, file, client] = args;
        let service = interpreted(interpreter, file, &["forward", client, &port]);
        let (addr, pids) = (service.addr.clone(), vec![service.pid()]);
        let services = vec![service, backend];
        Self { name, addr, path: "/cart", pids, heads: 4, live: 0, rates, _nginx: None, _services: services }
    }
}

/// A duty cycle, and its period in seconds.
const TURNS: (&[&str], u64) = (&["--duty-cycle", "2s/12s"], 12);
/// As it is by default: for how long a process that calls nobody is looked at and left alone, in seconds.
const RESTS: (&[&str], u64) = (&[], 5 + 60);

/// Measures the scenes whose names contain `only`.
pub(super) fn run(rounds: u32, seconds: u64, only: &str, wanted: &[String]) -> Result<Table> {
    let mut contenders = vec![Contender::Nothing, Contender::Empty("sock")];
    contenders.extend(["sock", "syscall"].map(|hooks| Contender::Auditor(hooks, ALL)));
    // Whole periods, or it is chance how much of them is looked at.
    let whole = [TURNS, RESTS].into_iter().filter(|(_, period)| seconds.is_multiple_of(*period));
    contenders.extend(whole.map(|(options, _)| Contender::Auditor("sock", options)));
    contenders.extend(peers::installed(wanted).into_iter().map(Contender::Peer));
    let time = Duration::from_secs(seconds);
    let mut table = Table::new(
        "services: what they and their clients see, to the same without anything beside",
        &[
            "service",
            "load",
            "beside",
            "throughput",
            "p50",
            "p99",
            "cpu s/M requests",
            "peak MiB",
            "records",
            "KiB",
            "lost",
        ],
    );
    // Scenes start when they are due: what one needs is gone before the next.
    let scenes: [fn() -> Scene; 5] = [
        Scene::nginx_static,
        Scene::nginx_connections,
        Scene::nginx_proxy,
        || Scene::interpreted("node", ["node", "server.js", "http"], [Rate::Most(16), Rate::Fixed(500)]),
        || Scene::interpreted("python", ["python3", "server.py", "http.client"], [Rate::Most(8), Rate::Fixed(100)]),
    ];
    for scene in scenes {
        let scene = scene();
        if scene.name.contains(only) {
            scene.rates.iter().try_for_each(|rate| measure(&scene, *rate, &contenders, (rounds, time), &mut table))?;
        }
    }
    Ok(table)
}

fn measure(
    scene: &Scene,
    rate: Rate,
    contenders: &[Contender],
    (rounds, time): (u32, Duration),
    table: &mut Table,
) -> Result<()> {
    rate.run(&scene.addr, scene.path, Duration::from_secs(1))?;
    let mut all: Vec<Vec<(Seen, Cost)>> = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for (contender, results) in contenders.iter().zip(&mut all) {
            eprintln!("  {}, {}, round {} of {rounds}: {}", scene.name, rate.name(), round + 1, contender.name());
            let running = contender.start(&scene.pids)?;
            let live = load::hold(&scene.addr, scene.path, scene.live)?;
            let seen = rate.run(&scene.addr, scene.path, time)?;
            results.push((seen, running.stop()));
            drop(live);
        }
    }
    let alone: Vec<Seen> = all.first().into_iter().flatten().map(|(seen, _)| *seen).collect();
    for (contender, results) in contenders.iter().zip(&all) {
        // Round by round: what changes slowly changes both.
        let ratio = |of: fn(&Seen) -> f64| {
            Spread::of(results.iter().zip(&alone).map(|((seen, _), alone)| of(seen) / of(alone)).collect())
        };
        let cost =
            |of: fn(&Seen, &Cost) -> f64| Spread::of(results.iter().map(|(seen, cost)| of(seen, cost)).collect());
        let (throughput, p50, p99) = (ratio(|seen| seen.per_second), ratio(|seen| seen.p50), ratio(|seen| seen.p99));
        let cpu = cost(|seen, cost| cost.cpu_seconds / seen.requests.max(1) as f64 * 1e6);
        let peak = cost(|_, cost| cost.peak_kib as f64 / 1024.0);
        let sum = |of: fn(&Cost) -> u64| results.iter().map(|(_, cost)| of(cost)).sum::<u64>();
        let requests: u64 = results.iter().map(|(seen, _)| seen.requests).sum();
        let (records, bytes, lost) = (sum(|cost| cost.records), sum(|cost| cost.bytes), sum(|cost| cost.lost));
        let text = |spread: Spread| format!("{:.3} [{:.3}-{:.3}]", spread.median, spread.min, spread.max);
        table.row(
            vec![
                scene.name.to_owned(),
                rate.name(),
                contender.name(),
                text(throughput),
                text(p50),
                text(p99),
                format!("{:.2}", cpu.median),
                format!("{:.1}", peak.max),
                records.to_string(),
                (bytes / 1024).to_string(),
                lost.to_string(),
            ],
            json!({
                "service": scene.name, "load": rate.name(), "beside": contender.name(), "rounds": results,
                "throughput_ratio": throughput, "p50_ratio": p50, "p99_ratio": p99, "cpu_seconds_per_million": cpu,
                "peak_mib": peak, "requests": requests, "records": records, "records_due": requests * scene.heads,
                "bytes": bytes, "lost": lost,
            }),
        );
    }
    Ok(())
}
