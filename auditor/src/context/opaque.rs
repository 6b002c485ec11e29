//! Formats of which it is only seen whether they are there: what is in them is binary, or belongs to one vendor.

use super::evidence::{Show, evidence};
use super::format::{Cargo, Comparison, Fields, Format, Level, Reading, Status};
use super::trace::first;
use crate::rule::Rule;

/// A format that is seen and not read, so nobody is blamed for what becomes of it.
#[derive(Debug)]
pub struct Opaque {
    name: &'static str,
    fields: &'static [&'static str],
}

/// OpenCensus over gRPC: <https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md>.
pub static GRPC_TRACE_BIN: Opaque = Opaque { name: "grpc-trace-bin", fields: &["grpc-trace-bin"] };
/// Apache SkyWalking: <https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/>.
pub static SKYWALKING: Opaque = Opaque { name: "sw8", fields: &["sw8"] };
/// LightStep in Envoy: <https://www.envoyproxy.io/docs/envoy/v1.23.3/api-v3/config/trace/v3/lightstep.proto>.
pub static OT_SPAN_CONTEXT: Opaque = Opaque { name: "x-ot-span-context", fields: &["x-ot-span-context"] };
/// OpenTracing's basic tracers: <https://opentelemetry.io/docs/specs/otel/context/api-propagators/#ot-trace>.
pub static OT_TRACE: Opaque = Opaque { name: "ottrace", fields: &["ot-tracer-traceid"] };

impl Format for Opaque {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cargo(&self) -> Cargo {
        Cargo::Trace
    }

    fn fields(&self) -> &'static [&'static str] {
        self.fields
    }

    fn read(&self, head: Fields<'_>, _: Level) -> Option<Reading> {
        self.fields.iter().find_map(|name| first(head, name)).map(|_| Reading::default())
    }

    fn evidence(&self, head: Fields<'_>) -> String {
        evidence(head, self.fields, |_| Show::Name)
    }

    fn compare(&self, received: Fields<'_>, sent: Fields<'_>, _: Level) -> Comparison {
        let value = |head| self.fields.iter().find_map(|name| first(head, name));
        let status = match (value(received), value(sent)) {
            (None, None) => Status::Absent,
            (None, Some(_)) => Status::Started,
            (Some(_), None) => Status::Dropped,
            (Some(received), Some(sent)) if received == sent => Status::PassedThrough,
            (Some(_), Some(_)) => Status::Unknown,
        };
        Comparison { status, faults: Vec::new() }
    }

    fn dropped(&self) -> Option<&'static Rule> {
        None
    }

    fn rules(&self) -> &'static [&'static Rule] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{read, shown, status};
    use super::*;

    #[test]
    fn it_is_there_or_not() {
        let of = |received, sent| status(&SKYWALKING, &[("sw8", received)], &[("SW8", sent)]);
        assert_eq!(of("1-x", "1-x"), Status::PassedThrough);
        assert_eq!(of("1-x", "1-y"), Status::Unknown);
        assert_eq!(of("1-x", ""), Status::Dropped);
        assert_eq!(of("", "1-x"), Status::Started);
        assert_eq!(of("", ""), Status::Absent);
        assert_eq!(shown(&SKYWALKING, &[("sw8", "1-x")]), "sw8");
        assert_eq!(read(&SKYWALKING, &[("sw6", "1-x")]), None);
    }
}
