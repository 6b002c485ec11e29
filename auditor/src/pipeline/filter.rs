//! Selection that the kernel side does not do: by executable, systemd unit, container.
//!
//! A process that is not selected is left out whole, so that no request of a selected one loses its parent.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use lru::LruCache;

use crate::exchange::Event;
use crate::record::{BlindReason, Process, ProcessId, Record};

/// Left-out processes that are remembered; beyond that the oldest knowledge is dropped as a whole.
const KNOWN: usize = 65_536;

/// Processes that can be asked about again when other ones are wanted; as many as the live source describes once.
const DESCRIBED: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// Which processes are wanted; empty lists want everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    executables: Option<GlobSet>,
    units: Vec<String>,
    containers: Vec<String>,
    unwanted: HashSet<ProcessId>,
    described: Described,
}

/// Processes of which something else is wanted than before, in order of their ids.
#[derive(Debug)]
pub(super) struct Changed {
    /// Wanted only now.
    pub(super) joined: Vec<Arc<Process>>,
    /// Wanted no more.
    pub(super) left: Vec<ProcessId>,
}

#[derive(Clone, Debug)]
struct Described(LruCache<ProcessId, Arc<Process>>);

impl Default for Described {
    fn default() -> Self {
        Self(LruCache::new(DESCRIBED))
    }
}

impl Filter {
    /// Alternatives within a list, all lists must match.
    ///
    /// # Errors
    /// Says which executable pattern is none.
    pub fn new(executables: &[String], units: &[String], containers: &[String]) -> Result<Self, globset::Error> {
        let mut globs = GlobSetBuilder::new();
        for pattern in executables {
            globs.add(Glob::new(pattern)?);
        }
        Ok(Self {
            executables: if executables.is_empty() { None } else { Some(globs.build()?) },
            units: units.iter().map(|unit| unit.trim_end_matches(".service").to_owned()).collect(),
            containers: containers.to_vec(),
            unwanted: HashSet::new(),
            described: Described::default(),
        })
    }

    /// From now on, what another one wants.
    pub(super) fn replace(&mut self, by: Self) -> Changed {
        let Self { executables, units, containers, .. } = by;
        let before = std::mem::take(&mut self.unwanted);
        (self.executables, self.units, self.containers) = (executables, units, containers);
        let described = std::mem::take(&mut self.described);
        for (_, process) in described.0.iter().rev() {
            self.learn(process);
        }
        self.described = described;
        let mut changed = Changed { left: self.unwanted.difference(&before).copied().collect(), joined: Vec::new() };
        changed.left.sort_unstable();
        for id in before.into_iter().filter(|id| !self.unwanted.contains(id)).collect::<BTreeSet<_>>() {
            match self.described.0.peek(&id) {
                Some(process) => changed.joined.push(process.clone()),
                // Nothing is known of it but that it was not wanted.
                None => _ = self.unwanted.insert(id),
            }
        }
        changed
    }

    /// Whether the event belongs to a wanted process (or to none).
    pub(super) fn event(&mut self, event: &Event) -> bool {
        match event {
            Event::Process(process) => {
                self.described.0.put(process.id, process.clone());
                self.learn(process)
            }
            Event::Request(request) => !self.unwanted.contains(&request.process),
            Event::Blind(blind) => blind.reason == BlindReason::Frames || !self.unwanted.contains(&blind.process),
            // Of an exchange that was left out: the stages behind do not know it.
            _ => true,
        }
    }

    /// Whether the record belongs to a wanted process (or to none).
    pub fn record(&mut self, record: &Record) -> bool {
        match record {
            Record::Process(process) => self.learn(process),
            // Who receives what nobody can see may have wanted children, or be wanted later.
            Record::Data(data) => data.says_unseen() || !self.unwanted.contains(&data.process),
            Record::Blind(blind) => blind.reason == BlindReason::Frames || !self.unwanted.contains(&blind.process),
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
        let filter = Filter::new(&list(&["ngin?", "py*"]), &list(&["web.service"]), &[]).expect("globs");
        assert!(filter.wants(&process("nginx", "/system.slice/web.service", None)));
        assert!(filter.wants(&process("python3", "/system.slice/web.service/sub", None)));
        assert!(!filter.wants(&process("node", "/system.slice/web.service", None)));
        assert!(!filter.wants(&process("nginx", "/system.slice/other.service", None)));
        let container = Filter::new(&[], &[], &list(&["0123"])).expect("globs");
        assert!(container.wants(&process("x", "/", Some("0123456789"))));
        assert!(!container.wants(&process("x", "/", Some("9123456789"))));
        assert!(!container.wants(&process("x", "/", None)));
        let mut named = process("x", "/", Some("9123456789"));
        named.workload.container_name = Some("0123".into());
        assert!(container.wants(&named));
        assert!(Filter::new(&list(&["["]), &[], &[]).is_err());
    }

    /// It may be wanted later, or its children are.
    #[test]
    fn what_a_process_receives_unseen_is_known_of_all() {
        use crate::exchange::Unseen;
        let mut filter = Filter::new(&["nginx".into()], &[], &[]).expect("globs");
        let node = Arc::new(process("node", "/", None));
        assert!(!filter.event(&Event::Process(node.clone())));
        assert!(filter.event(&Event::Unseen { process: node.id, time: 1, what: Unseen::Something }));
    }

    #[test]
    fn other_processes_are_wanted_from_now_on() {
        let exe = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            Filter::new(&names, &[], &[]).expect("globs")
        };
        let of = |tgid, name| {
            let id = ProcessId { tgid, start_ns: 1 };
            Event::Process(Arc::new(Process { id, ..process(name, "/", None) }))
        };
        let mut filter = exe(&["nginx"]);
        let wanted = [of(1, "nginx"), of(2, "node"), of(3, "python3")].map(|event| filter.event(&event));
        assert_eq!(wanted, [true, false, false]);
        let mut change = |to| {
            let Changed { joined, left } = filter.replace(to);
            let joined = joined.iter().map(|process| process.id.tgid).collect::<Vec<_>>();
            (joined, left.iter().map(|id| id.tgid).collect::<Vec<_>>())
        };
        assert_eq!(change(exe(&["node"])), (vec![2], vec![1]));
        assert_eq!(change(exe(&["nod?"])), (vec![], vec![]));
        assert_eq!(change(Filter::default()), (vec![1, 3], vec![]));
        assert!(filter.unwanted.is_empty());
    }
}
