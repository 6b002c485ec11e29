//! Builds the parts of output records from what the stages know.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::{Found, Outcome, Severity};
use crate::context::format::{Fault, Status};
use crate::context::{Carried, Selection, w3c};
use crate::exchange::{Request, Visibility};
use crate::pair::{Inbound, Target, reported_path};
use crate::record::{BootNs, Endpoints, Process, ProcessId, Workload};
use crate::report::address::{self, Destination};
use crate::report::{
    Attributes, Correlation, EdgeKey, Finding, FindingLine, InboundAttributes, Peer, Resource, SCHEMA_VERSION,
};
use crate::rule::fill;

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

fn request(request: &Request, target: &Target, peer: Option<&Process>) -> Attributes {
    // That a Unix socket names is who called `listen` or `connect`; the process that was seen there is a better answer.
    let (peer_address, named) = match &request.endpoints {
        Endpoints::Tcp { remote, .. } => (remote.ip().to_string(), None),
        Endpoints::Unix { path, peer_tgid } => (path.to_string(), *peer_tgid),
    };
    Attributes {
        method: Some(target.method.to_string()),
        path: Some(reported_path(request).into()),
        route: Some(target.route.to_string()),
        peer_address: Some(peer_address).filter(|address| !address.is_empty()),
        peer_port: address::peer(&request.endpoints).map(|peer| peer.port()),
        peer_pid: peer.map(|peer| peer.id.tgid).or(named),
        peer_service: peer.map(|peer| peer.service.clone()),
        transport: Some(transport(&request.endpoints)),
        protocol_version: Some(if request.head.minor_version == 0 { "1.0" } else { "1.1" }),
        ..Attributes::default()
    }
}

/// Of a call.
pub(super) fn call(
    sent: &Request,
    target: &Target,
    destination: &Destination,
    answer: Answer,
    server: Option<&Process>,
) -> Attributes {
    Attributes {
        server_address: Some(destination.address.to_string()).filter(|address| !address.is_empty()),
        server_port: destination.port,
        status_code: answer.status,
        error_type: answer.error,
        ..request(sent, target, server)
    }
}

/// Of a request that was received.
pub(super) fn received(received: &Request, target: &Target, peer: Option<&Process>) -> Attributes {
    let (client_address, local_port) = client(&received.endpoints);
    Attributes { client_address, local_port, ..request(received, target, peer) }
}

/// Of the calls of an edge.
pub(super) fn edge(key: &EdgeKey, transport: &'static str, server: Option<&Peer>) -> Attributes {
    Attributes {
        method: Some(key.outbound.method.to_string()),
        route: Some(key.outbound.route.to_string()),
        server_address: Some(key.destination.address.to_string()).filter(|address| !address.is_empty()),
        server_port: key.destination.port,
        transport: Some(transport),
        peer_pid: server.map(|server| server.pid),
        peer_service: server.map(|server| server.service.clone()),
        ..Attributes::default()
    }
}

/// Of the request a call was made for.
fn inbound(inbound: &Inbound, peer: Option<&Process>) -> InboundAttributes {
    let (client_address, local_port) = client(&inbound.endpoints);
    InboundAttributes {
        method: inbound.target.method.to_string(),
        path: Some(inbound.path.to_string()),
        route: inbound.target.route.to_string(),
        client_address,
        local_port,
        peer_pid: peer.map(|peer| peer.id.tgid),
        peer_service: peer.map(|peer| peer.service.clone()),
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
fn client(endpoints: &Endpoints) -> (Option<String>, Option<u16>) {
    (address::peer(endpoints).map(|peer| peer.ip().to_string()), local_port(endpoints))
}

/// Where a request arrived.
pub(super) fn local_port(endpoints: &Endpoints) -> Option<u16> {
    match endpoints {
        Endpoints::Tcp { local, .. } => Some(local.port()),
        Endpoints::Unix { .. } => None,
    }
}

/// Of the audited workload.
pub(super) fn resource(process: &Process, host_name: &str) -> Resource {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let workload = process.workload.clone();
    Resource {
        service_name: process.service.clone(),
        pid: process.id.tgid,
        executable: text(&process.executable),
        command_line: text(&process.command_line),
        cgroup: text(&process.cgroup),
        container_id: process.container_id.clone(),
        service_namespace: workload.service_namespace,
        service_version: workload.service_version,
        service_instance_id: workload.service_instance_id,
        deployment_environment: workload.deployment_environment,
        vpid: workload.vpid,
        container_name: workload.container_name.clone(),
        // Within a pod it is Kubernetes that names it.
        k8s_container_name: workload.container_name.filter(|_| workload.pod_uid.is_some()),
        pod_uid: workload.pod_uid,
        pod_name: workload.pod_name,
        pod_namespace: workload.pod_namespace,
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
        workload: Workload::default(),
    })
}

/// What is wrong, before it is known how often.
pub(super) struct Evidence<'a> {
    pub(super) found: &'a Found,
    /// How bad it is there.
    pub(super) severity: Severity,
    pub(super) selection: &'a Selection,
    pub(super) outcome: Option<Outcome>,
    pub(super) formats: &'a [(&'static str, Status)],
    pub(super) fingerprint: u64,
    pub(super) received: Option<&'a Carried>,
    pub(super) sent: Option<&'a Carried>,
    pub(super) correlation: Option<Correlation>,
    pub(super) inbound: Option<&'a Inbound>,
    /// Who sent that.
    pub(super) inbound_peer: Option<&'a Process>,
    /// Where the call goes; `None` for a fault in what was received.
    pub(super) destination: Option<&'a Destination>,
    pub(super) attributes: Attributes,
    pub(super) resource: Resource,
}

impl Evidence<'_> {
    /// A finding; counts and times are still to be filled in.
    pub(super) fn line(self) -> FindingLine {
        let message = self.message();
        let Fault { rule, reason, detail } = &self.found.fault;
        let ids = self.received.and_then(Ids::of);
        FindingLine {
            schema_version: SCHEMA_VERSION,
            timestamp: String::new(),
            level: self.severity.as_str(),
            severity_number: self.severity.number(),
            event_name: "auditor.finding",
            message,
            trace_id: ids.as_ref().map(|ids| ids.trace_id.clone()),
            span_id: ids.as_ref().and_then(|ids| ids.span_id.clone()),
            trace_flags: ids.and_then(|ids| ids.flags),
            finding: Finding {
                code: rule.name,
                format: self.found.format,
                outcome: self.outcome.map(Outcome::as_str),
                formats: self.formats(),
                direction: if self.destination.is_some() { "outbound" } else { "inbound" },
                reason: *reason,
                detail: detail.clone().map(String::from),
                spec: rule.spec,
                fingerprint: format!("{:016x}", self.fingerprint),
                count: 0,
                first_seen: String::new(),
                last_seen: String::new(),
                received: self.received.and_then(|carried| self.value(carried)),
                sent: self.sent.and_then(|carried| self.value(carried)),
                correlation: self.correlation,
                edge: None,
                differs: Vec::new(),
                inbound: self.inbound.map(|request| inbound(request, self.inbound_peer)),
            },
            attributes: self.attributes,
            resource: self.resource,
        }
    }

    fn formats(&self) -> BTreeMap<&'static str, &'static str> {
        let more = self.formats.iter().any(|(format, _)| *format != w3c::NAME);
        self.formats.iter().filter(|_| more).map(|(format, status)| (*format, status.as_str())).collect()
    }

    /// What a head carries in the format, as far as it may be shown.
    fn value(&self, carried: &Carried) -> Option<String> {
        let format = self.selection.formats.iter().find(|format| format.name() == self.found.format)?;
        let cut = || carried.w3c.raw().filter(|_| !carried.whole && format.name() == w3c::NAME).map(str::to_owned);
        carried.evidence(*format, self.selection.level).or_else(cut)
    }

    fn message(&self) -> String {
        let who = format!("{} (pid {})", self.resource.service_name, self.resource.pid);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let target = format!("{} {}", text(&self.attributes.method), text(&self.attributes.route));
        let Fault { rule, reason, detail } = &self.found.fault;
        let value = |name: &str| match (name, self.destination) {
            ("who", _) => who.clone(),
            ("reason", _) => reason.unwrap_or_default().to_owned(),
            ("detail", _) => detail.as_deref().unwrap_or_default().to_owned(),
            ("call", Some(destination)) => match &self.attributes.peer_service {
                Some(service) if **service != *destination.address => format!("{target} to {destination} ({service})"),
                _ => format!("{target} to {destination}"),
            },
            ("from", Some(_)) => {
                self.inbound.map_or(String::new(), |i| format!("{} {}", i.target.method, i.target.route))
            }
            ("from", None) => target.clone(),
            ("format", _) => self.found.format.to_owned(),
            ("client", _) => {
                let client = self.attributes.peer_service.as_ref().zip(self.attributes.peer_pid);
                let named = client.map(|(service, pid)| format!("{service} (pid {pid})"));
                let client = named.or_else(|| self.attributes.client_address.clone());
                client.unwrap_or_else(|| "a client".to_owned())
            }
            _ => String::new(),
        };
        fill(if self.destination.is_some() { rule.on_call } else { rule.on_request }, value)
    }
}

/// The ids of a trace, in hex as OpenTelemetry has them.
struct Ids {
    trace_id: String,
    span_id: Option<String>,
    flags: Option<String>,
}

impl Ids {
    fn of(carried: &Carried) -> Option<Self> {
        let identity = carried.named.first()?.identity;
        let flags = match carried.w3c.valid() {
            Some(parent) => Some(parent.flags),
            None => identity.sampled.map(u8::from),
        };
        Some(Self {
            trace_id: format!("{:032x}", identity.trace_id),
            span_id: identity.span_id.map(|id| format!("{id:016x}")),
            flags: flags.map(|flags| format!("{flags:02x}")),
        })
    }
}
