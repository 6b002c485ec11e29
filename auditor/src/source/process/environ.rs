//! The few variables of a process's environment that say who it is. Nothing else of it is kept: it is full of secrets.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Environments are read up to here; what stands beyond it is not found.
const CAP: u64 = 128 * 1024;

/// Who a process is, as far as its environment tells. Values as they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environ {
    /// `OTEL_SERVICE_NAME`.
    pub(super) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub(super) resource_attributes: Option<String>,
    /// Name of the pod, by the names that examples of the downward API use.
    pub(super) pod_name: Option<String>,
    /// The same for its namespace.
    pub(super) pod_namespace: Option<String>,
    /// `HOSTNAME`: in a container the name that the runtime gave it.
    pub(super) host_name: Option<String>,
}

impl Environ {
    /// Of a process; empty where that may not be read.
    pub(super) fn read(proc: &Path) -> Self {
        let mut bytes = Vec::new();
        let Ok(file) = File::open(proc.join("environ")) else { return Self::default() };
        // What was read before an error is as true as it is.
        let _ = file.take(CAP).read_to_end(&mut bytes);
        Self::parse(&bytes)
    }

    /// Of `NAME=VALUE` strings with a NUL after each. The first of a name is the one that `getenv` finds.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut environ = Self::default();
        for entry in bytes.split(|&byte| byte == 0) {
            let Some(at) = entry.iter().position(|&byte| byte == b'=') else { continue };
            let (name, value) = entry.split_at(at);
            let slot = match name {
                b"OTEL_SERVICE_NAME" => &mut environ.service_name,
                b"OTEL_RESOURCE_ATTRIBUTES" => &mut environ.resource_attributes,
                b"POD_NAME" | b"MY_POD_NAME" | b"K8S_POD_NAME" | b"OTEL_RESOURCE_ATTRIBUTES_POD_NAME" => {
                    &mut environ.pod_name
                }
                b"POD_NAMESPACE" | b"MY_POD_NAMESPACE" | b"K8S_POD_NAMESPACE" => &mut environ.pod_namespace,
                b"HOSTNAME" => &mut environ.host_name,
                _ => continue,
            };
            let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
            // An empty variable is as good as none: so the specification of OpenTelemetry has it.
            if slot.is_none() && !value.trim().is_empty() {
                *slot = Some(value.trim().to_owned());
            }
        }
        environ
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_the_process_is_kept() {
        let environ = Environ::parse(
            b"PATH=/bin\0SECRET=hunter2\0OTEL_SERVICE_NAME= shop \0OTEL_SERVICE_NAME=second\0HOSTNAME=\0POD_NAME=a=b\0odd\0",
        );
        let expected =
            Environ { service_name: Some("shop".to_owned()), pod_name: Some("a=b".to_owned()), ..Environ::default() };
        assert_eq!(environ, expected);
        assert_eq!(Environ::parse(b""), Environ::default());
        assert_eq!(Environ::parse(b"OTEL_SERVICE_NAME=\xff\0").service_name.as_deref(), Some("\u{fffd}"));
        assert_eq!(Environ::read(Path::new("/proc/0")), Environ::default());
    }
}
