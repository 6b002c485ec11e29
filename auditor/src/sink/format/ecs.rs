//! Elastic Common Schema: what it has a name for gets that name, all else is below `auditor`, where no other field is.

use serde_json::{Map, Value, json};

use super::nested;
use super::{at, each_leaf, text_at};

/// The version whose fields are used.
const VERSION: &str = "8.17.0";

/// Our names, with `/` between keys, and those of ECS.
const NAMES: [(&str, &str); 26] = [
    ("timestamp", "@timestamp"),
    ("message", "message"),
    ("level", "log.level"),
    ("severity_number", "event.severity"),
    ("event_name", "event.action"),
    ("trace_id", "trace.id"),
    ("span_id", "span.id"),
    ("interval_start", "event.start"),
    ("finding/code", "rule.id"),
    ("finding/spec", "rule.reference"),
    ("finding/first_seen", "event.start"),
    ("finding/last_seen", "event.end"),
    ("attributes/http.request.method", "http.request.method"),
    ("attributes/http.response.status_code", "http.response.status_code"),
    ("attributes/url.path", "url.path"),
    ("attributes/server.address", "server.address"),
    ("attributes/server.port", "server.port"),
    ("attributes/client.address", "client.address"),
    ("attributes/network.transport", "network.transport"),
    ("attributes/error.type", "error.type"),
    ("resource/service.name", "service.name"),
    ("resource/process.pid", "process.pid"),
    ("resource/process.executable.name", "process.name"),
    ("resource/process.command_line", "process.command_line"),
    ("resource/container.id", "container.id"),
    ("resource/host.name", "host.name"),
];

/// A line in ECS.
pub(super) fn record(line: Value) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| nested::insert(&mut fields, name, value);
    put("ecs.version", VERSION.into());
    put("event.module", "auditor".into());
    let dataset = text_at(&line, "record_type").map_or_else(|| "auditor".to_owned(), |kind| format!("auditor.{kind}"));
    put("event.dataset", dataset.into());
    let (kind, category) = match text_at(&line, "record_type") {
        Some("finding") => ("alert", json!(["network"])),
        Some("summary" | "stats") => ("metric", json!(["network"])),
        _ => ("event", json!(["process"])),
    };
    put("event.kind", kind.into());
    put("event.category", category);
    put("event.type", json!(["info"]));
    for (ours, theirs) in NAMES {
        if let Some(value) = at(&line, ours).filter(|value| !value.is_null()) {
            put(theirs, value.clone());
        }
    }
    if at(&line, "auditor/host.name").is_some_and(Value::is_string) {
        put("host.name", at(&line, "auditor/host.name").cloned().unwrap_or_default());
    }
    let taken = |name: &str| NAMES.iter().any(|(ours, _)| ours.replace('/', ".") == name);
    each_leaf(&line, |name, value| {
        if !taken(name) {
            let value = nested::expand(value.clone());
            put(&format!("auditor.{}", name.strip_prefix("auditor.").unwrap_or(name)), value);
        }
    });
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_has_the_names_of_ecs() {
        let line = super::super::tests::finding();
        let record = record(line.clone());
        let pointer = |name: &str| record.pointer(name).cloned().unwrap_or_default();
        assert_eq!(pointer("/@timestamp"), line["timestamp"]);
        assert_eq!(pointer("/ecs/version"), VERSION);
        assert_eq!(pointer("/event/kind"), "alert");
        assert_eq!(pointer("/event/dataset"), "auditor.finding");
        assert_eq!(pointer("/rule/id"), line["finding"]["code"]);
        assert_eq!(pointer("/trace/id"), line["trace_id"]);
        assert_eq!(pointer("/service/name"), line["resource"]["service.name"]);
        assert_eq!(pointer("/server/port"), line["attributes"]["server.port"]);
        assert_eq!(pointer("/auditor/finding/count"), line["finding"]["count"]);
        assert_eq!(pointer("/auditor/finding/inbound/http/route"), line["finding"]["inbound"]["http.route"]);
        assert_eq!(pointer("/auditor/finding/code"), Value::Null, "not twice");
    }

    #[test]
    fn no_value_of_any_line_is_lost() {
        fn count(value: &Value) -> usize {
            match value {
                Value::Object(fields) => fields.values().map(count).sum(),
                Value::Null => 0,
                _ => 1,
            }
        }
        for line in super::super::tests::golden() {
            let line: Value = serde_json::from_str(&line).unwrap();
            let own = 6;
            let host = usize::from(line["auditor"]["host.name"].is_string());
            assert_eq!(count(&record(line.clone())), count(&line) + own + host, "{line}");
        }
    }
}
