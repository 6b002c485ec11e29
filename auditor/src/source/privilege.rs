//! Which capabilities this process has of those it needs, and how it gives the others up.
//!
//! Capabilities belong to threads, and a thread inherits those of the one that starts it: [`give_up`] comes after
//! everything is attached and before the first thread.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// A capability and its name.
pub type Capability = (CapabilitySet, &'static str);

/// Loading and attaching the programs, reading their maps.
pub const CAP_BPF: Capability = (CapabilitySet::BPF, "CAP_BPF");
/// Reading kernel and user memory from the programs.
pub const CAP_PERFMON: Capability = (CapabilitySet::PERFMON, "CAP_PERFMON");
/// Reading `/proc/PID/exe` and (with the next) `/proc/PID/environ` of other users' processes.
pub const CAP_SYS_PTRACE: Capability = (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE");
/// Reading files that others may not: `/proc/PID/environ`, which is its owner's alone, and the logs of pods.
pub const CAP_DAC_READ_SEARCH: Capability = (CapabilitySet::DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH");

/// Without these nothing can be audited.
const NEEDED: [Capability; 2] = [CAP_BPF, CAP_PERFMON];

/// What stays after everything is attached, of what there was.
const KEPT: CapabilitySet = CapabilitySet::BPF
    // Reading maps: before Linux 6.0 even that.
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    // The unit and the container have neither of the following, root has. It opens output files wherever root may.
    .union(CapabilitySet::DAC_OVERRIDE)
    // Only with it the kernel lists the programs of others: `super::rewriters`.
    .union(CapabilitySet::SYS_ADMIN);

/// Effective capabilities of this thread; none when unknown. In another user namespace than the initial one none
/// counts: the kernel asks for those of the initial one.
pub fn effective() -> CapabilitySet {
    if !in_initial_user_namespace() {
        return CapabilitySet::empty();
    }
    rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

/// Makes everything effective that is permitted.
pub fn raise() {
    if let Ok(sets) = rustix::thread::capabilities(None)
        && sets.effective != sets.permitted
    {
        // What could not be had is named when it is missed.
        let _ = rustix::thread::set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets });
    }
}

/// Gives up, for this thread and those it will start, every capability that is not needed once everything is attached,
/// and the ways to get any back.
///
/// # Errors
/// When a security policy forbids it.
pub fn give_up() -> io::Result<()> {
    let permitted = rustix::thread::capabilities(None)?.permitted;
    let left = permitted & KEPT;
    // Without inheritable ones there are no ambient ones.
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    // Root would get all back by the next `exec`.
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
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
pub fn missing(effective: CapabilitySet) -> Vec<&'static str> {
    // The capability that those two were split off from includes them.
    let lacks = |capability| !effective.intersects(capability | CapabilitySet::SYS_ADMIN);
    NEEDED.into_iter().filter(|(capability, _)| lacks(*capability)).map(|(_, name)| name).collect()
}

/// Whether `effective` allows to list the BPF programs of others.
pub fn lists_programs(effective: CapabilitySet) -> bool {
    effective.contains(CapabilitySet::SYS_ADMIN)
}

/// What cannot be read of other users' processes, and the names of the capabilities that would allow it; `None` when
/// everything can be.
pub fn unreadable(effective: CapabilitySet) -> Option<(&'static str, Vec<&'static str>)> {
    let names = [CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH].into_iter();
    let lacking: Vec<_> = names.filter(|(one, _)| !effective.contains(*one)).map(|(_, name)| name).collect();
    let what = match (effective.contains(CAP_SYS_PTRACE.0), lacking.is_empty()) {
        (_, true) => return None,
        (true, false) => "their environment (/proc/PID/environ): OTEL_SERVICE_NAME does not name their services",
        (false, false) => {
            "their executable and environment (/proc/PID/exe, /proc/PID/environ): services are named by unit, container, \
             script or command only, and --exe matches the command"
        }
    };
    Some((what, lacking))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        assert_eq!(missing(CapabilitySet::empty()), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(CapabilitySet::BPF), ["CAP_PERFMON"]);
        assert_eq!(missing(CapabilitySet::PERFMON), ["CAP_BPF"]);
        assert!(missing(CapabilitySet::SYS_ADMIN).is_empty());
        assert!(missing(CapabilitySet::BPF | CapabilitySet::PERFMON).is_empty());
    }

    #[test]
    fn names_what_cannot_be_read() {
        let names = |effective| unreadable(effective).map(|(_, names)| names).unwrap_or_default();
        assert_eq!(names(CapabilitySet::empty()), ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        assert_eq!(names(CapabilitySet::SYS_PTRACE), ["CAP_DAC_READ_SEARCH"]);
        assert_eq!(names(CapabilitySet::DAC_READ_SEARCH), ["CAP_SYS_PTRACE"]);
        assert_eq!(unreadable(CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH), None);
    }

    #[test]
    fn only_the_whole_identity_map_is_the_initial_user_namespace() {
        assert!(is_identity("         0          0 4294967295\n"));
        for map in ["         0          0          1\n", "0 1000 1\n", "0 100000 65536\n", ""] {
            assert!(!is_identity(map), "{map}");
        }
    }
}
