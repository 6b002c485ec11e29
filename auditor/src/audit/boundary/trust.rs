//! A place, or more exactly the calls that go there, where traces may end.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::super::keys::Keys;
use super::super::matcher::{Matcher, Subject};
use super::Place;
use crate::record::Endpoints;

/// Calls that cross a boundary.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Trust(Matcher);

impl Trust {
    pub(super) fn is_crossed(&self, call: &Subject<'_>, request: Option<&Endpoints>) -> bool {
        self.0.matches_either_way(call, request)
    }
}

impl TryFrom<Keys> for Trust {
    type Error = String;

    fn try_from(mut keys: Keys) -> Result<Self, String> {
        if !keys.code.is_empty() {
            return Err("a trust boundary has no `code`: what may break there is known".into());
        }
        let matcher = Matcher::try_from(&mut keys)?;
        if matcher.is_empty() {
            return Err("an entry without service, path, destination and user-agent would be everywhere".into());
        }
        Ok(Self(matcher))
    }
}

impl FromStr for Trust {
    type Err = String;

    /// A place, or keys of calls.
    fn from_str(text: &str) -> Result<Self, String> {
        // No place has an equals sign in it, but for the path of a socket.
        if text.starts_with('{') || text.contains('=') && !text.trim_start().starts_with(['/', '@']) {
            return text.parse::<Keys>()?.try_into();
        }
        Ok(Self(Matcher::to(text.parse::<Place>().map_err(|error| error.to_string())?)))
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
