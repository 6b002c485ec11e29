//! One value of a file: as the command line would take it, and whether it can be.

use std::error::Error;
use std::ops::Range;

use auditor::audit::Ignore;
use auditor::audit::boundary::Trust;
use auditor::context::Selection;
use auditor::context::format::Level;
use auditor::pipeline::Filter;
use auditor::sink::{Spec, without_credentials};
use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::problem::{alike, with_suggestion};
use super::{is_list, key};

/// What is wrong with a value; the place if it is only a part of it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) span: Option<Range<usize>>,
    pub(super) what: String,
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self { span: None, what }
    }
}

/// As text that the option takes.
pub(super) fn written(arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(error) => return Err(format!("{number}: {error}").into()),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Table(_) => return table(arg, value),
        DeValue::Array(_) if is_list(arg) => return Err("an array in an array".to_owned().into()),
        DeValue::Array(_) => return Err("takes one value, not an array".to_owned().into()),
        DeValue::Datetime(_) => return Err("takes no date".to_owned().into()),
    };
    check(arg, &text)?;
    Ok(text)
}

/// A table, as text in one line.
fn table(arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
    fn read<T: DeserializeOwned>(value: &Spanned<DeValue<'_>>) -> Result<T, Wrong> {
        T::deserialize(ValueDeserializer::from(value.clone()))
            .map_err(|error| Wrong { span: error.span(), what: with_suggestion(error.message()) })
    }
    let inline = |value| read::<toml::Value>(value).map(|value| value.to_string());
    match &*key(arg) {
        "ignore" => read::<Ignore>(value).and_then(|_| inline(value)),
        "trust-boundary" => read::<Trust>(value).and_then(|_| inline(value)),
        "output" => read::<Spec>(value).map(|spec| spec.to_string()),
        _ => Err("takes no table".to_owned().into()),
    }
}

/// Whether the option takes it.
fn check(arg: &Arg, text: &str) -> Result<(), String> {
    // By itself, so that nothing but the value can be wrong.
    let alone =
        arg.clone().env(Resettable::Reset).default_value(Resettable::Reset).action(ArgAction::Set).global(false);
    let command = Command::new("auditor").no_binary_name(true).disable_help_flag(true).arg(alone);
    if let Err(error) = command.try_get_matches_from([format!("--{}={text}", key(arg))]) {
        return Err(why(text, &error));
    }
    let values = || text.split(',').map(str::trim);
    let refused = match &*key(arg) {
        "formats" => Selection::new(&values().collect::<Vec<_>>(), &[""; 0], Level::default()).err(),
        "header" => Selection::new(&["all"], &values().collect::<Vec<_>>(), Level::default()).err(),
        "exe" => {
            return Filter::new(&[text.to_owned()], &[], &[]).map(drop).map_err(|error| error.to_string());
        }
        _ => None,
    };
    // It names the option, and so does whoever tells of it.
    let told = |error: String| error.split_once(": ").map_or(error.clone(), |(_, why)| why.to_owned());
    refused.map_or(Ok(()), |error| Err(told(error.to_string())))
}

/// What the parser of the command line says of a value, and what it would take.
fn why(text: &str, error: &clap::Error) -> String {
    let text = &*without_credentials(text);
    if let Some(source) = error.source() {
        let why = with_suggestion(&source.to_string());
        return if why.contains(text) { why } else { format!("{text:?}: {why}") };
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            let meant = alike(text, valid.iter().map(String::as_str));
            let meant = meant.map_or(String::new(), |meant| format!(": did you mean `{meant}`?"));
            format!("{text:?} is not one of {}{meant}", valid.join(", "))
        }
        _ => format!("{text:?} cannot be its value"),
    }
}
