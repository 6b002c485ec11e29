//! Requests that are received: parents of calls to come, and what is wrong with them by themselves.
//!
//! Who sent a broken value is the one at fault. Where that is a process of this node, which is audited as well, the fault
//! is told of its call and not again of the request.

use std::sync::Arc;

use super::back::{Back, Known};
use super::ends::APART;
use super::example::Example;
use super::findings::Occurrence;
use super::lines::{self, Evidence};
use crate::audit::ignore::is_ignored;
use crate::audit::{Code, Found, Silence, Subject, judge_inbound};
use crate::context::{Carried, Presence};
use crate::exchange::{ExchangeId, Request};
use crate::pair::{Inbound, Method, Target};
use crate::record::BootNs;
use crate::report::{FormatCounts, Line, fingerprint};

/// Requests with faults that wait for their other end. A head may be of 16 KiB.
const MAX_HELD: usize = 256;

/// A request with faults.
#[derive(Debug)]
pub(super) struct Held {
    request: Arc<Request>,
    known: Known,
    target: Target,
    carried: Carried,
    found: Vec<Found>,
    silence: Silence,
    seen: BootNs,
}

impl Back {
    pub(super) fn received(&mut self, request: &Arc<Request>, out: &mut Vec<Line>) {
        let carried = Carried::of(&request.head, request.visibility, &self.config.selection);
        let known = self.process(request.process, request);
        let subject = Subject { service: &known.process.service, head: &request.head, towards: None };
        let silence = Silence::of(&subject, &self.config.ignores);
        let exempt = is_ignored(&request.head, None);
        let wanted = self.wants(lines::local_port(&request.endpoints));
        let ignored = exempt || silence.all;
        let audited = wanted && !ignored;
        self.totals.ignored += u64::from(wanted && ignored);
        self.totals.requests += u64::from(audited);
        self.totals.requests_with_context += u64::from(audited && carried.presence == Presence::Valid);
        let target = self.target(request, &known.service, None);
        let client = self.ends.meet(request);
        let found = judge_inbound(&carried, &self.config.selection);
        for found in &found {
            self.broken.came(self.now, request.process, found);
        }
        if audited && !found.is_empty() {
            let (target, carried, silence) = (target.clone(), carried.clone(), silence.clone());
            let (request, known, seen) = (request.clone(), known.clone(), self.now);
            let held = Held { request, known, target, carried, found, silence, seen };
            match client {
                Some(client) => self.tell_of_call(held, client, out),
                None => self.hold(held, out),
            }
        }
        let mut inbound = Inbound::new(request, target, carried, exempt);
        inbound.silence = silence;
        self.pairer.opened(self.now, Arc::new(inbound), &known.service);
    }

    /// The client may be seen in a moment.
    fn hold(&mut self, held: Held, out: &mut Vec<Line>) {
        self.held.push_back(held);
        if self.held.len() > MAX_HELD
            && let Some(oldest) = self.held.pop_front()
        {
            self.tell(oldest, &[], out);
        }
    }

    /// The call that sent a request is seen now.
    pub(super) fn sender_found(&mut self, request: ExchangeId, call: ExchangeId, out: &mut Vec<Line>) {
        if let Some(at) = self.held.iter().position(|held| held.request.id == request)
            && let Some(held) = self.held.remove(at)
        {
            self.tell_of_call(held, call, out);
        }
    }

    /// The `call` that sent it was seen.
    fn tell_of_call(&mut self, mut held: Held, call: ExchangeId, out: &mut Vec<Line>) {
        let hop = self.hops.get(&call);
        // A request that nobody saw may have brought what the call only passes on: nobody knows whose fault it is.
        if hop.is_some_and(|hop| hop.pairing.unseen) {
            return;
        }
        // Of what its process received itself the senders were told, but where a port is wanted.
        if self.config.ports.is_empty() {
            let own = self.ends.peer(held.request.id);
            let passes: Vec<_> = own.into_iter().chain(hop.map(|hop| hop.pairing.service)).collect();
            held.found.retain(|found| !passes.iter().any(|pid| self.broken.may_be_passed_on(self.now, *pid, found)));
        }
        let elsewhere = self.told_of(call);
        self.tell(held, &elsewhere, out);
    }

    /// Tells what has waited long enough; in the end, everything.
    pub(super) fn tell_held(&mut self, all: bool, out: &mut Vec<Line>) {
        while let Some(held) = self.held.pop_front_if(|held| all || held.seen.saturating_add(APART) <= self.now) {
            self.tell(held, &[], out);
        }
    }

    fn tell(&mut self, held: Held, elsewhere: &[Found], out: &mut Vec<Line>) {
        let Held { request, known, target, carried, found, silence, seen } = held;
        let peer = self.peer(request.id);
        for found in found {
            // Of who sent it. Where a port is wanted that may be left out, and this is not.
            if self.config.ports.is_empty() && elsewhere.iter().any(|other| other.is_like(&found)) {
                continue;
            }
            let code = Code(found.fault.rule);
            let edge = [&*target.method, &target.route, "", ""];
            let fingerprint = fingerprint(&found, &known.service, &edge, &"");
            let severity = code.severity();
            let line = Evidence {
                found: &found,
                severity,
                selection: &self.config.selection,
                outcome: None,
                formats: &[],
                fingerprint,
                received: Some(&carried),
                sent: None,
                correlation: None,
                inbound: None,
                inbound_peer: None,
                destination: None,
                attributes: lines::received(&request, &target, peer.as_deref()),
                resource: self.resource(&known.process),
            }
            .line();
            let example = Example::Line(Box::new(line), None);
            let seen = (seen, seen);
            let formats = FormatCounts::default();
            let silenced = silence.has(code);
            let found = Occurrence { example, code, severity, how: None, silenced, count: 1, seen, formats };
            self.found((fingerprint, severity), found, out);
        }
    }

    /// Faults in what a call carries that are told of it, or of who sent them to its process; or would be, but for what a
    /// user ignores: they are not told of another instead.
    fn told_of(&self, call: ExchangeId) -> Vec<Found> {
        let Some(hop) = self.hops.get(&call) else { return Vec::new() };
        let mut told = hop.verdict.findings.clone();
        // Only where it is certain which request they were taken from.
        let methods = [Method::TraceId, Method::Coroutine, Method::Thread, Method::ChildProcess];
        let parent = hop.pairing.parent.as_deref().filter(|_| methods.contains(&hop.pairing.method));
        if let Some(parent) = parent.filter(|parent| !parent.ignored && parent.carried.whole) {
            told.extend(judge_inbound(&parent.carried, &self.config.selection));
        }
        told
    }
}
