//! How entries that describe requests are written: `service=batch-*,path=/internal/**` in one line, or a table.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::Code;
use super::boundary::Place;

/// Names of the keys.
const KEYS: [&str; 6] = ["service", "path", "destination", "user-agent", "code", "reason"];

/// What is written, key by key; a key that is not written has no values.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Keys {
    #[serde(deserialize_with = "list")]
    pub(super) service: Vec<Pattern>,
    #[serde(deserialize_with = "list")]
    pub(super) path: Vec<Pattern>,
    #[serde(deserialize_with = "list")]
    pub(super) destination: Vec<Place>,
    #[serde(deserialize_with = "list")]
    pub(super) user_agent: Vec<Pattern>,
    #[serde(deserialize_with = "list")]
    pub(super) code: Vec<Code>,
    pub(super) reason: Option<String>,
}

impl FromStr for Keys {
    type Err = String;

    /// `key=value` with commas between; what has no `=` is another value of the key before it. Or an inline table of TOML.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('{') {
            let table = toml::de::ValueDeserializer::parse(text).and_then(Self::deserialize);
            return table.map_err(|error| error.message().to_owned());
        }
        let mut keys = Self::default();
        let mut last = None;
        for part in text.split(',') {
            let (key, value) = match (part.split_once('='), last) {
                (Some((key, value)), _) => (key.trim(), value),
                (None, Some(key)) => (key, part),
                (None, None) => return Err(format!("{part:?} has no key; write one of {}, then `=`", KEYS.join(", "))),
            };
            keys.add(key, value.trim())?;
            last = Some(key);
        }
        Ok(keys)
    }
}

impl Keys {
    fn add(&mut self, key: &str, value: &str) -> Result<(), String> {
        fn push<T: FromStr<Err: Display>>(list: &mut Vec<T>, key: &str, value: &str) -> Result<(), String> {
            list.push(value.parse().map_err(|error| format!("{key}: {value:?}: {error}"))?);
            Ok(())
        }
        match key {
            "service" => push(&mut self.service, key, value),
            "path" => push(&mut self.path, key, value),
            "destination" => push(&mut self.destination, key, value),
            "user-agent" => push(&mut self.user_agent, key, value),
            "code" => push(&mut self.code, key, value),
            "reason" => {
                self.reason = Some(value.to_owned());
                Ok(())
            }
            _ => Err(format!("unknown key `{key}`, expected one of `{}`", KEYS.join("`, `"))),
        }
    }
}

/// A glob that can be compiled.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub(super) String);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern matches nothing".to_owned());
        }
        globset::Glob::new(text).map_err(|error| error.kind().to_string())?;
        Ok(Self(text.to_owned()))
    }
}

/// One value, or an array of at least one.
fn list<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Values<T>(PhantomData<T>);
    impl<'de, T: FromStr<Err: Display>> Visitor<'de> for Values<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string, or an array of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![text.parse().map_err(|error| E::custom(format_args!("{text:?}: {error}")))?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(Value(value)) = items.next_element()? {
                values.push(value);
            }
            if values.is_empty() {
                Err(de::Error::custom("an empty list matches nothing: leave the key out"))
            } else {
                Ok(values)
            }
        }
    }
    deserializer.deserialize_any(Values(PhantomData))
}

/// An element, so that what is wrong with it is told of its own place.
struct Value<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| de::Error::custom(format_args!("{text:?}: {error}")))
    }
}
