//! Tells the kernel side which processes to leave alone, as the pipeline decides ([`crate::pair::Rest`]).

use std::num::NonZeroUsize;

use auditor_ebpf::wire;
use aya::maps::{Array, HashMap, MapData, MapError};
use lru::LruCache;
use zerocopy::IntoBytes;

use crate::pair::Rest;

/// Processes whose numbers are remembered: as many as the kernel side remembers.
const KNOWN: NonZeroUsize = NonZeroUsize::new(wire::LEAVES as usize).unwrap();

/// The kernel side's `LEAVES`.
pub struct Leaves {
    map: HashMap<MapData, u32, [u8; size_of::<wire::Leaf>()]>,
    on: Array<MapData, u32>,
    /// What was said last of a process.
    said: LruCache<u32, wire::Leaf>,
    /// What could not be said.
    unsaid: Vec<Rest>,
}

impl Leaves {
    pub(super) fn new(map: HashMap<MapData, u32, [u8; size_of::<wire::Leaf>()]>, on: Array<MapData, u32>) -> Self {
        Self { map, on, said: LruCache::new(KNOWN), unsaid: Vec::new() }
    }

    /// Leaves processes alone, or looks at them again. What cannot be said is said the next time: to be called now and then
    /// with nothing new.
    pub fn set(&mut self, rests: Vec<Rest>) {
        for rest in std::mem::take(&mut self.unsaid).into_iter().chain(rests) {
            let Some(leaf) = self.next(&rest) else { continue };
            match self.say(rest.process.tgid, leaf) {
                Ok(()) => {
                    let what = if rest.rests { "is left alone" } else { "is looked at" };
                    log::debug!("process {} {what}", rest.process.tgid);
                }
                Err(error) => {
                    log::warn!("the kernel side does not hear which processes to leave alone: {error}");
                    // That one is not left alone costs what it would have saved, and no more.
                    self.unsaid.extend((!rest.rests).then_some(rest));
                }
            }
            self.said.put(rest.process.tgid, leaf);
        }
    }

    /// What is to be said; `None`: nothing was of this process, or its pid is another's by now.
    fn next(&mut self, rest: &Rest) -> Option<wire::Leaf> {
        let start_ns = rest.process.start_ns;
        let before = self.said.get(&rest.process.tgid).filter(|leaf| leaf.start_ns == start_ns);
        let number = match (before, rest.rests) {
            (None, false) => return None,
            (None, true) => 1,
            (Some(before), true) => before.number.wrapping_add(1) | 1,
            (Some(before), false) => before.number.wrapping_add(1) & !1,
        };
        Some(wire::Leaf { start_ns, number, unused: 0 })
    }

    fn say(&mut self, tgid: u32, leaf: wire::Leaf) -> Result<(), MapError> {
        let mut bytes = [0; size_of::<wire::Leaf>()];
        bytes.copy_from_slice(leaf.as_bytes());
        self.map.insert(tgid, bytes, 0)?;
        self.on.set(0, 1, 0)
    }
}
