//! Selection that the kernel side does not do: by executable, systemd unit, container, port.
//!
//! A process that is not selected is left out whole, so that no request of a selected one loses its parent. A port
//! only decides what is written: every request of the process stays a candidate for its calls.

use std::collections::HashSet;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::exchange::Event;
use crate::record::{Process, ProcessId, Record};
use crate::report::Line;

/// Left-out processes that are remembered; beyond that the oldest knowledge is dropped as a whole.
const KNOWN: usize = 65_536;

/// Which processes and lines are wanted; empty lists want everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    executables: Option<GlobSet>,
    units: Vec<String>,
    containers: Vec<String>,
    ports: Vec<u16>,
    unwanted: HashSet<ProcessId>,
}

impl Filter {
    /// Alternatives within a list, all lists must match.
    ///
    /// # Errors
    /// Says which executable pattern is none.
    pub fn new(
        executables: &[String],
        units: &[String],
        containers: &[String],
        ports: &[u16],
    ) -> Result<Self, globset::Error> {
        let mut globs = GlobSetBuilder::new();
        for pattern in executables {
            globs.add(Glob::new(pattern)?);
        }
        Ok(Self {
            executables: if executables.is_empty() { None } else { Some(globs.build()?) },
            units: units.iter().map(|unit| unit.trim_end_matches(".service").to_owned()).collect(),
            containers: containers.to_vec(),
            ports: ports.to_vec(),
            unwanted: HashSet::new(),
        })
    }

    /// Whether lines about some requests of a process are left out.
    pub(super) fn selects_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// Whether the event belongs to a wanted process (or to none).
    pub(super) fn event(&mut self, event: &Event) -> bool {
        match event {
            Event::Process(process) => self.learn(process),
            Event::Request(request) => !self.unwanted.contains(&request.process),
            Event::Blind(blind) => !self.unwanted.contains(&blind.process),
            // Of an exchange that was left out: the stages behind do not know it.
            _ => true,
        }
    }

    /// Whether the record belongs to a wanted process (or to none).
    pub fn record(&mut self, record: &Record) -> bool {
        match record {
            Record::Process(process) => self.learn(process),
            Record::Data(data) => !self.unwanted.contains(&data.process),
            Record::Blind(blind) => !self.unwanted.contains(&blind.process),
            Record::Close(_) | Record::Clock(_) | Record::Tick(_) => true,
        }
    }

    fn learn(&mut self, process: &Process) -> bool {
        let wanted = self.wants(process);
        if wanted {
            self.unwanted.remove(&process.id);
        } else {
            if self.unwanted.len() >= KNOWN {
                self.unwanted.clear();
            }
            self.unwanted.insert(process.id);
        }
        wanted
    }

    /// Removes the lines about other ports from `lines[from..]`.
    pub(super) fn lines(&self, lines: &mut Vec<Line>, from: usize) {
        if self.ports.is_empty() {
            return;
        }
        let tail = lines.split_off(from.min(lines.len()));
        lines.extend(tail.into_iter().filter(|line| match line.inbound_port() {
            None => true,
            Some(port) => port.is_some_and(|port| self.ports.contains(&port)),
        }));
    }

    fn wants(&self, process: &Process) -> bool {
        let any = |list: &[String], matches: &dyn Fn(&str) -> bool| list.is_empty() || list.iter().any(|v| matches(v));
        self.executables.as_ref().is_none_or(|globs| globs.is_match(&process.executable))
            && any(&self.units, &|unit| process.cgroup.split('/').any(|part| part.trim_end_matches(".service") == unit))
            && any(&self.containers, &|wanted| {
                process.container_id.as_deref().is_some_and(|id| id.starts_with(wanted))
                    || process.workload.container_name.as_deref() == Some(wanted)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Workload;

    fn process(executable: &str, cgroup: &str, container: Option<&str>) -> Process {
        Process {
            id: ProcessId { tgid: 1, start_ns: 1 },
            time: 0,
            service: "s".into(),
            executable: executable.into(),
            command_line: String::new(),
            cgroup: cgroup.into(),
            container_id: container.map(str::to_owned),
            workload: Workload::default(),
        }
    }

    #[test]
    fn alternatives_within_a_list_and_all_lists_together() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let all = Filter::default();
        assert!(all.wants(&process("nginx", "/", None)));
        let filter = Filter::new(&list(&["ngin?", "py*"]), &list(&["web.service"]), &[], &[]).expect("globs");
        assert!(filter.wants(&process("nginx", "/system.slice/web.service", None)));
        assert!(filter.wants(&process("python3", "/system.slice/web.service/sub", None)));
        assert!(!filter.wants(&process("node", "/system.slice/web.service", None)));
        assert!(!filter.wants(&process("nginx", "/system.slice/other.service", None)));
        let container = Filter::new(&[], &[], &list(&["0123"]), &[]).expect("globs");
        assert!(container.wants(&process("x", "/", Some("0123456789"))));
        assert!(!container.wants(&process("x", "/", Some("9123456789"))));
        assert!(!container.wants(&process("x", "/", None)));
        let mut named = process("x", "/", Some("9123456789"));
        named.workload.container_name = Some("0123".into());
        assert!(container.wants(&named));
        assert!(Filter::new(&list(&["["]), &[], &[], &[]).is_err());
    }
}
