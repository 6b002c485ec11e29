//! Trust boundaries: places with which traces are not shared.
//!
//! Some places may rightly get another trace or none, or are not expected to take part at all; and some organisations
//! want to hear of context that leaves them. All of that is opt-in: without places nothing changes.

mod place;

use place::Towards;
pub use place::{BadPlace, Place};

use super::{Code, Found, Severity};
use crate::context::format::{Cargo, Fault};
use crate::context::w3c::rules::{RESTARTED, STATE_DROPPED, STATE_MEMBER_REMOVED};
use crate::context::{Carried, Selection};
use crate::record::Endpoints;
use crate::report::address::{Destination, peer_ip};
use crate::rule::Rule;

/// Context goes to a place that is not one's own.
pub static SENT_EXTERNALLY: Rule = Rule {
    name: "trace_context_sent_externally",
    severity: Severity::Info,
    spec: "w3c-trace-context-2 §privacy-considerations",
    on_call: "{who} sent trace context ({detail}) to a place that is not internal, on {call}",
    on_request: "",
    meaning: "The service sent trace context out of the places that were given as internal. Legal, and needed where the \
              other side takes part in the trace. Ids tell a stranger which calls belong together; tracestate and \
              baggage may tell more, such as accounts and users. Reported only if --internal is given.",
    looks_like: "Nothing, unless the other side records too: then its spans miss, or come from a stranger.",
    causes: &[
        "The HTTP client is instrumented, and injects context into every call, whoever is called",
        "A proxy forwards the headers of the request as they are",
    ],
    fix: &[
        "Nothing, if the other side is meant to get it: name it with --internal as well",
        "Inject only into calls to your own hosts: tracePropagationTargets (Sentry), propagateTraceHeaderCorsUrls (browsers), \
         a propagator or client interceptor that looks at the host",
        "Strip traceparent, tracestate and baggage at the egress gateway",
    ],
};

/// The places that the user has named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boundaries {
    /// Traces that come from there or go there may end or begin anew on the way: that is reported as information.
    pub trust: Vec<Place>,
    /// Nobody expects a trace to go there: such calls are ignored.
    pub ignored: Vec<Place>,
    /// Unless there is none, context is not expected to leave these, this machine and its sockets.
    pub internal: Vec<Place>,
}

impl Boundaries {
    /// Whether nobody expects a trace to go there.
    pub fn ignores(&self, destination: &Destination, endpoints: &Endpoints) -> bool {
        !self.ignored.is_empty() && Towards::new(destination, endpoints).is_in(&self.ignored).is_some()
    }

    /// The boundary that a call crosses, or that the request crossed for which it was made.
    pub fn crossed(&self, destination: &Destination, call: &Endpoints, request: Option<&Endpoints>) -> Option<&Place> {
        if self.trust.is_empty() {
            return None;
        }
        let client = request.and_then(peer_ip);
        let left = || self.trust.iter().find(|place| client.is_some_and(|client| place.has_client(client)));
        Towards::new(destination, call).is_in(&self.trust).or_else(left)
    }

    /// How bad it is that a trace that crosses a boundary broke this rule, if less bad than elsewhere.
    pub fn severity(rule: &'static Rule, selection: &Selection) -> Option<Severity> {
        let lost = selection.formats.iter().filter_map(|format| format.dropped());
        let mut intended = lost.chain([&RESTARTED, &STATE_DROPPED, &STATE_MEMBER_REMOVED]);
        intended.any(|other| Code(other) == Code(rule)).then_some(Severity::Info)
    }

    /// Context that a call carries to a place that is not internal.
    pub fn sent_externally(
        &self,
        sent: &Carried,
        destination: &Destination,
        endpoints: &Endpoints,
        selection: &Selection,
    ) -> Option<Found> {
        if self.internal.is_empty() {
            return None;
        }
        let formats = sent.formats(None, selection).filter(|format| format.cargo() != Cargo::Id);
        let names: Vec<_> = formats.map(|format| format.name()).collect();
        let first = *names.first()?;
        let towards = Towards::new(destination, endpoints);
        if towards.is_local() || towards.is_in(&self.internal).is_some() {
            return None;
        }
        let fault = Fault { rule: &SENT_EXTERNALLY, reason: None, detail: Some(names.join(", ").into()) };
        Some(Found { format: first, fault })
    }
}
