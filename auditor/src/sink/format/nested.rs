//! Dotted names as objects in each other: `http.request.method` becomes `{"http":{"request":{"method":…}}}`.

use serde_json::{Map, Value};

/// Expands the names of all objects.
pub(super) fn expand(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut expanded = Map::new();
            for (key, value) in fields {
                insert(&mut expanded, &key, expand(value));
            }
            Value::Object(expanded)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(expand).collect()),
        value => value,
    }
}

/// Puts a value below its name. Where a part of the name has a value already, the rest of it stays dotted.
pub(super) fn insert(into: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.').filter(|(first, rest)| !first.is_empty() && !rest.is_empty()) else {
        match (into.get_mut(name), value) {
            // Both have fields.
            (Some(Value::Object(there)), Value::Object(fields)) => {
                for (key, value) in fields {
                    insert(there, &key, value);
                }
            }
            (_, value) => {
                into.insert(name.to_owned(), value);
            }
        }
        return;
    };
    match into.entry(first).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(below) => insert(below, rest, value),
        _ => {
            into.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_become_objects() {
        let flat = json!({"a.b.c": 1, "a.b.d": [{"x.y": null}], "e": {"f.g": 2}, "h": 3, "h.i": 4, ".": 5, "": 6});
        let nested = json!({
            "a": {"b": {"c": 1, "d": [{"x": {"y": null}}]}}, "e": {"f": {"g": 2}}, "h": 3, "h.i": 4, ".": 5, "": 6
        });
        assert_eq!(expand(flat), nested);
    }

    #[test]
    fn no_value_of_a_finding_is_lost() {
        let line = super::super::tests::finding();
        let mut flat = Vec::new();
        super::super::each_leaf(&line, |name, value| flat.push((name.to_owned(), value.clone())));
        let nested = expand(line);
        for (name, value) in flat {
            let found = name.split('.').try_fold(&nested, |value, key| value.get(key));
            assert_eq!(found, Some(&value), "{name}");
        }
    }
}
