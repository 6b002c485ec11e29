//! The numbers in names: what there is, and where it comes from.
//!
//! Every label has few values: outcomes, formats, codes, stages, tables, outputs. What is known beforehand is there from
//! the start with 0, so that a rate sees the first occurrence.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use auditor::audit::{Code, Outcome, rules};
use auditor::pipeline::Cause;
use auditor::report::NO_FORMAT;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::{Registry, Unit};

use super::OutputState;
use super::board::{Board, Capture, Snapshot};
use super::families::{Families, Labels};
use super::negotiate::Format;
use super::own::Own;

/// Name without `_total`, what it is, and the stage and name that `stats` has it under.
const COUNTERS: [(&str, &str, &str, &str); 16] = [
    ("auditor_kernel_operations", "Socket operations of selected processes", "kernel", "operations"),
    ("auditor_kernel_operation_bytes", "Bytes of these operations", "kernel", "bytes"),
    ("auditor_kernel_heads", "Operations that started like a message head", "kernel", "heads"),
    ("auditor_kernel_truncated_heads", "Heads too long to be followed to their end", "kernel", "truncated"),
    ("auditor_kernel_records", "Records that the kernel side delivered", "kernel", "records"),
    ("auditor_kernel_captured_bytes", "Bytes of heads in these records", "kernel", "bytes_captured"),
    ("auditor_records", "Records that the daemon read", "stream", "records"),
    ("auditor_records_reordered", "Records that had to wait for an earlier one", "stream", "reordered"),
    ("auditor_records_missing", "Records that never came, by the holes in their numbering", "stream", "lost"),
    ("auditor_http_heads", "Message heads, of requests and responses", "http", "heads"),
    ("auditor_http_requests_observed", "Requests seen, received and sent", "exchange", "requests"),
    ("auditor_http_responses_observed", "Final responses seen, sent and received", "exchange", "responses"),
    ("auditor_http_requests_ignored", "Requests that are no hops: telemetry, health checks", "audit", "ignored"),
    ("auditor_inbound_requests", "Requests received by services, but for those ignored", "audit", "requests"),
    (
        "auditor_inbound_requests_with_context",
        "Requests received by services with a valid trace context",
        "audit",
        "requests_with_context",
    ),
    ("auditor_inbound_requests_expired", "Requests that got no response for ten minutes", "pair", "requests_expired"),
];

/// Label and place in `stats` of what is lost, each event in one of them.
const LOST: [(&str, &str, &str); 5] = [
    ("ring_buffer", "kernel", "lost_ring_full"),
    ("cpu_buffer", "kernel", "lost_busy"),
    ("socket_table", "kernel", "lost_socket_table"),
    ("user_memory", "kernel", "lost_unreadable"),
    ("reorder", "stream", "late"),
];

/// Label and place in `stats` of bytes that could not be used.
const DISCARDED: [(&str, &str); 5] = [
    ("lookalike", "lookalikes"),
    ("not_http", "not_http"),
    ("unparsable", "unparsable"),
    ("gap", "gaps"),
    ("partial_head", "partial_heads"),
];

/// The text of everything.
///
/// # Errors
/// Never, but the library says so.
pub(super) fn render(format: Format, board: &Board) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape {
        capture: Arc::clone(&board.capture),
        snapshot: board.pinned().snapshot,
        own: Own::now(),
        started: board.started,
    }));
    registry.register_with_unit(
        "auditor_processing",
        "How long the thread that captures was busy at a time, with a batch of records or with the upkeep of a second",
        Unit::Seconds,
        board.busy.clone(),
    );
    let mut out = String::with_capacity(32 << 10);
    match format {
        Format::OpenMetrics => text::encode(&mut out, &registry)?,
        Format::Text => prometheus_text::encode(&mut out, &registry)?,
    }
    Ok(out)
}

#[derive(Debug)]
struct Scrape {
    capture: Arc<Capture>,
    snapshot: Option<Arc<Snapshot>>,
    own: Own,
    started: SystemTime,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families(&mut encoder);
        families.info("auditor_build", "What runs here", &[("version", env!("CARGO_PKG_VERSION"))])?;
        process(&self.own, self.started, &mut families)?;
        attached(&self.capture, &mut families)?;
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        for (name, help, stage, counter) in COUNTERS {
            families.counters(name, help, [(Labels::new(), snapshot.stat(stage, counter))])?;
        }
        stages(snapshot, &mut families)?;
        audit(snapshot, &mut families)?;
        tables(snapshot, &mut families)?;
        outputs(snapshot, &mut families)?;
        moments(snapshot, &mut families)
    }
}

fn process(own: &Own, started: SystemTime, families: &mut Families<'_, '_>) -> fmt::Result {
    families.seconds("process_cpu_seconds", "Processor time spent, user and system", own.cpu.as_secs_f64())?;
    families.gauge("process_start_time_seconds", "When the process started, Unix time", unix(started))?;
    let gauges = [
        ("process_resident_memory_bytes", "Resident memory", own.resident_bytes),
        ("process_virtual_memory_bytes", "Virtual memory", own.virtual_bytes),
        ("process_threads", "Threads", own.threads),
        ("process_open_fds", "Open file descriptors", own.open_fds),
        ("process_max_fds", "Most file descriptors that may be open", own.max_fds),
    ];
    for (name, help, value) in gauges {
        families.gauges(name, help, value.map(|value| (Labels::new(), value)))?;
    }
    Ok(())
}

fn attached(capture: &Capture, families: &mut Families<'_, '_>) -> fmt::Result {
    let how = [("hooks", capture.hooks), ("kernel", &capture.kernel)];
    families.info("auditor_capture", "How it is attached", &how)?;
    let size = [(Labels::new(), capture.ring_bytes)];
    families.gauges("auditor_ring_buffer_size_bytes", "Size of the buffer between kernel and daemon", size)?;
    let bounds = capture.bounds.iter().map(|(table, limit)| (vec![("table", *table)], *limit));
    families.gauges("auditor_table_limit_entries", "Most entries of a table", bounds)
}

fn stages(snapshot: &Snapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let lost = LOST.map(|(label, stage, name)| (vec![("stage", label)], snapshot.stat(stage, name)));
    families.counters("auditor_events_lost", "What was lost on its way from the kernel, by where", lost)?;
    let discarded = DISCARDED.map(|(label, name)| (vec![("reason", label)], snapshot.stat("http", name)));
    families.counters(
        "auditor_http_discarded",
        "Times that bytes were no message head where one was due",
        discarded,
    )?;
    let unclear = ["lost", "truncated"]
        .map(|reason| (vec![("reason", reason)], snapshot.stat("exchange", &format!("requests_{reason}"))));
    families.counters("auditor_http_requests_unclear", "Requests whose head was not seen whole", unclear)
}

fn audit(snapshot: &Snapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let totals = &snapshot.totals;
    let mut hops: BTreeMap<(Outcome, &str), u64> = BTreeMap::new();
    for outcome in Outcome::ALL {
        hops.insert((outcome, if outcome == Outcome::Absent { NO_FORMAT } else { "w3c" }), 0);
    }
    hops.extend(totals.settled.iter().map(|(key, count)| (*key, *count)));
    let hops =
        hops.into_iter().map(|((outcome, format), n)| (vec![("outcome", outcome.as_str()), ("format", format)], n));
    families.counters(
        "auditor_hops",
        "Calls whose outcome is certain or will not become so, by what became of the trace",
        hops,
    )?;
    let suspected = [(Labels::new(), totals.suspected)];
    families.gauges("auditor_hops_suspected", "Calls that look faulty without certainty", suspected)?;
    let mut findings: BTreeMap<(&str, &str), u64> = rules::all()
        .filter(|code| !is_blind_spot(*code))
        .map(|code| ((code.as_str(), code.severity().as_str()), 0))
        .collect();
    findings.extend(totals.findings.iter().map(|((code, severity), n)| ((code.as_str(), severity.as_str()), *n)));
    let findings = findings.into_iter().map(|((code, severity), n)| (vec![("code", code), ("severity", severity)], n));
    families.counters("auditor_findings", "Occurrences of findings, written or not", findings)?;
    let blind = rules::blind_spots::RULES.iter().map(|rule| rule.name);
    let blind = blind.map(|code| (vec![("code", code)], snapshot.blind_spots.get(code).copied().unwrap_or(0)));
    families.counters("auditor_blind_spots", "Processes of which something could not be audited, by why", blind)
}

fn is_blind_spot(code: Code) -> bool {
    rules::blind_spots::RULES.iter().any(|rule| rule.name == code.as_str())
}

fn tables(snapshot: &Snapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let of = |stage: &str| snapshot.stats.get(stage).into_iter().flatten();
    let connections = [("connections", snapshot.stat("exchange", "connections"))];
    let sizes = of("tables").map(|(table, size)| (table.as_str(), *size)).chain(connections);
    let sizes = sizes.map(|(table, size)| (vec![("table", table)], size));
    families.gauges("auditor_table_entries", "Entries of a table", sizes)?;
    let of_exchange =
        ["connections", "exchanges"].map(|table| (table, snapshot.stat("exchange", &format!("evicted_{table}"))));
    let evicted = of("evicted").map(|(table, count)| (table.as_str(), *count)).chain(of_exchange);
    let evicted = evicted.map(|(table, count)| (vec![("table", table)], count));
    families.counters("auditor_table_evictions", "Entries forgotten for want of room", evicted)?;
    let held = [(Labels::new(), snapshot.stat("exchange", "held_bytes"))];
    families.gauges("auditor_connections_held_bytes", "Bytes that wait for the rest of their message", held)
}

fn outputs(snapshot: &Snapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let of = |value: fn(&OutputState) -> u64| {
        snapshot.outputs.iter().map(move |(name, output)| (vec![("sink", name.as_str())], value(output)))
    };
    families.gauges("auditor_sink_up", "Whether an output takes lines", of(|output| output.up.into()))?;
    families.counters("auditor_sink_written", "Lines that an output took", of(|output| output.counters.written))?;
    let dropped = "Lines that found no room in the queue of an output, or were given up";
    families.counters("auditor_sink_dropped", dropped, of(|output| output.counters.dropped))?;
    families.counters("auditor_sink_errors", "Failed attempts to write", of(|output| output.counters.errors))?;
    families.counters("auditor_sink_retries", "Attempts after a failure", of(|output| output.counters.retried))?;
    families.gauges("auditor_sink_queued_lines", "Lines that wait", of(|output| output.counters.queue_len))?;
    let degraded = Cause::ALL.map(|cause| (vec![("cause", cause.as_str())], snapshot.degraded.contains(&cause).into()));
    families.gauges("auditor_degraded", "Whether the audit is worth less than it should be, by why", degraded)
}

fn moments(snapshot: &Snapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    families.gauge(
        "auditor_last_tick_timestamp_seconds",
        "When these numbers were taken, Unix time",
        unix(snapshot.time),
    )?;
    match snapshot.last_record {
        None => Ok(()),
        Some(time) => families.gauge(
            "auditor_last_record_timestamp_seconds",
            "When the latest record was made in the kernel, Unix time",
            unix(time),
        ),
    }
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use auditor::audit::Severity;
    use auditor::report::Totals;
    use auditor::sink::SinkCounters;

    use super::*;

    pub(in crate::metrics) fn snapshot() -> Snapshot {
        let stat = |stage: &str, name: &str, n| (stage.to_owned(), [(name.to_owned(), n)].into());
        let dropped = "traceparent_dropped".parse::<Code>().expect("a code");
        Snapshot {
            stats: BTreeMap::from([stat("kernel", "lost_ring_full", 7), stat("tables", "edges", 5)]),
            totals: Totals {
                settled: BTreeMap::from([((Outcome::Dropped, "b3"), 3)]),
                findings: BTreeMap::from([((dropped, Severity::Info), 2)]),
                suspected: 4,
                ..Totals::default()
            },
            blind_spots: BTreeMap::from([("tls_not_visible", 2)]),
            degraded: vec![Cause::RecordsLost],
            outputs: BTreeMap::from([(
                "file:/a\"b\\c\nd".to_owned(),
                OutputState { up: false, counters: SinkCounters { dropped: 9, ..SinkCounters::default() } },
            )]),
            last_record: Some(UNIX_EPOCH),
            time: UNIX_EPOCH,
        }
    }

    pub(in crate::metrics) fn board() -> Board {
        let bounds = vec![("edges", 8192)];
        Board::new(Capture { hooks: "sock", kernel: "6.18".into(), ring_bytes: 1 << 23, bounds })
    }

    fn rendered(format: Format) -> String {
        let board = board();
        board.ticked(snapshot());
        board.was_busy(std::time::Duration::from_millis(1));
        render(format, &board).unwrap()
    }

    #[test]
    fn numbers_have_names() {
        let text = rendered(Format::Text);
        for line in [
            "# TYPE auditor_hops_total counter",
            "auditor_hops_total{outcome=\"dropped\",format=\"b3\"} 3",
            "auditor_hops_total{outcome=\"dropped\",format=\"w3c\"} 0",
            "auditor_hops_suspected 4",
            "auditor_findings_total{code=\"traceparent_dropped\",severity=\"error\"} 0",
            "auditor_findings_total{code=\"traceparent_dropped\",severity=\"info\"} 2",
            "auditor_events_lost_total{stage=\"ring_buffer\"} 7",
            "auditor_blind_spots_total{code=\"tls_not_visible\"} 2",
            "auditor_table_entries{table=\"edges\"} 5",
            "auditor_table_limit_entries{table=\"edges\"} 8192",
            "auditor_sink_dropped_total{sink=\"file:/a\\\"b\\\\c\\nd\"} 9",
            "auditor_degraded{cause=\"records_lost\"} 1",
            "auditor_degraded{cause=\"output_down\"} 0",
            "auditor_processing_seconds_count 1",
            "auditor_capture_info{hooks=\"sock\",kernel=\"6.18\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("# EOF"));
        // The number of series of a node is bounded by what the program knows, not by what it sees.
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series < 220, "{series}");
    }

    #[test]
    fn every_metric_is_listed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let listed = std::fs::read_to_string(path).expect("docs/metrics.md is there");
        let text = rendered(Format::Text);
        let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
        let row = |(name, help): (&str, &str)| format!("`{name}` | {}", help.trim_end_matches('.'));
        let missing: Vec<_> = helps.map(row).filter(|row| !listed.contains(row)).collect();
        assert!(missing.is_empty(), "docs/metrics.md lacks:\n{}", missing.join("\n"));
    }

    #[test]
    fn both_formats_say_the_same() {
        let samples = |text: String| -> BTreeSet<String> {
            // What the process takes is another amount each time.
            let says = |line: &&str| !line.starts_with('#') && !line.starts_with("process_");
            text.lines().filter(says).map(|line| line.trim_end_matches(".0").to_owned()).collect()
        };
        let open = rendered(Format::OpenMetrics);
        assert!(open.contains("# TYPE auditor_hops counter\n") && open.ends_with("# EOF\n"), "{open}");
        assert_eq!(samples(open), samples(rendered(Format::Text)));
    }

    #[test]
    fn in_the_first_second_there_is_little_to_say() {
        let text = render(Format::Text, &board()).unwrap();
        assert!(
            text.contains("auditor_build_info{version=") && text.contains("process_resident_memory_bytes "),
            "{text}"
        );
        assert!(!text.contains("auditor_hops_total"), "{text}");
    }
}
