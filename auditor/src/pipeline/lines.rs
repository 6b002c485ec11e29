//! Builds the parts of output records from what the stages know.

use std::sync::Arc;

use crate::audit::{Code, Outcome};
use crate::context::w3c::{Context, Reason};
use crate::exchange::{Request, Visibility};
use crate::pair::{Inbound, Target, reported_path};
use crate::record::{BootNs, Endpoints, Process, ProcessId};
use crate::report::address::{Destination, peer};
use crate::report::{
    Attributes, Correlation, EdgeKey, Finding, FindingLine, InboundAttributes, Resource, SCHEMA_VERSION,
};
use crate::rule::fill;

/// The format that is audited.
const FORMAT: &str = "w3c";

/// What the response, or its absence, tells of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'static str>,
    /// When its head was there.
    pub(super) time: Option<BootNs>,
}

impl Answer {
    /// Nanoseconds since the first byte of the request; `None` if one of the two was not seen.
    pub(super) fn duration(&self, request: &Request) -> Option<BootNs> {
        let began = (request.visibility != Visibility::Lost).then_some(request.started)?;
        // A response whose record came before that of its request has the same time: how much later it was is not known.
        self.time?.checked_sub(began).filter(|duration| *duration > 0)
    }
}

pub(super) fn transport(endpoints: &Endpoints) -> &'static str {
    match endpoints {
        Endpoints::Tcp { .. } => "tcp",
        Endpoints::Unix { .. } => "unix",
    }
}

fn request(request: &Request, target: &Target) -> Attributes {
    let (peer_address, peer_pid) = match &request.endpoints {
        Endpoints::Tcp { remote, .. } => (remote.ip().to_string(), None),
        Endpoints::Unix { path, peer_tgid } => (path.to_string(), *peer_tgid),
    };
    Attributes {
        method: Some(target.method.to_string()),
        path: Some(reported_path(request).into()),
        route: Some(target.route.to_string()),
        peer_address: Some(peer_address).filter(|address| !address.is_empty()),
        peer_port: peer(&request.endpoints).map(|peer| peer.port()),
        peer_pid,
        transport: Some(transport(&request.endpoints)),
        protocol_version: Some(if request.head.minor_version == 0 { "1.0" } else { "1.1" }),
        ..Attributes::default()
    }
}

/// Of a call.
pub(super) fn call(sent: &Request, target: &Target, destination: &Destination, answer: Answer) -> Attributes {
    Attributes {
        server_address: Some(destination.address.to_string()).filter(|address| !address.is_empty()),
        server_port: destination.port,
        status_code: answer.status,
        error_type: answer.error,
        ..request(sent, target)
    }
}

/// Of a request that was received.
pub(super) fn received(received: &Request, target: &Target) -> Attributes {
    let (client_address, local_port) = client(&received.endpoints);
    Attributes { client_address, local_port, ..request(received, target) }
}

/// Of the calls of an edge.
pub(super) fn edge(key: &EdgeKey, transport: &'static str) -> Attributes {
    Attributes {
        method: Some(key.outbound.method.to_string()),
        route: Some(key.outbound.route.to_string()),
        server_address: Some(key.destination.address.to_string()).filter(|address| !address.is_empty()),
        server_port: key.destination.port,
        transport: Some(transport),
        ..Attributes::default()
    }
}

/// Of the request a call was made for.
pub(super) fn inbound(inbound: &Inbound) -> InboundAttributes {
    let (client_address, local_port) = client(&inbound.endpoints);
    InboundAttributes {
        method: inbound.target.method.to_string(),
        path: Some(inbound.path.to_string()),
        route: inbound.target.route.to_string(),
        client_address,
        local_port,
    }
}

/// Of the requests of an edge.
pub(super) fn inbound_of_edge(key: &EdgeKey) -> Option<InboundAttributes> {
    let target = key.inbound.as_ref()?;
    Some(InboundAttributes {
        method: target.method.to_string(),
        route: target.route.to_string(),
        local_port: key.local_port,
        ..Default::default()
    })
}

/// Who sent a request, and where it arrived.
pub(super) fn client(endpoints: &Endpoints) -> (Option<String>, Option<u16>) {
    match endpoints {
        Endpoints::Tcp { local, remote } => (Some(remote.ip().to_string()), Some(local.port())),
        Endpoints::Unix { .. } => (None, None),
    }
}

/// Of the audited workload.
pub(super) fn resource(process: &Process, host_name: &str) -> Resource {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Resource {
        service_name: process.service.clone(),
        pid: process.id.tgid,
        executable: text(&process.executable),
        command_line: text(&process.command_line),
        cgroup: text(&process.cgroup),
        container_id: process.container_id.clone(),
        host_name: host_name.to_owned(),
    }
}

/// A process of which only the thread's command name is known.
pub(super) fn by_comm(id: ProcessId, comm: [u8; 16]) -> Arc<Process> {
    let name = String::from_utf8_lossy(&comm);
    let name = name.trim_end_matches('\0').to_owned();
    Arc::new(Process {
        id,
        time: 0,
        service: if name.is_empty() { format!("pid {}", id.tgid) } else { name.clone() },
        executable: name,
        command_line: String::new(),
        cgroup: String::new(),
        container_id: None,
    })
}

/// What is wrong, before it is known how often.
pub(super) struct Fault<'a> {
    pub(super) code: Code,
    pub(super) reason: Option<Reason>,
    pub(super) outcome: Option<Outcome>,
    pub(super) fingerprint: u64,
    pub(super) received: Option<&'a Context>,
    pub(super) sent: Option<&'a Context>,
    pub(super) correlation: Option<Correlation>,
    pub(super) inbound: Option<&'a Inbound>,
    /// Where the call goes; `None` for a fault in what was received.
    pub(super) destination: Option<&'a Destination>,
    pub(super) attributes: Attributes,
    pub(super) resource: Resource,
}

impl Fault<'_> {
    /// A finding; counts and times are still to be filled in.
    pub(super) fn line(self) -> FindingLine {
        let message = self.message();
        let context = self.received.and_then(Context::valid);
        let raw = |context: Option<&Context>| context.and_then(Context::raw).map(str::to_owned);
        FindingLine {
            schema_version: SCHEMA_VERSION,
            timestamp: String::new(),
            level: self.code.severity().as_str(),
            severity_number: self.code.severity().number(),
            event_name: "auditor.finding",
            message,
            trace_id: context.map(|c| format!("{:032x}", c.trace_id)),
            span_id: context.map(|c| format!("{:016x}", c.parent_id)),
            trace_flags: context.map(|c| format!("{:02x}", c.flags)),
            finding: Finding {
                code: self.code.as_str(),
                format: FORMAT,
                outcome: self.outcome.map(Outcome::as_str),
                direction: if self.destination.is_some() { "outbound" } else { "inbound" },
                reason: self.reason.map(Reason::as_str),
                spec: self.code.rule().spec,
                fingerprint: format!("{:016x}", self.fingerprint),
                count: 0,
                first_seen: String::new(),
                last_seen: String::new(),
                received: raw(self.received),
                sent: raw(self.sent),
                correlation: self.correlation,
                edge: None,
                differs: Vec::new(),
                inbound: self.inbound.map(inbound),
            },
            attributes: self.attributes,
            resource: self.resource,
        }
    }

    fn message(&self) -> String {
        let who = format!("{} (pid {})", self.resource.service_name, self.resource.pid);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let target = format!("{} {}", text(&self.attributes.method), text(&self.attributes.route));
        let value = |name: &str| match (name, self.destination) {
            ("who", _) => who.clone(),
            ("reason", _) => self.reason.map_or("", Reason::as_str).to_owned(),
            ("call", Some(destination)) => format!("{target} to {destination}"),
            ("from", Some(_)) => {
                self.inbound.map_or(String::new(), |i| format!("{} {}", i.target.method, i.target.route))
            }
            ("from", None) => target.clone(),
            ("format", _) => FORMAT.to_owned(),
            ("client", _) => self.attributes.client_address.clone().unwrap_or_else(|| "a client".to_owned()),
            _ => String::new(),
        };
        let rule = self.code.rule();
        fill(if self.destination.is_some() { rule.on_call } else { rule.on_request }, value)
    }
}
