//! OpenTelemetry's log data model in OTLP's JSON: names in lower camel case, ids in hex, 64-bit integers as text.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{each_leaf, text_at};
use crate::report::cut_strings;

/// What is in a field of its own, or in the resource.
const FIELDS: [&str; 8] =
    ["timestamp", "message", "level", "severity_number", "event_name", "trace_id", "span_id", "trace_flags"];

/// One line as `resourceLogs`, as the OTLP file exporter has them, of at most so many bytes: long texts are cut, then
/// attributes left out from the last on and counted.
pub(super) fn line(line: &Value, cap: usize) -> String {
    let mut request = request_of([line].into_iter());
    let mut text = request.to_string();
    for limit in [1024, 256, 64] {
        if text.len() <= cap {
            return text;
        }
        cut_values(&mut request, limit);
        text = request.to_string();
    }
    while text.len() > cap {
        let Some(record) = request.pointer_mut("/resourceLogs/0/scopeLogs/0/logRecords/0") else { break };
        let Some(attributes) = record.get_mut("attributes").and_then(Value::as_array_mut) else { break };
        let left_out = (attributes.len() / 4).max(1);
        if attributes.is_empty() {
            break;
        }
        attributes.truncate(attributes.len() - left_out);
        let before = record.get("droppedAttributesCount").and_then(Value::as_u64).unwrap_or(0);
        if let Some(record) = record.as_object_mut() {
            record.insert("droppedAttributesCount".to_owned(), (before + left_out as u64).into());
        }
        text = request.to_string();
    }
    text
}

/// Cuts texts, but neither names nor ids nor numbers that are text in JSON.
fn cut_values(value: &mut Value, limit: usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| cut_values(item, limit)),
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "stringValue" { cut_strings(field, limit) } else { cut_values(field, limit) }
            }
        }
        _ => {}
    }
}

/// An `ExportLogsServiceRequest` of these lines of the contract.
pub(in crate::sink) fn request<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    request_of(lines.iter()).to_string()
}

fn request_of<'a>(lines: impl Iterator<Item = &'a Value>) -> Value {
    // By resource, in the order of their first lines.
    let mut resources: Vec<(Value, Vec<Value>)> = Vec::new();
    for line in lines {
        let resource = resource(line);
        let record = record(line);
        match resources.iter_mut().rev().find(|(known, _)| *known == resource) {
            Some((_, records)) => records.push(record),
            None => resources.push((resource, vec![record])),
        }
    }
    let scope = json!({"name": "auditor", "version": env!("CARGO_PKG_VERSION")});
    let resources: Vec<Value> = resources
        .into_iter()
        .map(
            |(resource, records)| json!({"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": records}]}),
        )
        .collect();
    json!({"resourceLogs": resources})
}

/// The audited workload, or the auditor where a line is about itself or the node.
fn resource(line: &Value) -> Value {
    let mut attributes = Vec::new();
    match line.get("resource") {
        Some(resource @ Value::Object(_)) => each_leaf(resource, |name, value| attributes.push(attribute(name, value))),
        _ => {
            attributes.push(attribute("service.name", &"auditor".into()));
            attributes.push(attribute("service.version", &env!("CARGO_PKG_VERSION").into()));
        }
    }
    json!({"attributes": attributes})
}

fn record(line: &Value) -> Value {
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| _ = record.insert(name.to_owned(), value);
    if let Some(time) = text_at(line, "timestamp").and_then(|text| text.parse::<Timestamp>().ok()) {
        // Both are fixed64 in the protocol: text in its JSON.
        put("timeUnixNano", time.as_nanosecond().to_string().into());
        put("observedTimeUnixNano", time.as_nanosecond().to_string().into());
    }
    let level = text_at(line, "level").unwrap_or("info");
    put("severityNumber", line.get("severity_number").cloned().unwrap_or_else(|| 9.into()));
    put("severityText", level.to_uppercase().into());
    put("body", json!({"stringValue": super::sentence(line)}));
    let name = text_at(line, "event_name").unwrap_or_default();
    put("eventName", name.into());
    // Ids of other lengths exist (64-bit B3): the protocol has no place for them, so they stay attributes.
    let trace = text_at(line, "trace_id").filter(|id| is_id(id, 32));
    let span = text_at(line, "span_id").filter(|id| is_id(id, 16) && trace.is_some());
    let flags = text_at(line, "trace_flags").and_then(|flags| u8::from_str_radix(flags, 16).ok());
    let flags = flags.filter(|_| trace.is_some());
    for (name, id) in [("traceId", trace), ("spanId", span)] {
        if let Some(id) = id {
            put(name, id.into());
        }
    }
    if let Some(flags) = flags {
        put("flags", flags.into());
    }
    let mut attributes = Vec::new();
    each_leaf(line, |name, value| {
        let told = match name {
            "trace_id" => trace.is_some(),
            "span_id" => span.is_some(),
            "trace_flags" => flags.is_some(),
            name => FIELDS.contains(&name) || name.starts_with("resource."),
        };
        if !told {
            // Names of the conventions as they are, ours below our own.
            let name = match name.strip_prefix("attributes.") {
                Some(name) => name.to_owned(),
                None => format!("auditor.{}", name.strip_prefix("auditor.").unwrap_or(name)),
            };
            attributes.push(attribute(&name, value));
        }
    });
    put("attributes", attributes.into());
    Value::Object(record)
}

fn is_id(id: &str, digits: usize) -> bool {
    let zero = id.bytes().all(|byte| byte == b'0');
    id.len() == digits && !zero && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn attribute(name: &str, value: &Value) -> Value {
    json!({"key": name, "value": any(value)})
}

/// An `AnyValue`.
fn any(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Number(number) => match number.as_i64() {
            Some(value) => json!({"intValue": value.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(items) => json!({"arrayValue": {"values": items.iter().map(any).collect::<Vec<_>>()}}),
        Value::Object(fields) => {
            let values: Vec<_> = fields.iter().map(|(key, value)| attribute(key, value)).collect();
            json!({"kvlistValue": {"values": values}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_in_the_data_model() {
        let finding = super::super::tests::finding();
        let request: Value = serde_json::from_str(&line(&finding, 8192)).unwrap();
        let record = request.pointer("/resourceLogs/0/scopeLogs/0/logRecords/0").unwrap();
        assert_eq!(record["traceId"], finding["trace_id"]);
        assert_eq!(record["spanId"], finding["span_id"]);
        assert_eq!((&record["severityNumber"], &record["severityText"]), (&json!(17), &json!("ERROR")));
        assert_eq!(record["body"]["stringValue"], finding["message"]);
        assert_eq!(record["eventName"], "auditor.finding");
        let attributes = record["attributes"].as_array().unwrap();
        let of = |name: &str| attributes.iter().find(|attribute| attribute["key"] == name).map(|a| a["value"].clone());
        assert_eq!(
            of("http.request.method"),
            Some(json!({"stringValue": finding["attributes"]["http.request.method"]}))
        );
        let count = finding["finding"]["count"].to_string();
        assert_eq!(of("auditor.finding.count"), Some(json!({"intValue": count})));
        assert_eq!(of("auditor.trace_id"), None);
        let resource = request.pointer("/resourceLogs/0/resource/attributes").unwrap().as_array().unwrap();
        assert!(resource.iter().any(|attribute| attribute["key"] == "service.name"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let mut finding = super::super::tests::finding();
        finding["message"] = "x".repeat(9000).into();
        let text = line(&finding, 3000);
        assert!(text.len() <= 3000);
        let request: Value = serde_json::from_str(&text).unwrap();
        let record = request.pointer("/resourceLogs/0/scopeLogs/0/logRecords/0").unwrap();
        assert_eq!(record["traceId"], finding["trace_id"]);
        assert!(record["droppedAttributesCount"].as_u64().is_some_and(|count| count > 0));
    }

    #[test]
    fn ids_that_are_none_stay_attributes() {
        let mut finding = super::super::tests::finding();
        finding["trace_id"] = "0000000000000000".into();
        let record = record(&finding);
        assert_eq!((record.get("traceId"), record.get("spanId"), record.get("flags")), (None, None, None));
        let text = record.to_string();
        assert!(text.contains("auditor.trace_id") && text.contains("auditor.span_id"), "{text}");
    }

    #[test]
    fn lines_of_one_resource_are_together() {
        let lines = super::super::tests::golden();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let request: Value = serde_json::from_str(&request(lines.iter().copied())).unwrap();
        let resources = request["resourceLogs"].as_array().unwrap();
        let records = |logs: &Value| logs["scopeLogs"][0]["logRecords"].as_array().map_or(0, Vec::len);
        assert_eq!(resources.iter().map(records).sum::<usize>(), lines.len());
        let different: std::collections::BTreeSet<_> = resources.iter().map(|r| r["resource"].to_string()).collect();
        assert_eq!(different.len(), resources.len());
    }
}
