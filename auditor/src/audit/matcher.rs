//! What a user describes requests and calls by: service, path, destination, user agent.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::boundary::{Place, Towards};
use super::keys::{Keys, Pattern};
use crate::exchange::RequestHead;
use crate::record::Endpoints;
use crate::report::address::{Destination, peer_ip};

/// A request that a service received, or one that it sends.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Name of the service that received or sends it.
    pub service: &'a str,
    /// What it says.
    pub head: &'a RequestHead,
    /// Where it goes, if it is one that is sent.
    pub towards: Option<(&'a Destination, &'a Endpoints)>,
}

/// All keys must match, each by any of its values; a key without values matches everything.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    service: Option<Globs>,
    path: Option<Globs>,
    destination: Vec<Place>,
    user_agent: Option<Globs>,
}

impl Matcher {
    /// Every call to this place.
    pub fn to(place: Place) -> Self {
        Self { destination: vec![place], ..Self::default() }
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        let Self { service, path, destination, user_agent } = self;
        service.is_none() && path.is_none() && destination.is_empty() && user_agent.is_none()
    }

    /// Whether it describes this request. One that was received goes nowhere: no destination describes it.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let goes = |(destination, endpoints): (&Destination, &Endpoints)| {
            Towards::new(destination, endpoints).is_in(&self.destination).is_some()
        };
        (self.destination.is_empty() || subject.towards.is_some_and(goes)) && self.matches_beside_destination(subject)
    }

    /// Whether it describes this call, or one like it to whoever sent the request that it was made for.
    pub fn matches_either_way(&self, call: &Subject<'_>, request: Option<&Endpoints>) -> bool {
        let client = || request.and_then(peer_ip);
        self.matches(call)
            || !self.destination.is_empty()
                && client().is_some_and(|client| self.destination.iter().any(|place| place.has_client(client)))
                && self.matches_beside_destination(call)
    }

    fn matches_beside_destination(&self, subject: &Subject<'_>) -> bool {
        let is = |globs: &Option<Globs>, text: &str| globs.as_ref().is_none_or(|globs| globs.set.is_match(text));
        is(&self.service, subject.service)
            && is(&self.path, &subject.head.path)
            && self
                .user_agent
                .as_ref()
                .is_none_or(|globs| subject.head.user_agent.as_deref().is_some_and(|agent| globs.set.is_match(agent)))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |globs: &Option<Globs>| globs.as_ref().map_or_else(Vec::new, |globs| globs.patterns.clone());
        let places: Vec<_> = self.destination.iter().map(Place::to_string).collect();
        if let ([place], true) = (&places[..], Self { destination: Vec::new(), ..self.clone() }.is_empty()) {
            return f.write_str(place);
        }
        let keys = [("service", of(&self.service)), ("path", of(&self.path)), ("destination", places)];
        let keys = keys.into_iter().chain([("user-agent", of(&self.user_agent))]);
        let keys =
            keys.filter(|(_, values)| !values.is_empty()).map(|(key, values)| format!("{key}={}", values.join(",")));
        f.write_str(&keys.collect::<Vec<_>>().join(","))
    }
}

/// Patterns as they were written, and what finds them.
#[derive(Clone, Debug)]
struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
}

impl Globs {
    /// `separated`: only `**` goes across slashes.
    fn new(patterns: Vec<Pattern>, separated: bool) -> Result<Option<Self>, globset::Error> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let patterns: Vec<_> = patterns.into_iter().map(|Pattern(text)| text).collect();
        let mut set = GlobSetBuilder::new();
        for text in &patterns {
            set.add(GlobBuilder::new(text).literal_separator(separated).build()?);
        }
        Ok(Some(Self { set: set.build()?, patterns }))
    }
}

impl TryFrom<&mut Keys> for Matcher {
    type Error = String;

    fn try_from(keys: &mut Keys) -> Result<Self, String> {
        let globs = |patterns: &mut Vec<Pattern>, separated| {
            Globs::new(std::mem::take(patterns), separated).map_err(|error| error.to_string())
        };
        Ok(Self {
            service: globs(&mut keys.service, false)?,
            path: globs(&mut keys.path, true)?,
            destination: std::mem::take(&mut keys.destination),
            user_agent: globs(&mut keys.user_agent, false)?,
        })
    }
}
