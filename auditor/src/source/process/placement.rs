//! Where in the cgroup hierarchies a process is, and what that says: container, pod, systemd unit.
//!
//! Only the parts of a path are looked at, never where it begins: an auditor in a cgroup namespace of its own sees the
//! others' paths from there (`/../../kubepods-pod….slice/…`), and nodes that are containers themselves put a prefix before.

use super::clip;

/// Longest name of a unit that is kept.
const NAME_CAP: usize = 256;

/// Units that start programs of others, or hold containers: whatever runs in them, they do not name it.
const LAUNCHERS: &[&str] = &[
    "anacron",
    "atd",
    "buildkit",
    "containerd",
    "cri-docker",
    "cri-dockerd",
    "crio",
    "cron",
    "crond",
    "cronie",
    "dcron",
    "docker",
    "dropbear",
    "getty",
    "k0scontroller",
    "k0sworker",
    "k3s",
    "k3s-agent",
    "kubelet",
    "lxc",
    "lxcfs",
    "lxd",
    "incus",
    "monit",
    "podman",
    "rc-local",
    "rke2-agent",
    "rke2-server",
    "runit",
    "s6",
    "screen",
    "serial-getty",
    "ssh",
    "sshd",
    "supervisor",
    "supervisord",
    "tmux",
];
/// …and what such names begin with.
const LAUNCHER_PREFIXES: &[&str] = &["pm2-", "snap.docker.", "snap.lxd.", "snap.microk8s.", "supervisord-"];
/// What names of scopes and transient units begin with that were made up for one run.
const TRANSIENT: &[&str] = &["app-", "run-", "session-", "snap.", "tmux-spawn-", "user-runtime-dir@", "vte-spawn-"];

/// What the cgroups of a process say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// The path that says most: of v2, unless only a v1 hierarchy knows of the container.
    pub(super) path: String,
    /// 64 hexadecimal digits.
    pub(super) container_id: Option<String>,
    /// With dashes; 32 hexadecimal digits for pods that come from a file on the node.
    pub(super) pod_uid: Option<String>,
    /// Name of a container of LXC, which has no id.
    pub(super) lxc: Option<String>,
    /// The innermost systemd unit that names what runs in it, without `.service` or `.scope`.
    pub(super) unit: Option<String>,
    /// Whether that unit runs inside of the container.
    pub(super) unit_is_inside: bool,
}

impl Placement {
    /// Of the text of `/proc/PID/cgroup`.
    pub(super) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.splitn(3, ':');
            let (id, controllers) = (fields.next()?.to_owned(), fields.next()?.to_owned());
            Some((id, controllers, fields.next()?.to_owned()))
        };
        let mut lines: Vec<_> = text.lines().filter_map(line).filter(|(.., path)| path != "/").collect();
        // v2 first, then systemd's own hierarchy of v1, then the v1 controller that says most.
        lines.sort_by_key(|(id, controllers, path)| {
            (id != "0" || !controllers.is_empty(), controllers != "name=systemd", std::cmp::Reverse(path.len()))
        });
        // Beside v1, runtimes leave the container's processes where they were in v2.
        let contained = lines.iter().find(|(.., path)| path.split('/').any(|part| container_id(part).is_some()));
        contained.or(lines.first()).map_or_else(|| Self::of("/"), |(.., path)| Self::of(path))
    }

    fn of(path: &str) -> Self {
        let mut placement = Self { path: path.to_owned(), ..Self::default() };
        for part in path.rsplit('/') {
            let contained = placement.container_id.is_some() || placement.lxc.is_some();
            if !contained {
                placement.container_id = container_id(part).map(str::to_owned);
                placement.lxc = part.strip_prefix("lxc.payload.").map(|name| clip(name, NAME_CAP));
            }
            if placement.pod_uid.is_none() {
                placement.pod_uid = pod_uid(part);
            }
            if placement.unit.is_none() {
                placement.unit = unit(part);
                placement.unit_is_inside = placement.unit.is_some() && !contained;
            }
        }
        let is_contained = placement.container_id.is_some() || placement.lxc.is_some();
        placement.unit_is_inside &= is_contained;
        placement
    }
}

/// `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, `libpod-payload-ID`, `ID`,
/// `kubepods-….slice:cri-containerd:ID`. What watches over a container of Podman or CRI-O is beside it.
fn container_id(part: &str) -> Option<&str> {
    if part.contains("conmon-") || part.starts_with("libpod_pod_") || part.contains("-libpod_pod_") {
        return None;
    }
    part.split(|c: char| !c.is_ascii_hexdigit()).find(|run| run.len() == 64)
}

/// `podUID`, `kubepods-burstable-podUID.slice` with underscores in the uid.
fn pod_uid(part: &str) -> Option<String> {
    part.match_indices("pod").find_map(|(at, pod)| {
        let rest = part.get(at + pod.len()..)?;
        let end = rest.find(|c: char| !c.is_ascii_hexdigit() && c != '-' && c != '_').unwrap_or(rest.len());
        let uid = rest.get(..end)?.replace('_', "-");
        is_uid(&uid).then_some(uid)
    })
}

/// A UUID, or the hash of a pod that comes from a file.
pub(super) fn is_uid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    digits && matches!(groups.as_slice(), [8, 4, 4, 4, 12] | [32])
}

/// `NAME.service`, and `NAME.scope` where somebody chose the name. Sessions, user managers, and what runs other programs
/// say nothing of the workload.
fn unit(part: &str) -> Option<String> {
    // systemd puts `_` before what would look like a file of cgroupfs.
    let part = part.strip_prefix('_').unwrap_or(part);
    let service = part.strip_suffix(".service");
    let name = service.or_else(|| part.strip_suffix(".scope"))?;
    let is_made_up = match service {
        // `app-NAME@RANDOM.service` of desktops, `run-u12.service` of `systemd-run`.
        Some(name) => is_numbered_run(name) || (name.starts_with("app-") && name.contains('@')),
        None => name == "init" || TRANSIENT.iter().any(|prefix| name.starts_with(prefix)),
    };
    let template = name.split('@').next().unwrap_or(name);
    let is_launcher = LAUNCHERS.contains(&template) || LAUNCHER_PREFIXES.iter().any(|p| name.starts_with(p));
    let is_users = service.is_some() && matches!(template, "user" | "user-runtime-dir");
    let is_container = container_id(part).is_some() || part.contains("conmon-");
    let unescaped = unescape(name);
    (!is_made_up && !is_launcher && !is_users && !is_container && !unescaped.is_empty())
        .then(|| clip(&unescaped, NAME_CAP))
}

/// `run-u12`, `run-r0123…`, `run-p12-i34`, `run-12`.
fn is_numbered_run(name: &str) -> bool {
    name.strip_prefix("run-").is_some_and(|rest| {
        let rest = rest.strip_prefix(['u', 'r', 'p']).unwrap_or(rest);
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-' || byte == b'i')
    })
}

/// `web\x2dfront` → `web-front`. What is no escape stays.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("\\x") {
        let (before, escape) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let digits = escape.get(2..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (taken, length) = byte.map_or((b'\\', 1), |byte| (byte, 4));
        bytes.push(taken);
        rest = escape.get(length..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
