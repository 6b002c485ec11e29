//! Which capabilities this process has of those it needs.

/// A capability: number and name (`capability.h`).
pub type Capability = (u32, &'static str);

/// Loading and attaching the programs.
pub const CAP_BPF: Capability = (39, "CAP_BPF");
/// Reading kernel and user memory from the programs.
pub const CAP_PERFMON: Capability = (38, "CAP_PERFMON");
/// Reading `/proc/PID/exe` and `/proc/PID/environ` of other users' processes.
pub const CAP_SYS_PTRACE: Capability = (19, "CAP_SYS_PTRACE");
/// Includes the first two.
const CAP_SYS_ADMIN: Capability = (21, "CAP_SYS_ADMIN");

/// Bit mask of the effective capabilities of this process that count; 0 when unknown. In another user namespace than the
/// initial one none counts: the kernel asks for those of the initial one.
pub fn effective() -> u64 {
    if !in_initial_user_namespace() {
        return 0;
    }
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?.trim().to_owned();
            u64::from_str_radix(&line, 16).ok()
        })
        .unwrap_or(0)
}

/// Whether this process is in the initial user namespace, or one that is as good as it.
pub fn in_initial_user_namespace() -> bool {
    // A kernel without user namespaces has no such file.
    std::fs::read_to_string("/proc/self/uid_map").map_or(true, |map| is_identity(&map))
}

/// Whether every user id means itself.
fn is_identity(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Names of the capabilities that capturing needs and `effective` lacks.
pub fn missing(effective: u64) -> Vec<&'static str> {
    let has = |(number, _): Capability| effective & (1 << number) != 0;
    [CAP_BPF, CAP_PERFMON]
        .into_iter()
        .filter(|&capability| !has(capability) && !has(CAP_SYS_ADMIN))
        .map(|(_, name)| name)
        .collect()
}

/// Whether `effective` allows to look into other users' processes.
pub fn can_inspect_processes(effective: u64) -> bool {
    effective & (1 << CAP_SYS_PTRACE.0) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        assert_eq!(missing(0), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(1 << 39), ["CAP_PERFMON"]);
        assert!(missing(1 << 21).is_empty());
        assert!(missing(1 << 38 | 1 << 39).is_empty());
    }

    #[test]
    fn only_the_whole_identity_map_is_the_initial_user_namespace() {
        assert!(is_identity("         0          0 4294967295\n"));
        for map in ["         0          0          1\n", "0 1000 1\n", "0 100000 65536\n", ""] {
            assert!(!is_identity(map), "{map}");
        }
    }
}
