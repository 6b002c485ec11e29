//! BPF programs of others that take over what sockets send and receive, below where this one looks.
//!
//! `sk_msg` and `sk_skb` programs redirect, cut and change the bytes of the sockets in their maps. What they do to one
//! socket cannot be asked for; that they are there can.

use std::collections::BTreeSet;

use aya::programs::{ProgramInfo, ProgramType, loaded_programs};

use crate::record::{Blind, BlindReason, BootNs, ProcessId};

/// Those that were there the last time.
#[derive(Debug, Default)]
pub(super) struct Rewriters(BTreeSet<u32>);

impl Rewriters {
    /// What is there and was not the last time.
    pub(super) fn look(&mut self, now: BootNs) -> Option<Blind> {
        // Without the privilege to list programs there is one error; a program that goes meanwhile is another.
        let programs = loaded_programs().filter_map(Result::ok);
        let rewrites = |program: &ProgramInfo| {
            [ProgramType::SkMsg, ProgramType::SkSkb].into_iter().any(|kind| program.program_type() == kind.into())
        };
        let found: BTreeSet<u32> = programs.filter(rewrites).map(|program| program.id()).collect();
        let new = found.difference(&self.0).count() as u64;
        self.0 = found;
        (new > 0).then_some(Blind {
            process: ProcessId::NONE,
            time: now,
            reason: BlindReason::Rewritten,
            connections: 0,
            operations: new,
            bytes: 0,
        })
    }
}
