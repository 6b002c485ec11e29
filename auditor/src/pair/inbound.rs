//! A request that a process received: a possible parent of its calls.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::scope::Kind;
use crate::context::w3c::Context;
use crate::exchange::{ExchangeId, Request};
use crate::record::{BootNs, ProcessId};
use crate::report::address::cut;

/// Longest method and path that are kept.
const METHOD_CAP: usize = 32;
const PATH_CAP: usize = 256;

/// Method, path and route of a request, cut to what is reported.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Method.
    pub method: Box<str>,
    /// Path with its variable segments replaced.
    pub route: Box<str>,
}

impl Target {
    /// Of a request whose path has this route.
    pub fn new(request: &Request, route: Box<str>) -> Self {
        Self { method: cut(&request.head.method, METHOD_CAP).into(), route }
    }
}

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Its exchange.
    pub id: ExchangeId,
    /// Who received it.
    pub process: ProcessId,
    /// On which thread.
    pub tid: u32,
    /// When its first byte crossed.
    pub started: BootNs,
    /// Where and what for.
    pub target: Target,
    /// Path as sent, cut.
    pub path: Box<str>,
    /// What it carried.
    pub context: Context,
    /// Both ends of its connection.
    pub endpoints: crate::record::Endpoints,
    /// Telemetry, health checks and the like: never the subject of a finding.
    pub ignored: bool,
    pub(super) kind: Kind,
    pub(super) route_key: u64,
}

impl Inbound {
    /// Of a received request.
    pub fn new(request: &Request, target: Target, context: Context, ignored: bool) -> Self {
        let kind = match (&context, ignored) {
            (Context::Valid(..), false) => Kind::Valid,
            (Context::Absent, false) => Kind::Absent,
            _ => Kind::Other,
        };
        let mut hasher = SipHasher13::new();
        hasher.write(target.method.as_bytes());
        hasher.write_u8(0);
        hasher.write(target.route.as_bytes());
        Self {
            id: request.id,
            process: request.process,
            tid: request.tid,
            started: request.started,
            path: cut(&request.head.path, PATH_CAP).into(),
            target,
            context,
            endpoints: request.endpoints.clone(),
            ignored,
            kind,
            route_key: hasher.finish(),
        }
    }

    /// Whether `raw` is, byte for byte, what this request carried.
    pub fn carried(&self, raw: &str) -> bool {
        self.context.raw() == Some(raw)
    }
}

/// An inbound with what the pairing remembers of it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) inbound: Arc<Inbound>,
    /// Calls it made, by class.
    pub(super) used: Vec<(u64, u32)>,
    pub(super) open: bool,
    /// It is open no more only because that took too long: its end may still come.
    pub(super) expired: bool,
}

impl Held {
    pub(super) fn used(&self, class: u64) -> u32 {
        self.used.iter().find(|(seq, _)| *seq == class).map_or(0, |(_, used)| *used)
    }

    /// It made one more call of the class; says how many that are.
    pub(super) fn bump(&mut self, class: u64) -> u32 {
        if let Some((_, used)) = self.used.iter_mut().find(|(seq, _)| *seq == class) {
            *used += 1;
            return *used;
        }
        self.used.push((class, 1));
        1
    }
}

/// Path of a request, cut to what is reported.
pub fn reported_path(request: &Request) -> Box<str> {
    cut(&request.head.path, PATH_CAP).into()
}
