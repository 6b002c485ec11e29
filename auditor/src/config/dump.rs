//! Writes configuration files: what is in effect, and every key with its explanation.

use std::fmt::Write;

use clap::builder::StyledStr;
use toml::Value;

use super::{Loaded, is_list, key, options};

/// Widest line of a comment.
const WIDTH: usize = 110;
/// More than a list of strings can say.
const EXAMPLES: [(&str, &str); 3] = [
    (
        "output",
        "#[[output]]                # as tables, at the end of the file, instead of the list\n\
         #to = \"/var/log/auditor/findings.jsonl\"\n\
         #rotate-size = \"100MiB\"\n\
         #keep = 7\n",
    ),
    (
        "ignore",
        "#[[ignore]]                # as tables, at the end of the file, instead of the list\n\
         #service = [\"batch-*\"]     # all keys must match; the values of one are alternatives\n\
         #path = [\"/internal/**\"]\n\
         #destination = [\"10.0.0.0/8\", \"*.example.com\", \"payments:8080\"]\n\
         #user-agent = [\"kube-probe/*\"]\n\
         #code = [\"trace_not_started\"]\n\
         #reason = \"the batch jobs have no trace\"\n",
    ),
    (
        "trust-boundary",
        "#[[trust-boundary]]        # as tables, at the end of the file, instead of the list\n\
         #destination = [\"*.partner.example\"]\n\
         #service = [\"gateway\"]\n",
    ),
];

/// Keys whose values can be inline tables.
const TABLES: [&str; 2] = ["ignore", "trust-boundary"];
/// What the keys without a default could be.
const UNSET: [(&str, &str); 4] =
    [("duration", "30s"), ("duty-cycle", "10s/1m"), ("host-name", "node-a"), ("metrics-addr", "127.0.0.1:9464")];

/// What is in effect, as a file that says the same.
pub(crate) fn dump(loaded: &Loaded) -> String {
    let options = options();
    let mut text = match &loaded.file {
        Some(file) => format!("# Options and environment, over {}, over defaults.\n", file.display()),
        None => "# Options and environment, over defaults; there is no file.\n".to_owned(),
    };
    for (name, values) in &loaded.effective {
        let list = options.iter().find(|arg| key(arg) == *name).is_some_and(is_list);
        if let Some(value) = value(name, values, list) {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
    text
}

/// A file with every key, explained, at its default.
pub(crate) fn example() -> String {
    let mut text = "# Configuration of the auditor. Every key is an option of `auditor run` or `check`, and there is an environment\n\
                    # variable for each. Options win over the environment, and that wins over this file; what none of them sets is\n\
                    # as shown here. `auditor config check FILE` says what is wrong with a file, and where.\n"
        .to_owned();
    let mut heading = String::new();
    for arg in options() {
        let name = key(&arg);
        let of = arg.get_help_heading().unwrap_or("General");
        if heading != of {
            of.clone_into(&mut heading);
            let _ = write!(text, "\n## {heading}\n");
        }
        let help = arg.get_long_help().or(arg.get_help()).map(StyledStr::to_string).unwrap_or_default();
        text.push('\n');
        comment(&help.replace("Repeatable.", "A list."), &mut text);
        if let Some(variable) = arg.get_env() {
            let _ = writeln!(text, "# Environment: {}", variable.to_string_lossy());
        }
        let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        let value = value(&name, &defaults.collect::<Vec<_>>(), is_list(&arg));
        let _ = writeln!(text, "#{name} = {}", value.unwrap_or_else(|| unset(&name)));
        text.extend(EXAMPLES.iter().filter(|(of, _)| *of == name).map(|(_, example)| *example));
    }
    text
}

/// Of an option that has no default.
fn unset(name: &str) -> String {
    let example = UNSET.iter().find(|(of, _)| *of == name).map_or("", |(_, example)| example);
    format!("\"{example}\"    # for example; it is not set")
}

/// The value of a key; nothing, if it has none and is no list.
pub(super) fn value(key: &str, values: &[String], list: bool) -> Option<String> {
    let items = || values.iter().map(|value| item(key, value));
    match list {
        true => Some(Value::Array(items().collect()).to_string()),
        false => values.last().map(|value| item(key, value).to_string()),
    }
}

/// A number as a number, an inline table as one, all else as a string.
fn item(key: &str, text: &str) -> Value {
    let same = |value: &Value| value.to_string() == text;
    let number = || text.parse().ok().map(Value::Integer).filter(same);
    let fraction = || text.parse().ok().map(Value::Float).filter(same);
    let table = || (TABLES.contains(&key) && text.starts_with('{')).then(|| text.parse().ok()).flatten();
    number().or_else(fraction).or_else(table).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn comment(help: &str, text: &mut String) {
    let mut line = String::from("#");
    for word in help.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            let _ = writeln!(text, "{line}");
            line.truncate(1);
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(text, "{line}");
}
