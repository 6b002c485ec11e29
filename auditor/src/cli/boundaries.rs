//! Places with which traces are not shared.

use auditor::audit::Boundaries;
use auditor::audit::boundary::Place;
use clap::Args;

/// Where traces may end.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trust boundaries")]
pub(crate) struct BoundaryArgs {
    /// Traces that go to this place, or come from it (an address or network), may end or start anew on the way: that is
    /// reported at level info. PLACE: host, host:port, *.example.com, 10.1.2.3, 10.0.0.0/8, or path of a Unix socket;
    /// compared with the name the client used and with the address it reached. Repeatable.
    #[arg(long, env = "AUDITOR_TRUST_BOUNDARY", value_delimiter = ',', value_name = "PLACE")]
    trust_boundary: Vec<Place>,
    /// Nobody expects a trace to go to this place: such calls are ignored, as telemetry is. Repeatable.
    #[arg(long, env = "AUDITOR_IGNORE_DESTINATION", value_delimiter = ',', value_name = "PLACE")]
    ignore_destination: Vec<Place>,
    /// Report context that is sent to any other place as `trace_context_sent_externally`; loopback and Unix sockets are
    /// internal as well. Repeatable.
    #[arg(long, env = "AUDITOR_INTERNAL", value_delimiter = ',', value_name = "PLACE")]
    internal: Vec<Place>,
}

impl BoundaryArgs {
    pub(crate) fn boundaries(&self) -> Boundaries {
        Boundaries {
            trust: self.trust_boundary.clone(),
            ignored: self.ignore_destination.clone(),
            internal: self.internal.clone(),
        }
    }
}
