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

/// Bit mask of the effective capabilities of this process; 0 when unknown.
pub fn effective() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?.trim().to_owned();
            u64::from_str_radix(&line, 16).ok()
        })
        .unwrap_or(0)
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
}
