//! Who a process is.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{BootNs, ProcessId};

/// What `/proc` says of a process. Serialised as JSON in recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Who.
    pub id: ProcessId,
    /// When it was read.
    pub time: BootNs,
    /// Name of the service: see CONTRACT `service.name`.
    pub service: String,
    /// Base name of the executable.
    pub executable: String,
    /// Command line, arguments joined by spaces, what may be a secret replaced by `***`; cut at 1 KiB.
    pub command_line: String,
    /// cgroup path.
    pub cgroup: String,
    /// Container id, when in one.
    pub container_id: Option<String>,
    /// What else is known of who it is. Recordings made before it was looked for have none.
    #[serde(default, skip_serializing_if = "Workload::is_unknown")]
    pub workload: Workload,
}

impl Process {
    /// What tells its service from others: services of one name in two namespaces are two.
    pub fn service_key(&self) -> Cow<'_, str> {
        match self.workload.service_namespace.as_ref().or(self.workload.pod_namespace.as_ref()) {
            Some(namespace) => Cow::Owned(format!("{namespace}/{}", self.service)),
            None => Cow::Borrowed(&self.service),
        }
    }
}

/// Who a process is, beyond its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Workload {
    /// `service.namespace`, as the process declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_namespace: Option<String>,
    /// `service.version`, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_version: Option<String>,
    /// `service.instance.id`, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_instance_id: Option<String>,
    /// `deployment.environment.name`, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_environment: Option<String>,
    /// What the runtime or Kubernetes calls its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Uid of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Name of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// Namespace of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_namespace: Option<String>,
    /// Its pid in its own pid namespace, where that is not the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpid: Option<u32>,
}

impl Workload {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
