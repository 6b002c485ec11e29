//! What `auditor schema` says, for the tests that read lines.

use auditor::report::Line;

/// Every line is as `auditor schema` says.
///
/// # Panics
/// When one is not.
pub(crate) fn validate(lines: &[String]) {
    let validator = jsonschema::validator_for(&Line::schema()).expect("the schema is one");
    for line in lines {
        let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Err(error) = validator.validate(&value) {
            panic!("{error}: {line}");
        }
    }
}
