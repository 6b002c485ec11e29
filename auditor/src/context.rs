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
mod selection;

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

    use super::format::{Fields, Level, Status};
    use super::*;
    use proptest::prelude::*;

    /// Every rule, those of two formats once.
    fn rules() -> Vec<&'static Rule> {
        let mut rules: Vec<_> = FORMATS.iter().flat_map(|format| format.rules()).chain(&ACROSS).copied().collect();
        rules.sort_by_key(|rule| rule.name);
        rules.dedup_by(|a, b| std::ptr::eq(*a, *b));
        rules
    }

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
        assert!(rules().windows(2).all(|pair| pair[0].name != pair[1].name));
    }

    #[test]
    fn rules_are_explained_and_their_sentences_can_be_filled_in() {
        for rule in rules() {
            let name = rule.name;
            assert!(rule.meaning.len() > 80 && rule.looks_like.len() > 20, "{name}");
            assert!(!rule.causes.is_empty() && !rule.fix.is_empty(), "{name}");
            assert!(rule.on_call.contains("{who}") && rule.on_call.contains("{call}"), "{name}");
            for (sentence, holes) in [
                (rule.on_call, &["who", "from", "call", "format", "reason", "detail"][..]),
                (rule.on_request, &["client", "who", "from", "format", "reason", "detail"]),
            ] {
                for hole in sentence.split('{').skip(1) {
                    assert!(holes.contains(&hole.split_once('}').unwrap().0), "{name}: {sentence}");
                }
            }
        }
    }

    /// Values of the shapes that parsers look for, and of none.
    fn value() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            "[0-9a-fA-F]{1,34}",
            "[0-9]{1,22}",
            Just("1".to_owned()),
            Just("d".to_owned()),
            Just("Root=1-5759e988-bd862e3fe1be46a994272793".to_owned()),
            Just("_dd.p.tid=640cfd8d00000000".to_owned()),
            "\\PC{0,4}",
        ];
        let delimiter =
            prop_oneof![Just("-"), Just(":"), Just("%3A"), Just("/"), Just(";o="), Just(";"), Just(","), Just("")];
        proptest::collection::vec((token, delimiter), 0..7)
            .prop_map(|parts| parts.into_iter().map(|(token, delimiter)| token + delimiter).collect())
    }

    fn head() -> impl Strategy<Value = Vec<(bytes::Bytes, bytes::Bytes)>> {
        let names: Vec<_> = FORMATS.iter().flat_map(|format| format.fields()).copied().collect();
        let value = prop_oneof![value().prop_map(String::into_bytes), any::<Vec<u8>>()];
        let field = (proptest::sample::select(names), value);
        let field = field.prop_map(|(name, value)| (bytes::Bytes::from_static(name.as_bytes()), value.into()));
        proptest::collection::vec(field, 0..10)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn whoever_passes_everything_on_has_done_nothing(head in head()) {
            let head = Fields(&head);
            let mut named = Vec::new();
            for format in FORMATS {
                let compared = format.compare(head, head, Level::Two);
                prop_assert!(matches!(compared.status, Status::PassedThrough | Status::Absent));
                prop_assert_eq!(compared.faults, []);
                let identity = format.read(head, Level::Two).and_then(|reading| reading.identity);
                named.extend(identity.map(|identity| identity::Named { format: format.name(), identity }));
            }
            prop_assert_eq!(agreement::introduced(&named, &named), None);
            prop_assert_eq!(translate::faults(&named, &named, true), []);
        }
    }
}
