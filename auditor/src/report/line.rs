//! The output records of CONTRACT.md, field for field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::attributes::{Attributes, InboundAttributes, Resource};
use super::formats::FormatsInfo;

/// Version of the output format.
pub const SCHEMA_VERSION: &str = "1.0";
/// Longest line.
pub const LINE_CAP: usize = 8 * 1024;

/// One output record.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "record_type", rename_all = "snake_case")]
pub enum Line {
    /// A breakage on an edge, with its evidence.
    Finding(Box<FindingLine>),
    /// Per edge and interval: how many calls, and their outcomes.
    Summary(Box<SummaryLine>),
    /// Something of a process that could not be audited.
    BlindSpot(Box<BlindSpotLine>),
    /// The auditor's own counters.
    Stats(Box<StatsLine>),
    /// The auditor itself.
    Lifecycle(Box<LifecycleLine>),
}

impl Line {
    /// One line of JSON without the line feed, at most [`LINE_CAP`] bytes; long evidence is cut, and
    /// `"truncated":true` says so.
    pub fn to_json(&self) -> String {
        // Serialising these structures cannot fail: string keys, no custom serialisers.
        let text = serde_json::to_string(self).unwrap_or_default();
        if text.len() <= LINE_CAP {
            return text;
        }
        fit(serde_json::to_value(self).unwrap_or_default(), LINE_CAP)
    }

    /// JSON Schema (draft 2020-12) of every record.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// A record as a line of JSON of at most so many bytes; what does not fit is cut, and `"truncated":true` says so.
pub fn fit(mut value: serde_json::Value, cap: usize) -> String {
    let text = value.to_string();
    if text.len() <= cap {
        return text;
    }
    if let Some(object) = value.as_object_mut() {
        object.insert("truncated".into(), true.into());
    }
    for limit in [1024, 512, 256, 64, 16] {
        cut_strings(&mut value, limit);
        let text = value.to_string();
        if text.len() <= cap {
            return text;
        }
    }
    // Only a stats record with absurdly many counters gets here.
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| matches!(key.as_str(), "record_type" | "schema_version" | "timestamp" | "truncated"));
    }
    value.to_string()
}

/// Cuts texts that are longer than so many bytes.
pub(crate) fn cut_strings(value: &mut serde_json::Value, limit: usize) {
    match value {
        serde_json::Value::String(text) if text.len() > limit => {
            text.truncate(text.floor_char_boundary(limit));
            text.push('…');
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| cut_strings(item, limit)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| cut_strings(field, limit)),
        _ => {}
    }
}

/// A breakage on an edge, with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FindingLine {
    /// Version of this format.
    pub schema_version: &'static str,
    /// When the latest occurrence was certain; RFC 3339, UTC.
    pub timestamp: String,
    /// `error`, `warning` or `info`.
    pub level: &'static str,
    /// 17, 13 or 9.
    pub severity_number: u8,
    /// `auditor.finding`.
    pub event_name: &'static str,
    /// A sentence for people.
    pub message: String,
    /// Trace-id that was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Parent-id that was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Flags that were received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_flags: Option<String>,
    /// What is wrong.
    pub finding: Finding,
    /// The call (direction outbound) or the request (direction inbound).
    pub attributes: Attributes,
    /// The audited workload.
    pub resource: Resource,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// The rule; `auditor explain` knows it.
    pub code: &'static str,
    /// The propagation format it is about, such as `w3c`.
    pub format: &'static str,
    /// What became of the trace; absent for direction inbound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// What became of each format that the request or the call carries; absent where that is `w3c` alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub formats: BTreeMap<&'static str, &'static str>,
    /// `outbound`: this workload is at fault. `inbound`: whoever sent to it.
    pub direction: &'static str,
    /// What exactly is wrong, such as the part of the grammar that a malformed value breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// With what it is wrong, such as the key of a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Section of the specification.
    pub spec: &'static str,
    /// Same code on the same edge, over runs and nodes.
    pub fingerprint: String,
    /// Occurrences since the previous line with this fingerprint.
    pub count: u64,
    /// First of them.
    pub first_seen: String,
    /// Last of them.
    pub last_seen: String,
    /// The format's fields as received, for the call that is told of: ids as they are, members by their keys.
    pub received: Option<String>,
    /// The same as it sent them.
    pub sent: Option<String>,
    /// How the call was paired with the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    /// Counts of the edge over the whole run so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<BTreeMap<&'static str, u64>>,
    /// What tells the broken calls of the edge from those that carry the context on, the best first; absent where
    /// nothing certainly does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<Difference>,
    /// The request the call was made for.
    pub inbound: Option<InboundAttributes>,
}

/// Broken calls have other values of an attribute than those that carry the context on: at least 95 % of either.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Difference {
    /// `outbound`: of the call. `inbound`: of the request it was made for.
    pub of: &'static str,
    /// Which attribute: of `url.path` the first two segments, of `thread.name` what the threads of a pool have in common.
    pub by: &'static str,
    /// Values of broken calls, `null` where they have none: the most frequent, at most five.
    pub broken: Vec<Option<String>>,
    /// The same of the others.
    pub kept: Vec<Option<String>>,
}

/// How a call was paired with a request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Correlation {
    /// The kind of evidence.
    pub method: &'static str,
    /// That the call was made for a request, 0 to 1.
    pub confidence: f64,
    /// Requests that could be the parent of the call that is told of.
    pub candidates: u32,
}

/// Per edge and interval: how many calls, and their outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SummaryLine {
    /// Version of this format.
    pub schema_version: &'static str,
    /// End of the interval.
    pub timestamp: String,
    /// `auditor.summary`.
    pub event_name: &'static str,
    /// Start of the interval.
    pub interval_start: String,
    /// Counts of the interval: `calls`, one per outcome, `suspected` (those `unknown` that look dropped, restarted or
    /// not started, without certainty). Beside them, where the request broke, whatever its context did: `failed` (the
    /// connection closed without a response) and `server_errors` (status 500 and above).
    pub edge: BTreeMap<&'static str, u64>,
    /// From the first byte of the request to the response head; absent when no call was answered within ten seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<DurationInfo>,
    /// Calls by what became of each format: `continued`, `passed_through`, `restarted`, `dropped`, `started` or `unknown`,
    /// in the sense of the outcomes. Those that had nothing of a format on either side are not counted; absent when all
    /// that was seen is `w3c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formats: Option<FormatsInfo>,
    /// Calls that carried the context on, of those whose request had one; null when there were none.
    pub coverage: Option<f64>,
    /// Share of the time in which a process was looked at; absent: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audited_share: Option<f64>,
    /// The requests the calls were made for; null when not paired.
    pub inbound: Option<InboundAttributes>,
    /// The calls.
    pub attributes: Attributes,
    /// The audited workload.
    pub resource: Resource,
}

impl SummaryLine {
    /// The hop in a line for people: `shop GET /cart -> POST payments:8080/charge`.
    pub fn hop(&self) -> String {
        let service = &self.resource.service_name;
        let inbound = self
            .inbound
            .as_ref()
            .map_or_else(|| "(no request)".to_owned(), |inbound| format!("{} {}", inbound.method, inbound.route));
        let call = &self.attributes;
        let port = call.server_port.map(|port| format!(":{port}")).unwrap_or_default();
        format!(
            "{service} {inbound} -> {} {}{port}{}",
            call.method.as_deref().unwrap_or("?"),
            call.server_address.as_deref().unwrap_or("?"),
            call.route.as_deref().unwrap_or("")
        )
    }
}

/// How long calls took to be answered, in seconds, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DurationInfo {
    /// Calls whose answer was seen, within ten seconds; others are in none of the numbers here.
    pub count: u64,
    /// At least half of the calls took at most this long; within 1/16.
    pub p50: f64,
    /// At least 99 of 100 calls took at most this long; within 1/16.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Something of a process that could not be audited.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BlindSpotLine {
    /// Version of this format.
    pub schema_version: &'static str,
    /// When.
    pub timestamp: String,
    /// `auditor.blind_spot`.
    pub event_name: &'static str,
    /// A sentence for people.
    pub message: String,
    /// What.
    pub blind_spot: BlindSpot,
    /// The process; null when it is not known which.
    pub resource: Option<Resource>,
}

/// What could not be audited; counts since the previous line of the same process and code.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BlindSpot {
    /// Why; `auditor explain` knows it.
    pub code: &'static str,
    /// Records, requests or sightings.
    pub count: u64,
    /// Connections on which it began.
    pub connections: u64,
    /// Socket operations.
    pub operations: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Counters by name.
pub type Counters = BTreeMap<String, u64>;

/// The auditor's own counters, cumulative.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StatsLine {
    /// Version of this format.
    pub schema_version: &'static str,
    /// When.
    pub timestamp: String,
    /// `auditor.stats`.
    pub event_name: &'static str,
    /// By stage (`kernel`, `stream`, `http`, `exchange`, `pair`, `audit`, …) and name.
    pub stats: BTreeMap<String, Counters>,
}

/// The auditor itself.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LifecycleLine {
    /// Version of this format.
    pub schema_version: &'static str,
    /// When.
    pub timestamp: String,
    /// `auditor.attached`, `auditor.reloaded`, `auditor.degraded`, `auditor.recovered` or `auditor.stopped`.
    pub event_name: &'static str,
    /// A sentence for people.
    pub message: String,
    /// How it runs (`auditor.attached`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auditor: Option<AuditorInfo>,
    /// Totals of the run (`auditor.stopped`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<TotalsInfo>,
    /// What is wrong (`auditor.degraded`), or was (`auditor.recovered`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<DegradedInfo>,
}

/// What makes an audit worth less than it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DegradedInfo {
    /// `records_lost`, `table_full`, `lines_dropped` or `output_down`. Each is told once when it begins and once when it
    /// has not been so for a minute.
    pub cause: &'static str,
    /// When it began.
    pub since: String,
    /// Records, entries or lines since then.
    pub count: u64,
    /// Which tables or outputs, where it is some of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
}

/// How the auditor runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AuditorInfo {
    /// Version.
    pub version: String,
    /// `sock` or `syscall`.
    pub hooks: String,
    /// Kernel release.
    pub kernel: String,
    /// Name of the node.
    #[serde(rename = "host.name")]
    pub host_name: String,
    /// For how long of which period each process is looked at, such as `10s/1m`; absent: all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duty_cycle: Option<String>,
}

/// Totals of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct TotalsInfo {
    /// Occurrences by code.
    pub findings: BTreeMap<&'static str, u64>,
    /// Calls by outcome.
    pub hops: BTreeMap<&'static str, u64>,
    /// Requests that were received.
    pub requests: u64,
    /// Those of them with a valid context.
    pub requests_with_context: u64,
    /// Requests that are not hops, or that nobody wants to hear of.
    pub ignored: u64,
    /// Occurrences of codes that nobody wants to hear of there; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings_ignored: Option<u64>,
    /// Records lost.
    pub lost: u64,
}
