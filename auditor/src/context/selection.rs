//! What is audited: which formats, against which level of W3C Trace Context, and which headers of the user besides.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::FORMATS;
use super::format::{Format, Level, is_named};
use super::ids::Header;
use crate::http::is_token;

/// Stands for every format.
const ALL: &str = "all";
/// Longest name of a header of the user, in bytes.
const LONGEST: usize = 64;
/// Headers that are credentials and nothing else: what is audited stays readable, in recordings too.
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// Why a selection makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No format has this name.
    #[error("--formats: no format is called {0:?}; there are {ALL}, {names}", names = names().join(", "))]
    UnknownFormat(String),
    /// No format is left.
    #[error("--formats: none is named; there are {ALL}, {names}", names = names().join(", "))]
    NoFormat,
    /// RFC 9110, 5.1: the name of a field is a token.
    #[error("--header: {0:?} is no name of a header: 1 to {LONGEST} letters, digits, or any of !#$%&'*+-.^_`|~")]
    NoName(String),
    /// It may be neither shown nor recorded.
    #[error("--header: {0} holds credentials, which must not be recorded")]
    Credentials(String),
}

/// See the module.
#[derive(Clone)]
pub struct Selection {
    /// Those that are told of, in the order of [`FORMATS`], with one for every header of the user; then the others, for a
    /// trace that goes on in any of them has not ended.
    pub formats: Arc<[&'static dyn Format]>,
    /// So many of them are told of.
    told: usize,
    /// Level of W3C Trace Context.
    pub level: Level,
    lines: Arc<Lines>,
}

/// Which names fields have, or begin with.
struct Lines {
    /// By their length.
    names: Vec<Vec<Line>>,
    beginnings: Vec<Line>,
}

/// Fields of this name are those of some formats: a bit for each.
struct Line {
    name: &'static str,
    formats: u64,
}

impl Lines {
    /// The fields of all of them.
    fn of(formats: &[&'static dyn Format]) -> Arc<Self> {
        let (mut names, mut beginnings) = (Vec::new(), Vec::new());
        for (at, format) in formats.iter().enumerate() {
            let formats = 1 << (at & 63);
            for name in format.fields() {
                names.resize_with(names.len().max(name.len() + 1), Vec::new);
                names.iter_mut().skip(name.len()).take(1).for_each(|same| same.push(Line { name, formats }));
            }
            beginnings.extend(format.prefixes().iter().map(|name| Line { name, formats }));
        }
        Arc::new(Self { names, beginnings })
    }
}

impl Selection {
    /// Of formats with these names (`all`: every one), and headers with these. What a header is called is never freed.
    ///
    /// # Errors
    /// A name that no format has, or that no header can have or should be read by.
    pub fn new(formats: &[impl AsRef<str>], headers: &[impl AsRef<str>], level: Level) -> Result<Self, SelectionError> {
        let mut selected = named(formats)?;
        for name in headers {
            let name = header(name.as_ref())?;
            if !selected.iter().any(|format| reads(*format, &name)) {
                selected.push(named_header(name));
            }
        }
        let told = selected.len();
        let others = FORMATS.into_iter().filter(|format| !selected.iter().any(|other| other.name() == format.name()));
        let formats: Arc<[_]> = selected.iter().copied().chain(others).collect();
        Ok(Self { lines: Lines::of(&formats), formats, told, level })
    }

    /// Whether findings on this format are wanted.
    pub fn tells(&self, format: &str) -> bool {
        self.formats.iter().take(self.told).any(|told| told.name() == format)
    }

    /// Where a format stands among them.
    pub fn place(&self, format: &str) -> usize {
        self.formats.iter().position(|other| other.name() == format).unwrap_or(self.formats.len())
    }

    /// The formats that have a field of this name, by their places: a bit for each.
    pub(super) fn formats_of(&self, name: &[u8]) -> u64 {
        let named = self.lines.names.get(name.len()).into_iter().flatten();
        let begun = self.lines.beginnings.iter();
        let named = named.filter(|line| is_named(name, line.name));
        let begun = begun.filter(|line| {
            name.get(..line.name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(line.name.as_bytes()))
        });
        named.chain(begun).fold(0, |all, line| all | line.formats)
    }

    /// Names of the fields that have to stay readable, lower case.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.formats.iter().flat_map(|format| format.fields()).copied()
    }

    /// What names of further such fields begin with.
    pub fn prefixes(&self) -> impl Iterator<Item = &'static str> {
        FORMATS.iter().flat_map(|format| format.prefixes()).copied()
    }
}

impl Default for Selection {
    fn default() -> Self {
        let level = Level::default();
        Self { formats: FORMATS.into(), told: FORMATS.len(), level, lines: Lines::of(&FORMATS) }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<_> = self.formats.iter().map(|format| format.name()).collect();
        f.debug_struct("Selection").field("formats", &formats).field("level", &self.level).finish()
    }
}

/// What the formats are called.
fn names() -> Vec<&'static str> {
    FORMATS.iter().map(|format| format.name()).collect()
}

/// Those formats, in the order in which findings prefer them.
fn named(wanted: &[impl AsRef<str>]) -> Result<Vec<&'static dyn Format>, SelectionError> {
    let wanted: Vec<_> = wanted.iter().map(|name| name.as_ref().trim()).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = wanted.iter().find(|name| **name != ALL && !names().contains(*name)) {
        return Err(SelectionError::UnknownFormat((*unknown).to_owned()));
    }
    let selected: Vec<_> =
        FORMATS.into_iter().filter(|format| wanted.contains(&ALL) || wanted.contains(&format.name())).collect();
    if selected.is_empty() { Err(SelectionError::NoFormat) } else { Ok(selected) }
}

/// The header of this name; there is one for the whole run, however often it is asked for.
fn named_header(name: String) -> &'static dyn Format {
    static HEADERS: Mutex<Vec<(String, &'static Header)>> = Mutex::new(Vec::new());
    let mut headers = HEADERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, header)) = headers.iter().find(|(known, _)| *known == name) {
        return *header;
    }
    let header: &'static Header = Box::leak(Box::new(Header::named(&name)));
    headers.push((name, header));
    header
}

/// The name of a header of the user, lower case.
fn header(name: &str) -> Result<String, SelectionError> {
    let name = name.trim().to_ascii_lowercase();
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_token) {
        return Err(SelectionError::NoName(name));
    }
    if CREDENTIALS.contains(&&*name) { Err(SelectionError::Credentials(name)) } else { Ok(name) }
}

fn reads(format: &dyn Format, name: &str) -> bool {
    format.fields().contains(&name) || format.prefixes().iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(formats: &[&str], headers: &[&str]) -> Result<Vec<&'static str>, SelectionError> {
        let selection = Selection::new(formats, headers, Level::Two)?;
        assert!(FORMATS.iter().all(|format| selection.formats.iter().any(|other| other.name() == format.name())));
        Ok(selection.formats.iter().map(|format| format.name()).filter(|name| selection.tells(name)).collect())
    }

    #[test]
    fn formats_by_name() {
        assert_eq!(selected(&["all"], &[]).unwrap(), names());
        assert_eq!(selected(&["b3", " w3c", "b3", ""], &[]).unwrap(), ["w3c", "b3"]);
        assert_eq!(selected(&["b3", "all"], &[]).unwrap(), names());
        assert_eq!(selected(&["", " "], &[]), Err(SelectionError::NoFormat));
        let error = selected(&["w3c", "zipkin"], &[]).unwrap_err().to_string();
        assert!(error.contains("\"zipkin\"") && names().iter().all(|name| error.contains(name)), "{error}");
        assert!(!names().contains(&ALL));
    }

    #[test]
    fn headers_come_last_and_once() {
        assert_eq!(selected(&["w3c"], &["X-Tenant", "x-tenant", "TraceParent"]).unwrap(), ["w3c", "x-tenant"]);
        // Audited already, unless its format was left out.
        assert_eq!(selected(&["all"], &["x-request-id"]).unwrap(), names());
        assert_eq!(selected(&["w3c"], &["x-request-id"]).unwrap(), ["w3c", "x-request-id"]);
        for wrong in ["", " ", "a b", "a:b", "ä", "a\0", &"a".repeat(65)] {
            assert!(matches!(selected(&["all"], &[wrong]), Err(SelectionError::NoName(_))), "{wrong}");
        }
        for wrong in ["Authorization", "cookie", "Set-Cookie", "proxy-authorization"] {
            assert!(matches!(selected(&["all"], &[wrong]), Err(SelectionError::Credentials(_))), "{wrong}");
        }
    }

    #[test]
    fn every_format_stays_readable() {
        let selection = Selection::new(&["b3"], &["x-tenant"], Level::One).unwrap();
        let fields: Vec<_> = selection.fields().collect();
        for field in FORMATS.iter().flat_map(|format| format.fields()).chain(&["x-tenant"]) {
            assert!(fields.contains(field), "{field}");
        }
    }
}
