//! What this process takes: the metrics that every Prometheus client library has.

use std::fs;
use std::time::Duration;

use auditor::source::node;

/// What it takes now; `None` where `/proc` does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    pub(super) cpu: Duration,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

impl Own {
    pub(super) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let kib = |name| number(&status, name).map(|kib| kib * 1024);
        Self {
            cpu: node::cpu_time(),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: number(&status, "Threads:"),
            open_fds: fs::read_dir("/proc/self/fd").ok().and_then(|fds| u64::try_from(fds.count()).ok()),
            max_fds: number(&limits, "Max open files"),
        }
    }
}

/// The first number after a name at the beginning of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let own = Own::now();
        assert!(own.cpu > Duration::ZERO);
        let (resident, virtual_) = (own.resident_bytes.unwrap(), own.virtual_bytes.unwrap());
        assert!(resident > 100_000 && virtual_ >= resident, "{own:?}");
        assert!(own.threads.unwrap() >= 1 && own.open_fds.unwrap() >= 3, "{own:?}");
        assert_eq!(number("Max open files            unlimited", "Max open files"), None);
    }
}
