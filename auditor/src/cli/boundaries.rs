//! Places with which traces are not shared, and what nobody wants to hear of.

use std::fmt::Display;
use std::str::FromStr;

use auditor::audit::boundary::{Place, Trust};
use auditor::audit::{Boundaries, Ignore};
use clap::Args;

/// Where traces may end.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Trust boundaries and what is ignored")]
pub(crate) struct BoundaryArgs {
    /// Traces that go to this place, or come from it (an address or network), may end or start anew on the way: that is
    /// reported at level info. PLACE: host, host:port, *.example.com, 10.1.2.3, 10.0.0.0/8, or path of a Unix socket;
    /// compared with the name the client used and with the address it reached. Or keys as in --ignore (but code), for some
    /// calls only. Repeatable.
    #[arg(long, env = "AUDITOR_TRUST_BOUNDARY", value_name = "PLACE")]
    trust_boundary: Vec<Entries<Trust>>,
    /// Nobody expects a trace to go to this place: such calls are ignored, as telemetry is. Repeatable.
    #[arg(long, env = "AUDITOR_IGNORE_DESTINATION", value_delimiter = ',', value_name = "PLACE")]
    ignore_destination: Vec<Place>,
    /// Report context that is sent to any other place as `trace_context_sent_externally`; loopback and Unix sockets are
    /// internal as well. Repeatable.
    #[arg(long, env = "AUDITOR_INTERNAL", value_delimiter = ',', value_name = "PLACE")]
    internal: Vec<Place>,
    /// Ignore requests and calls that all the keys match, and the calls that were made for such a request. KEYS:
    /// service=GLOB, path=GLOB (of the request or call itself; only ** goes across slashes), destination=PLACE,
    /// user-agent=GLOB, with commas between, and between the values of a key. With code=CODE, only the findings with that
    /// code are. Ignored ones are counted, and still weighed as what may have caused other calls. Repeatable.
    #[arg(long, env = "AUDITOR_IGNORE", value_name = "KEYS")]
    ignore: Vec<Entries<Ignore>>,
}

impl BoundaryArgs {
    pub(crate) fn boundaries(&self) -> Boundaries {
        Boundaries { trust: all(&self.trust_boundary), internal: self.internal.clone() }
    }

    pub(crate) fn ignores(&self) -> Vec<Ignore> {
        let to = self.ignore_destination.iter().cloned().map(Ignore::to);
        to.chain(all(&self.ignore)).collect()
    }
}

/// What one value says: an inline table, or any number of entries with `;` between them, places also with `,`.
#[derive(Clone, Debug)]
pub(crate) struct Entries<T>(Vec<T>);

fn all<T: Clone>(values: &[Entries<T>]) -> Vec<T> {
    values.iter().flat_map(|Entries(entries)| entries.iter().cloned()).collect()
}

impl<T: FromStr<Err: Display>> FromStr for Entries<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |text: &str| text.trim().parse::<T>().map_err(|error| error.to_string());
        if text.starts_with('{') {
            return Ok(Self(vec![one(text)?]));
        }
        let entries = text.split(';').flat_map(|entry| match entry.contains('=') {
            true => vec![entry],
            false => entry.split(',').collect(),
        });
        Ok(Self(entries.map(one).collect::<Result<_, _>>()?))
    }
}
