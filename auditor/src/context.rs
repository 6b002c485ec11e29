//! Trace context as requests carry it: one file per propagation format, each parses and compares.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod format;
pub mod identity;
mod evidence;
mod hex;
#[cfg(test)]
mod testing;

pub mod w3c;
mod trace;
pub mod b3;
pub mod jaeger;
pub mod datadog;
pub mod xray;
pub mod google;
pub mod baggage;
pub mod ids;
pub mod opaque;

pub mod agreement;
pub mod translate;
pub mod history;
mod carried;
mod selection;

pub use carried::{Carried, Presence};
pub use selection::{Selection, SelectionError};
pub use trace::TraceFormat;

use crate::rule::Rule;
use format::Format;

/// Every format that is audited. Of several that name a trace, the first that does is what a finding is about.
pub static FORMATS: [&dyn Format; 13] = [
    &w3c::W3C,
    &b3::B3,
    &jaeger::JAEGER,
    &datadog::DATADOG,
    &xray::XRAY,
    &google::GOOGLE,
    &baggage::BAGGAGE,
    &ids::REQUEST_ID,
    &ids::CORRELATION_ID,
    &opaque::GRPC_TRACE_BIN,
    &opaque::SKYWALKING,
    &opaque::OT_SPAN_CONTEXT,
    &opaque::OT_TRACE,
];

/// Rules that are of no single format.
pub static ACROSS: [&Rule; 6] = [
    &agreement::MISMATCH,
    &translate::TRANSLATED,
    &translate::TRUNCATED,
    &translate::TRACESTATE_LOST,
    &ids::HEADER_DROPPED,
    &ids::HEADER_CHANGED,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_fields_are_one_formats_own() {
        let (mut names, mut fields) = (BTreeSet::new(), BTreeSet::new());
        for format in FORMATS {
            assert!(names.insert(format.name()), "{} twice", format.name());
            for field in format.fields() {
                assert!(fields.insert(field), "{field} twice");
                assert_eq!(field.to_ascii_lowercase(), **field);
            }
        }
    }
}
