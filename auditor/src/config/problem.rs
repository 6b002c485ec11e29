//! What is wrong in a file, where, and what was probably meant.

use std::fmt;
use std::ops::Range;

/// What is less like a name than this was not meant to be it.
const ALIKE: f64 = 0.7;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    line: usize,
    column: usize,
    what: String,
}

impl Problem {
    /// At this place of the text.
    pub(super) fn new(text: &str, span: Option<Range<usize>>, what: impl fmt::Display) -> Self {
        let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self { line, column, what: what.to_string() }
    }

    /// From what the TOML says of it.
    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        Self::new(text, error.span(), with_suggestion(error.message()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

/// The name that is most like this one.
pub(super) fn alike<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let alike = names.into_iter().map(|other| (strsim::jaro_winkler(&name, other), other));
    alike.filter(|(alike, _)| *alike > ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, other)| other)
}

/// serde lists what it expected: the first name is the one it found.
pub(super) fn with_suggestion(message: &str) -> String {
    let message = message.replacen("unknown field", "unknown key", 1);
    if !message.starts_with("unknown ") {
        return message;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    match names.next().and_then(|name| alike(name, names)) {
        Some(meant) => format!("{message}: did you mean `{meant}`?"),
        None => message,
    }
}
