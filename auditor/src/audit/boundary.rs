//! Trust boundaries: places with which traces are not shared.
//!
//! Some places may rightly get another trace or none, or are not expected to take part at all; and some organisations
//! want to hear of context that leaves them. All of that is opt-in: without places nothing changes.

mod place;
mod trust;

pub(in crate::audit) use place::Towards;
pub use place::{BadPlace, Place};
pub use trust::Trust;

use super::{Code, Found, Severity, Subject};
use crate::context::format::{Cargo, Fault};
use crate::context::w3c::rules::{RESTARTED, STATE_DROPPED, STATE_MEMBER_REMOVED};
use crate::context::{Carried, Selection};
use crate::record::Endpoints;
use crate::report::address::Destination;
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
#[derive(Clone, Debug, Default)]
pub struct Boundaries {
    /// Traces that come from there or go there may end or begin anew on the way: that is reported as information.
    pub trust: Vec<Trust>,
    /// Unless there is none, context is not expected to leave these, this machine and its sockets.
    pub internal: Vec<Place>,
}

impl Boundaries {
    /// The boundary that a call crosses, or that the request crossed for which it was made.
    pub fn crossed(&self, call: &Subject<'_>, request: Option<&Endpoints>) -> Option<&Trust> {
        self.trust.iter().find(|trust| trust.is_crossed(call, request))
    }

    /// Whether a place is not among those that are internal, where some are.
    pub fn is_external(&self, destination: &Destination, endpoints: &Endpoints) -> bool {
        if self.internal.is_empty() {
            return false;
        }
        let towards = Towards::new(destination, endpoints);
        !towards.is_local() && towards.is_in(&self.internal).is_none()
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
        if !self.is_external(destination, endpoints) {
            return None;
        }
        let formats = sent.formats(None, selection).filter(|format| format.cargo() != Cargo::Id);
        let names: Vec<_> = formats.map(|format| format.name()).collect();
        let first = *names.first()?;
        let fault = Fault { rule: &SENT_EXTERNALLY, reason: None, detail: Some(names.join(", ").into()) };
        Some(Found { format: first, fault })
    }
}
