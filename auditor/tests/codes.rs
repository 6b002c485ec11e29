//! What the stages tell by a status, a reason or a count has the right code.

use std::collections::BTreeSet;

use auditor::context::FORMATS;
use auditor::context::format::{Fields, Format, Level, Status};
use auditor::context::history::{Fate, History, Limits, Origin};
use auditor::context::ids::Header;
use auditor::context::w3c::TraceParent;
use auditor::exchange::FieldLines;
use auditor::pipeline::{Pipeline, Settings};
use auditor::record::{Blind, BlindReason, ProcessId, Record};
use auditor::report::Line;

/// Of a call that carries nothing, for a request with this field.
fn lost(format: &dyn Format, name: &str, value: &str) -> Option<&'static str> {
    let received = [(name, value)].into_iter().collect();
    let compared = format.compare(Fields(&received), Fields(&FieldLines::default()), Level::Two);
    assert_eq!(compared.faults, []);
    format.dropped().filter(|_| compared.status == Status::Dropped).map(|rule| rule.name)
}

/// The format that has this field.
fn of(name: &str) -> &'static dyn Format {
    let reads = |format: &&dyn Format| {
        format.fields().contains(&name) || format.prefixes().iter().any(|prefix| name.starts_with(prefix))
    };
    FORMATS.into_iter().find(reads).expect("a format has the field")
}

#[test]
fn what_ends_is_dropped_in_the_words_of_its_format() {
    let mut formats = Vec::new();
    for (name, value, code) in [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "traceparent_dropped"),
        ("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1", "b3_dropped"),
        ("uber-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:1", "jaeger_dropped"),
        ("x-datadog-trace-id", "7", "datadog_dropped"),
        ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=1;Sampled=1", "xray_dropped"),
        ("x-cloud-trace-context", "105445aa7843bc8bf206b12000100000/1;o=1", "google_dropped"),
        ("baggage", "a=1", "baggage_dropped"),
        ("uberctx-a", "1", "baggage_dropped"),
        ("x-request-id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "request_id_dropped"),
        ("x-correlation-id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "request_id_dropped"),
    ] {
        assert_eq!(lost(of(name), name, value), Some(code), "{name}");
        formats.push(of(name).name());
    }
    assert_eq!(lost(&Header::named("X-Tenant"), "x-tenant", "jane"), Some("header_dropped"));
    let blamed = FORMATS.iter().filter(|format| format.dropped().is_some()).map(|format| format.name());
    assert_eq!(blamed.collect::<Vec<_>>(), formats);
}

#[test]
fn what_may_end_is_not_dropped() {
    for (name, value) in [
        // Mandatory or allowed after what cannot be read.
        ("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        ("uber-trace-id", "x"),
        ("baggage", "a=1,b"),
        // A decision without a trace.
        ("b3", "0"),
        ("x-datadog-trace-id", "0"),
        // Added by load balancers and front ends that record nothing.
        ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
        ("x-cloud-trace-context", "105445aa7843bc8bf206b12000100000/1;o=0"),
        // Nothing.
        ("baggage", " , "),
        ("uberctx-a", ""),
        ("x-request-id", ""),
    ] {
        assert_eq!(lost(of(name), name, value), None, "{name}: {value}");
    }
    assert_eq!(lost(&Header::named("X-Tenant"), "x-tenant", ""), None);
}

#[test]
fn what_is_malformed_is_so_in_the_words_of_its_format() {
    for (name, value, code) in [
        ("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "traceparent_malformed"),
        ("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-2", "b3_malformed"),
        ("uber-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736-f067aa0ba902b7-0-1", "jaeger_malformed"),
        ("x-datadog-trace-id", "4bf92f3577b34da6", "datadog_malformed"),
        ("x-amzn-trace-id", "Root=1-4bf92f3577b34da6a3ce929d0e0e4736", "xray_malformed"),
        ("x-cloud-trace-context", "105445aa-7843-bc8b-f206-b12000100000/1;o=1", "google_malformed"),
        ("baggage", "a=1 2", "baggage_malformed"),
    ] {
        let head = [(name, value)].into_iter().collect();
        let reading = of(name).read(Fields(&head), Level::Two).expect("it is there");
        let faults: Vec<_> = reading.faults.iter().map(|fault| (fault.rule.name, fault.reason.is_some())).collect();
        assert_eq!(faults, [(code, true)], "{name}: {value}");
    }
}

#[test]
fn what_only_several_calls_can_show() {
    let mut history = History::new(Limits::default());
    let mut found = Vec::new();
    for n in 1..=64 {
        let id = u128::from(n);
        let value = TraceParent { version: 0, trace_id: id, parent_id: 0x00f0_67aa_0ba9_02b7, flags: 1 };
        let future = TraceParent { version: 1, ..value };
        found.extend(history.parent_set(1, &value));
        found.extend(history.root(1, 7, Some(Origin { id: n, route: n % 2, affinity: &[] })));
        found.extend(history.generated(1, id));
        found.extend(history.received(1, Fields(&FieldLines::default()), &value, Fate::Continued));
        found.extend(history.received(1, Fields(&FieldLines::default()), &future, Fate::Restarted));
    }
    let codes = ["parent_id_reused", "trace_id_not_random", "trace_id_reused", "valid_traceparent_rejected"];
    assert_eq!(found.iter().map(|fault| fault.rule.name).collect::<BTreeSet<_>>(), BTreeSet::from(codes));
}

#[test]
fn what_cannot_be_seen_is_said() {
    for (reason, code) in [
        (BlindReason::Tls, "tls_not_visible"),
        (BlindReason::Http2, "http2_not_visible"),
        (BlindReason::IoUring, "io_uring_not_visible"),
        (BlindReason::CompatSyscall, "compat_syscall_not_visible"),
        (BlindReason::Rewritten, "traffic_rewritten_below_socket"),
    ] {
        let process = ProcessId { tgid: 100, start_ns: 1 };
        let mut lines = Vec::new();
        let mut pipeline = Pipeline::new(Settings::default());
        let blind = Blind { process, time: 1, reason, connections: 1, operations: 2, bytes: 3 };
        pipeline.push(Record::Blind(blind), &mut lines);
        pipeline.finish(&mut lines);
        let spots: Vec<_> = lines
            .iter()
            .filter_map(|line| match line {
                Line::BlindSpot(line) => Some(&line.blind_spot),
                _ => None,
            })
            .collect();
        assert_eq!(spots.iter().map(|spot| (spot.code, spot.operations)).collect::<Vec<_>>(), [(code, 2)]);
    }
}
