//! What a user wants to hear nothing of.
//!
//! It decides what is counted and told, and nothing else: requests and calls that are ignored are paired and weighed as
//! ever. So nothing is held against a service that would not be without it.

use std::str::FromStr;

use serde::Deserialize;

use super::Code;
use super::boundary::Place;
use super::keys::Keys;
use super::matcher::{Matcher, Subject};
use super::rules::blind_spots;

/// Requests and calls to ignore; with codes, only what these say of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Ignore {
    matcher: Matcher,
    codes: Vec<Code>,
}

impl Ignore {
    /// Every call to this place.
    pub fn to(place: Place) -> Self {
        Self { matcher: Matcher::to(place), codes: Vec::new() }
    }
}

impl TryFrom<Keys> for Ignore {
    type Error = String;

    fn try_from(mut keys: Keys) -> Result<Self, String> {
        let ignore = Self { matcher: Matcher::try_from(&mut keys)?, codes: keys.code };
        if ignore.matcher.is_empty() && ignore.codes.is_empty() {
            return Err(
                "an entry without service, path, destination, user-agent and code would ignore everything".into()
            );
        }
        let blind = |code: &Code| blind_spots::RULES.iter().any(|rule| Code(rule) == *code);
        match ignore.codes.iter().find(|code| blind(code)) {
            Some(code) => Err(format!("{code} is a blind spot, not a finding: what could not be seen is always told")),
            None => Ok(ignore),
        }
    }
}

impl FromStr for Ignore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<Keys>()?.try_into()
    }
}

/// What of a request or call is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// It is none of anybody's concern, as telemetry is.
    pub all: bool,
    codes: Vec<Code>,
}

impl Silence {
    /// As these entries say.
    pub fn of(subject: &Subject<'_>, ignores: &[Ignore]) -> Self {
        let mut silence = Self::default();
        for ignore in ignores.iter().filter(|ignore| ignore.matcher.matches(subject)) {
            silence.all |= ignore.codes.is_empty();
            silence.codes.extend_from_slice(&ignore.codes);
        }
        silence
    }

    /// Of a call, with what is not told of the request that it was made for.
    pub fn and(mut self, request: &Self) -> Self {
        self.all |= request.all;
        self.codes.extend_from_slice(&request.codes);
        self
    }

    /// Whether this is not told.
    pub fn has(&self, code: Code) -> bool {
        self.all || self.codes.contains(&code)
    }
}
