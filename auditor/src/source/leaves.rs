//! Tells the kernel side which processes to leave alone, as the pipeline decides ([`crate::pair::Rest`]).

use std::num::NonZeroUsize;

use auditor_ebpf::wire;
use aya::maps::{Array, HashMap, MapData};
use lru::LruCache;
use zerocopy::IntoBytes;

use crate::pair::Rest;

/// Processes whose numbers are remembered: as many as the kernel side remembers.
const KNOWN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The kernel side's `LEAVES`.
pub struct Leaves {
    map: HashMap<MapData, u32, [u8; size_of::<wire::Leaf>()]>,
    on: Array<MapData, u32>,
    /// What was said last of a process.
    said: LruCache<u32, wire::Leaf>,
}

impl Leaves {
    pub(super) fn new(map: HashMap<MapData, u32, [u8; size_of::<wire::Leaf>()]>, on: Array<MapData, u32>) -> Self {
        Self { map, on, said: LruCache::new(KNOWN) }
    }

    /// Leaves a process alone, or looks at it again. That it cannot be said costs no more than what it would have saved,
    /// or what is not seen until the process is woken the next time.
    pub fn set(&mut self, rest: &Rest) {
        let Rest { process, rests } = *rest;
        let before = self.said.get(&process.tgid).filter(|leaf| leaf.start_ns == process.start_ns);
        let number = before.map_or(0, |leaf| leaf.number).wrapping_add(1) | 1;
        let number = if rests { number } else { before.map_or(0, |leaf| leaf.number).wrapping_add(1) & !1 };
        let leaf = wire::Leaf { start_ns: process.start_ns, number, unused: 0 };
        let mut bytes = [0; size_of::<wire::Leaf>()];
        bytes.copy_from_slice(leaf.as_bytes());
        let said = self.map.insert(process.tgid, bytes, 0).and_then(|()| self.on.set(0, 1, 0));
        match said {
            Ok(()) => log::debug!("process {} {}", process.tgid, if rests { "is left alone" } else { "is looked at" }),
            Err(error) => log::warn!("the kernel side does not hear which processes to leave alone: {error}"),
        }
        self.said.put(process.tgid, leaf);
    }
}
