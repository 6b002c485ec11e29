//! What `auditor schema` prints describes what `auditor run` prints.

use std::path::Path;

use auditor::report::Line;

#[test]
fn every_golden_line_is_as_the_schema_says() {
    let schema = Line::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut kinds = std::collections::BTreeSet::new();
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
            kinds.insert(value["record_type"].as_str().unwrap_or_default().to_owned());
        }
    }
    for kind in ["finding", "lifecycle", "stats", "summary"] {
        assert!(kinds.contains(kind), "no golden line of type {kind}");
    }
    // The schema is not one that accepts anything.
    assert!(validator.validate(&serde_json::json!({"record_type": "finding"})).is_err());
    assert!(validator.validate(&serde_json::json!({"record_type": "no such"})).is_err());
}
