//! What the output records say of a request, a call and a process, in OpenTelemetry's names.

use schemars::JsonSchema;
use serde::Serialize;

/// The request a call was made for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct InboundAttributes {
    /// Method.
    #[serde(rename = "http.request.method")]
    pub method: String,
    /// Path without query.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Path with its variable segments replaced.
    #[serde(rename = "http.route")]
    pub route: String,
    /// Who sent it.
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub client_address: Option<String>,
    /// Where it arrived.
    #[serde(rename = "network.local.port", skip_serializing_if = "Option::is_none")]
    pub local_port: Option<u16>,
    /// Process that sent it, where that was seen on this node.
    #[serde(rename = "network.peer.pid", skip_serializing_if = "Option::is_none")]
    pub peer_pid: Option<u32>,
    /// Name of its service.
    #[serde(rename = "service.peer.name", skip_serializing_if = "Option::is_none")]
    pub peer_service: Option<String>,
}

/// A request, in OpenTelemetry's names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Attributes {
    /// Method.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path without query.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Path with its variable segments replaced.
    #[serde(rename = "http.route", skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Name the client used, else the peer's address or socket path.
    #[serde(rename = "server.address", skip_serializing_if = "Option::is_none")]
    pub server_address: Option<String>,
    /// Port the client used.
    #[serde(rename = "server.port", skip_serializing_if = "Option::is_none")]
    pub server_port: Option<u16>,
    /// Who sent the request (direction inbound).
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub client_address: Option<String>,
    /// The other end.
    #[serde(rename = "network.peer.address", skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// Its port.
    #[serde(rename = "network.peer.port", skip_serializing_if = "Option::is_none")]
    pub peer_port: Option<u16>,
    /// Process at the other end, where it was seen there on this node; of a Unix socket whoever listens or connected.
    #[serde(rename = "network.peer.pid", skip_serializing_if = "Option::is_none")]
    pub peer_pid: Option<u32>,
    /// Name of the service at the other end, where that was seen on this node: its `service.name`.
    #[serde(rename = "service.peer.name", skip_serializing_if = "Option::is_none")]
    pub peer_service: Option<String>,
    /// Where a received request arrived.
    #[serde(rename = "network.local.port", skip_serializing_if = "Option::is_none")]
    pub local_port: Option<u16>,
    /// `tcp` or `unix`.
    #[serde(rename = "network.transport", skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'static str>,
    /// `1.0` or `1.1`.
    #[serde(rename = "network.protocol.version", skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<&'static str>,
    /// Status of the response.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Why there is none: the request broke, whatever the context did.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
}

/// The audited workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Resource {
    /// Name of the service.
    #[serde(rename = "service.name")]
    pub service_name: String,
    /// Namespace of the service, as it declares it.
    #[serde(rename = "service.namespace", skip_serializing_if = "Option::is_none")]
    pub service_namespace: Option<String>,
    /// Version of the service, likewise.
    #[serde(rename = "service.version", skip_serializing_if = "Option::is_none")]
    pub service_version: Option<String>,
    /// Which instance of the service, likewise.
    #[serde(rename = "service.instance.id", skip_serializing_if = "Option::is_none")]
    pub service_instance_id: Option<String>,
    /// Environment the service is deployed to, likewise.
    #[serde(rename = "deployment.environment.name", skip_serializing_if = "Option::is_none")]
    pub deployment_environment: Option<String>,
    /// Process id on the node.
    #[serde(rename = "process.pid")]
    pub pid: u32,
    /// Process id in its own pid namespace, where that is not the node's.
    #[serde(rename = "process.vpid", skip_serializing_if = "Option::is_none")]
    pub vpid: Option<u32>,
    /// Base name of the executable.
    #[serde(rename = "process.executable.name", skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// Command line.
    #[serde(rename = "process.command_line", skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// cgroup path.
    #[serde(rename = "process.linux.cgroup", skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Container id.
    #[serde(rename = "container.id", skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Name of the container.
    #[serde(rename = "container.name", skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Uid of the pod.
    #[serde(rename = "k8s.pod.uid", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Name of the pod.
    #[serde(rename = "k8s.pod.name", skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// Namespace of the pod.
    #[serde(rename = "k8s.namespace.name", skip_serializing_if = "Option::is_none")]
    pub pod_namespace: Option<String>,
    /// Name of the container in its pod.
    #[serde(rename = "k8s.container.name", skip_serializing_if = "Option::is_none")]
    pub k8s_container_name: Option<String>,
    /// Name of the node.
    #[serde(rename = "host.name")]
    pub host_name: String,
}
