//! A request that a process received: a possible parent of its calls.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::hindsight::Credit;
use super::scope::Kind;
use crate::audit::Silence;
use crate::context::{Carried, Presence};
use crate::exchange::{ExchangeId, Request};
use crate::record::{BootNs, ProcessId};
use crate::report::address::{Destination, cut};

/// Longest method and path that are kept.
const METHOD_CAP: usize = 32;
const PATH_CAP: usize = 256;

/// Method, path and route of a request, cut to what is reported.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Method.
    pub method: Cow<'static, str>,
    /// Path with its variable segments replaced.
    pub route: Arc<str>,
}

impl Target {
    /// Of a request whose path has this route.
    pub fn new(request: &Request, route: Arc<str>) -> Self {
        let method = &request.head.method;
        let long = method.len() > METHOD_CAP;
        Self { method: if long { cut(method, METHOD_CAP).to_owned().into() } else { method.clone() }, route }
    }
}

/// A request that a process sends.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// As it crossed the socket.
    pub request: &'a Request,
    /// What for.
    pub target: &'a Target,
    /// What it carries.
    pub sent: &'a Carried,
    /// Where to.
    pub destination: &'a Destination,
    /// The exchange at its other end, where that was seen already: not one that it was made for.
    pub received_as: Option<ExchangeId>,
}

impl Outbound<'_> {
    /// Whether it carries something that a request may have brought, valid or not.
    pub(super) fn carries_trace(&self) -> bool {
        !self.sent.named.is_empty() || self.sent.w3c.raw().is_some()
    }

    /// A number that stands for calls of its target to its destination.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        Hash::hash(&(self.target, self.destination), &mut hasher);
        hasher.finish()
    }
}

/// What executes: a coroutine where it is known, else the thread.
pub(super) type Execution = u64;

/// Of whoever completed a head.
pub(super) fn execution(tid: u32, coroutine: u64) -> Execution {
    if coroutine != 0 { coroutine } else { u64::from(tid) }
}

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Its exchange.
    pub id: ExchangeId,
    /// Who received it.
    pub process: ProcessId,
    pub(super) execution: Execution,
    /// When its first byte crossed.
    pub started: BootNs,
    /// Where and what for.
    pub target: Target,
    /// Path as sent, cut.
    pub path: Box<str>,
    /// What it carried.
    pub carried: Carried,
    /// Both ends of its connection.
    pub endpoints: crate::record::Endpoints,
    /// Telemetry, health checks and the like: never the subject of a finding.
    pub ignored: bool,
    /// What of it, and of the calls that were made for it, is not told. That makes no difference to the pairing: it may be
    /// the parent of anything.
    pub silence: Silence,
    pub(super) kind: Kind,
    pub(super) route_key: u64,
    /// Hashes of values that its calls may carry as well.
    pub affinity: Box<[u64]>,
}

impl Inbound {
    /// Of a received request.
    pub fn new(request: &Request, target: Target, carried: Carried, ignored: bool) -> Self {
        let kind = match (carried.presence, ignored) {
            (Presence::Valid, false) => Kind::Valid,
            (Presence::Absent, false) => Kind::Absent,
            _ => Kind::Other,
        };
        let mut hasher = SipHasher13::new();
        hasher.write(target.method.as_bytes());
        hasher.write_u8(0);
        hasher.write(target.route.as_bytes());
        Self {
            id: request.id,
            process: request.process,
            execution: execution(request.tid, request.coroutine),
            started: request.started,
            path: cut(&request.head.path, PATH_CAP).into(),
            target,
            carried,
            endpoints: request.endpoints.clone(),
            ignored,
            silence: Silence::default(),
            kind,
            route_key: hasher.finish(),
            affinity: request.head.affinity.as_slice().into(),
        }
    }
}

/// An inbound with what the pairing remembers of it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) inbound: Arc<Inbound>,
    uses: Vec<Use>,
    /// When it was last set off: it arrived, a call of its was answered, or its own response was sent.
    pub(super) milestone: BootNs,
    /// Of the calls that are looked at again, those that it is taken to have made.
    pub(super) credits: Vec<Credit>,
    pub(super) open: bool,
    /// When its response was sent, or it ended, if it is not open.
    ended: BootNs,
    /// It is open no more only because that took too long: its end may still come.
    pub(super) expired: bool,
    /// It is open no more, but may still be at work.
    pub(super) lingers: bool,
    /// While it was at work, so were requests that did not carry a context.
    pub(super) mixed: bool,
}

/// Calls of one class that a request made.
#[derive(Clone, Copy, Debug)]
struct Use {
    class: u64,
    /// Suspect, and certainly its own.
    suspect: u32,
    /// The same but for the fault.
    kept: u32,
    /// Suspect, and perhaps another's.
    perhaps: u32,
    /// Suspect, and perhaps nobody's.
    chance: u32,
}

/// What a call is to the request that is taken to have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Suspect, and its own.
    Suspect,
    /// The same but for the fault.
    Kept,
    /// Suspect, and perhaps another's.
    Perhaps,
    /// Suspect, and perhaps nobody's: no other route could have made it.
    Chance,
}

impl Held {
    pub(super) fn new(now: BootNs, inbound: Arc<Inbound>) -> Self {
        Self {
            inbound,
            uses: Vec::new(),
            milestone: now,
            credits: Vec::new(),
            open: true,
            ended: 0,
            expired: false,
            lingers: false,
            mixed: false,
        }
    }

    /// When its response was sent, or it ended.
    pub(super) fn closed(&self) -> Option<BootNs> {
        (!self.open).then_some(self.ended)
    }

    /// That happened now.
    pub(super) fn close(&mut self, now: BootNs) {
        (self.open, self.ended) = (false, now);
    }

    fn uses(&self, class: u64) -> Option<&Use> {
        self.uses.iter().find(|used| used.class == class)
    }

    /// Calls of the class.
    pub(super) fn used(&self, class: u64) -> u32 {
        let all = |used: &Use| [used.suspect, used.kept, used.perhaps, used.chance];
        self.uses(class).map_or(0, |used| all(used).into_iter().fold(0, u32::saturating_add))
    }

    /// Whether it made suspect calls of the class, and others; `None`: perhaps.
    pub(super) fn made(&self, class: u64) -> Option<(bool, bool)> {
        let Some(used) = self.uses(class) else { return Some((false, false)) };
        (used.suspect > 0 || used.kept > 0 || used.perhaps == 0).then_some((used.suspect > 0, used.kept > 0))
    }

    /// It made one more call of the class; says how many that are.
    pub(super) fn bump(&mut self, class: u64, made: Made) -> u32 {
        let at = self.uses.iter().position(|used| used.class == class).unwrap_or_else(|| {
            self.uses.push(Use { class, suspect: 0, kept: 0, perhaps: 0, chance: 0 });
            self.uses.len() - 1
        });
        if let Some(used) = self.uses.get_mut(at) {
            let count = match made {
                Made::Suspect => &mut used.suspect,
                Made::Kept => &mut used.kept,
                Made::Perhaps => &mut used.perhaps,
                Made::Chance => &mut used.chance,
            };
            *count = count.saturating_add(1);
        }
        self.used(class)
    }
}

/// Path of a request, cut to what is reported.
pub fn reported_path(request: &Request) -> Box<str> {
    cut(&request.head.path, PATH_CAP).into()
}
