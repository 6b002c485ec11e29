//! The output records as they are read back: what the views need of them, and nothing else. Fields that are not there are
//! empty, fields and records that are not known are passed over.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One record.
#[derive(Debug, Deserialize)]
#[serde(tag = "record_type", rename_all = "snake_case")]
pub(super) enum Entry {
    Finding(Box<FindingEntry>),
    Summary(Box<SummaryEntry>),
    BlindSpot(Box<BlindEntry>),
    Lifecycle(Lifecycle),
    /// Nothing to show, or from a later version.
    #[serde(other)]
    Other,
}

/// A record in the envelope of a log shipper: Docker's json-file, journald's export, Fluent Bit.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    log: Option<Wrapped>,
    #[serde(rename = "MESSAGE")]
    journal: Option<Wrapped>,
    message: Option<Wrapped>,
}

impl Envelope {
    pub(super) fn content(&self) -> Option<&[u8]> {
        self.log.as_ref().or(self.journal.as_ref()).or(self.message.as_ref()).map(Wrapped::bytes)
    }
}

/// journald exports what it takes for binary as numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Wrapped {
    Text(String),
    Bytes(Vec<u8>),
}

impl Wrapped {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FindingEntry {
    pub(super) timestamp: String,
    pub(super) level: String,
    pub(super) message: String,
    pub(super) trace_id: Option<String>,
    pub(super) finding: Finding,
    pub(super) attributes: Attributes,
    pub(super) resource: Resource,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Finding {
    pub(super) code: String,
    pub(super) format: String,
    pub(super) direction: String,
    pub(super) reason: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) fingerprint: String,
    pub(super) count: u64,
    pub(super) first_seen: String,
    pub(super) last_seen: String,
    pub(super) received: Option<String>,
    pub(super) sent: Option<String>,
    pub(super) correlation: Option<Correlation>,
    pub(super) edge: Option<BTreeMap<String, u64>>,
    pub(super) inbound: Option<Inbound>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Correlation {
    pub(super) method: String,
    pub(super) confidence: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SummaryEntry {
    pub(super) timestamp: String,
    pub(super) interval_start: String,
    pub(super) edge: BTreeMap<String, u64>,
    pub(super) inbound: Option<Inbound>,
    pub(super) attributes: Attributes,
    pub(super) resource: Resource,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlindEntry {
    pub(super) timestamp: String,
    pub(super) message: String,
    pub(super) blind_spot: BlindSpot,
    pub(super) resource: Option<Resource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlindSpot {
    pub(super) code: String,
    pub(super) count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lifecycle {
    pub(super) timestamp: String,
    pub(super) auditor: Option<AuditorInfo>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuditorInfo {
    #[serde(rename = "host.name")]
    pub(super) host_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Inbound {
    #[serde(rename = "http.request.method")]
    pub(super) method: String,
    #[serde(rename = "http.route")]
    pub(super) route: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    #[serde(rename = "http.request.method")]
    pub(super) method: Option<String>,
    #[serde(rename = "http.route")]
    pub(super) route: Option<String>,
    #[serde(rename = "server.address")]
    pub(super) server_address: Option<String>,
    #[serde(rename = "server.port")]
    pub(super) server_port: Option<u16>,
    #[serde(rename = "client.address")]
    pub(super) client_address: Option<String>,
    /// Service at the other end, where the auditor knows it.
    #[serde(rename = "service.peer.name")]
    pub(super) peer_service: Option<String>,
    #[serde(rename = "http.response.status_code")]
    pub(super) status_code: Option<u16>,
    #[serde(rename = "error.type")]
    pub(super) error_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    #[serde(rename = "service.name")]
    pub(super) service_name: String,
    #[serde(rename = "process.pid")]
    pub(super) pid: u32,
    #[serde(rename = "host.name")]
    pub(super) host_name: String,
}
