//! What `auditor schema` prints describes what `auditor run` prints.

use std::path::Path;

use auditor::report::Line;
use serde_json::json;

#[test]
fn every_golden_line_is_as_the_schema_says() {
    let schema = Line::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut kinds = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(recordings).expect("the recordings are there") {
        let path = entry.expect("a directory entry").path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).expect("golden output").lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            if let Err(error) = validator.validate(&value) {
                panic!("{}: {error}\n{line}", path.display());
            }
            kinds.insert(value["record_type"].as_str().unwrap_or_default().to_owned(), value);
        }
    }
    for kind in ["finding", "lifecycle", "stats", "summary"] {
        assert!(kinds.contains_key(kind), "no golden line of type {kind}");
    }
    // What no golden line has, and is there when it applies.
    let mut summary = kinds["summary"].clone();
    assert!(summary["duration_seconds"]["p99"].is_f64());
    for (formats, valid) in [(json!({"b3": {"dropped": 3}}), true), (json!({"b3": {"dropped": "often"}}), false)] {
        summary["formats"] = formats;
        assert_eq!(validator.validate(&summary).is_ok(), valid, "{summary}");
    }
    // The schema is not one that accepts anything.
    assert!(validator.validate(&json!({"record_type": "finding"})).is_err());
    assert!(validator.validate(&json!({"record_type": "no such"})).is_err());
}
