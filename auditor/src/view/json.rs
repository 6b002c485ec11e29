//! The report for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::hop::{Examples, HopKey, Operation, Standing};
use super::{Found, Read, Report, Row, Verdict};
use crate::report::round4;

#[derive(Serialize)]
struct Page<'a> {
    from: Option<&'a str>,
    to: Option<&'a str>,
    nodes: Vec<&'a str>,
    hops: Vec<HopInfo<'a>>,
    findings: Vec<FindingInfo<'a>>,
    blind_spots: Vec<BlindInfo<'a>>,
    input: Input,
}

#[derive(Serialize)]
struct HopName<'a> {
    #[serde(rename = "service.name")]
    service: &'a str,
    inbound: Option<&'a Operation>,
    #[serde(flatten)]
    outbound: &'a Operation,
    #[serde(rename = "server.address")]
    address: &'a str,
    #[serde(rename = "server.port")]
    port: Option<u16>,
}

#[derive(Serialize)]
struct HopInfo<'a> {
    #[serde(flatten)]
    name: HopName<'a>,
    #[serde(rename = "service.peer.name", skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    standing: Standing,
    verdict: Verdict,
    coverage: Option<f64>,
    calls: u64,
    at_least: bool,
    outcomes: BTreeMap<&'static str, u64>,
    suspected: u64,
    failed: u64,
    server_errors: u64,
    findings: &'a BTreeMap<String, u64>,
    trace_ids: Vec<&'a str>,
}

#[derive(Serialize)]
struct FindingInfo<'a> {
    code: &'a str,
    level: &'static str,
    fingerprint: &'a str,
    count: u64,
    first_seen: &'a str,
    last_seen: &'a str,
    message: &'a str,
    #[serde(rename = "service.name")]
    service: &'a str,
    hop: Option<HopName<'a>>,
    received: Option<&'a str>,
    sent: Option<&'a str>,
    reason: Option<&'a str>,
    trace_ids: Vec<&'a str>,
    nodes: Vec<&'a str>,
}

#[derive(Serialize)]
struct BlindInfo<'a> {
    code: &'a str,
    #[serde(rename = "service.name")]
    service: Option<&'a str>,
    count: u64,
    message: &'a str,
}

/// What the report was made from.
#[derive(Serialize)]
struct Input {
    records: u64,
    broken_lines: u64,
    left_out: u64,
}

/// One JSON object, indented, with a line feed.
///
/// # Errors
/// Never, as it is made of strings and numbers.
pub fn report(report: &Report, read: Read) -> serde_json::Result<String> {
    let rows = report.rows();
    let findings = report.findings();
    let page = Page {
        from: report.period().map(|(from, _)| from),
        to: report.period().map(|(_, to)| to),
        nodes: report.nodes().iter().map(String::as_str).collect(),
        hops: rows.iter().map(hop).collect(),
        findings: findings.into_iter().map(finding).collect(),
        blind_spots: report
            .blind()
            .map(|blind| BlindInfo {
                code: &blind.code,
                service: Some(blind.service.as_str()).filter(|service| !service.is_empty()),
                count: blind.count,
                message: &blind.message,
            })
            .collect(),
        input: Input {
            records: read.records,
            broken_lines: read.broken + u64::from(read.cut_off),
            left_out: report.left_out,
        },
    };
    Ok(serde_json::to_string_pretty(&page)? + "\n")
}

fn name(key: &HopKey) -> HopName<'_> {
    HopName {
        service: &key.service,
        inbound: key.inbound.as_ref(),
        outbound: &key.outbound,
        address: &key.address,
        port: key.port,
    }
}

fn hop<'a>(row: &'a Row<'_>) -> HopInfo<'a> {
    HopInfo {
        name: name(row.key),
        peer: row.peer,
        standing: row.standing,
        verdict: row.verdict,
        coverage: row.tally.coverage().map(round4),
        calls: row.tally.calls,
        at_least: row.at_least,
        outcomes: row.tally.outcomes(),
        suspected: row.tally.suspected,
        failed: row.tally.failed,
        server_errors: row.tally.server_errors,
        findings: row.codes,
        trace_ids: ids(row.examples),
    }
}

fn finding(found: &Found) -> FindingInfo<'_> {
    FindingInfo {
        code: &found.code,
        level: found.level.as_str(),
        fingerprint: &found.fingerprint,
        count: found.count,
        first_seen: &found.first_seen,
        last_seen: &found.last_seen,
        message: &found.message,
        service: &found.service,
        hop: found.hop.as_ref().map(name),
        received: found.received.as_deref(),
        sent: found.sent.as_deref(),
        reason: found.reason.as_deref(),
        trace_ids: ids(&found.examples),
        nodes: found.nodes.iter().map(String::as_str).collect(),
    }
}

fn ids(examples: &Examples) -> Vec<&str> {
    examples.trace_ids().collect()
}
