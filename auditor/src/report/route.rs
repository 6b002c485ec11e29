//! `http.route`: a path whose variable segments are replaced, so that `/orders/17` and `/orders/18` are one route, and
//! so are `/users/alice` and `/users/bob` once there are too many users to be words of an API.
//!
//! What looks like an id is one. Of other segments it is learnt: [`Routes`] keeps, per service and destination, a tree
//! of the segments that were seen. When a hundred different ones stood at the same place and most of them did not come
//! back, the place is variable from then on; those that came back time and again stay words. What it says depends on
//! the paths so far and on nothing else.
//!
//! When a place is learnt, what was said of `/users/alice` is not taken back: from then on the same fault is counted and
//! reported as one of `/users/{id}`, with a fingerprint of its own. A place that is variable never becomes words again,
//! unless its tree was full and forgot it, so that happens once.
//!
//! Routes decide how findings and evidence are grouped: while every call has a route of its own, none has enough of it.

use std::hash::Hasher;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use siphasher::sip::SipHasher13;

use super::address::Destination;
use super::texts::Texts;

/// Longest route; a longer path is cut.
const ROUTE_CAP: usize = 256;
/// Most segments that are told apart.
const SEGMENTS: usize = 12;
/// What stands for a variable segment.
const VARIABLE: &str = "{id}";

/// From so many different segments on they may be values. APIs have fewer words in one place.
const MANY: usize = 100;
/// …and they are, if at least four in five came only once,
const RARE: (usize, usize) = (4, 5);
/// …or if there are so many.
const TOO_MANY: usize = 256;
/// How many requests later it counts as coming back: the calls made for one request name the same thing.
const LATER: u32 = 32;
/// A segment that came back so often, and in every fourth stretch of [`LATER`] requests, is a word.
const OFTEN: u32 = 3;

/// Most nodes of one tree; then what came seldom is forgotten.
const TREE_CAP: usize = 4096;
/// Most nodes of all trees; then the tree that was not used for longest is forgotten.
const FOREST_CAP: usize = 65_536;
/// Most trees.
const TREES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// Learns routes.
#[derive(Debug)]
pub struct Routes {
    trees: LruCache<u64, Tree>,
    texts: Texts,
    /// The route at hand.
    route: String,
    /// Nodes of all trees.
    nodes: usize,
    /// Trees forgotten for want of room.
    pub evicted: u64,
}

impl Default for Routes {
    fn default() -> Self {
        Self { trees: LruCache::unbounded(), texts: Texts::default(), route: String::new(), nodes: 0, evicted: 0 }
    }
}

impl Routes {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The route of one more request with this path, without query. Each `space` (see [`space`]) is learnt for itself.
    pub fn route(&mut self, space: u64, path: &str) -> Arc<str> {
        let tree = self.trees.get_or_insert_mut(space, Tree::default);
        let before = tree.nodes;
        tree.route(path, &mut self.route);
        let route = self.texts.share(&self.route);
        if tree.nodes > TREE_CAP {
            tree.prune();
        }
        self.nodes = (self.nodes + tree.nodes).saturating_sub(before);
        while self.nodes > FOREST_CAP || self.trees.len() > TREES.get() {
            let Some((_, tree)) = self.trees.pop_lru() else { break };
            self.nodes = self.nodes.saturating_sub(tree.nodes);
            self.evicted += 1;
        }
        route
    }

    /// Trees, and nodes of all trees, that are held.
    pub fn held(&self) -> (usize, usize) {
        (self.trees.len(), self.nodes)
    }
}

/// The space of the requests that a service receives, or sends to a destination.
pub fn space(service: &str, destination: Option<&Destination>) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(service.as_bytes());
    hasher.write_u8(0xff);
    if let Some(destination) = destination {
        hasher.write_u8(1);
        hasher.write(destination.address.as_bytes());
        hasher.write_u16(destination.port.unwrap_or(0));
    }
    hasher.finish()
}

/// Whether a segment is an id, or names one thing among many by what is in it.
pub(crate) fn is_variable(segment: &str) -> bool {
    is_id(segment) || segment.bytes().any(|byte| matches!(byte, b'.' | b':' | b',' | b'(' | b'@')) && has_id(segment)
}

/// Digits, UUIDs, hex with a digit from 8 characters, and long tokens that mix digits and letters.
fn is_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return false;
    }
    let hex_or_dash = bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-');
    let token = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'%' | b'='));
    digits == bytes.len() || (hex_or_dash && bytes.len() >= 8) || (token && bytes.len() >= 24)
}

/// `17.json`, but neither `v1.2` nor `2.0`; `17:confirm` and `17,18`; `Orders(17)` and `Orders('a')`; `a@example.com`.
fn has_id(segment: &str) -> bool {
    let file = segment.split_once('.').is_some_and(|(name, rest)| is_id(name) && rest.starts_with(char::is_alphabetic));
    let listed = segment.contains([':', ',']) && segment.split([':', ',']).any(is_id);
    let key = segment.split_once('(').and_then(|(_, key)| key.strip_suffix(')'));
    let keyed = key.is_some_and(|key| key.contains(|c: char| c.is_ascii_digit() || c == '\''));
    let address = segment.split_once('@').is_some_and(|(who, host)| !who.is_empty() && host.contains('.'));
    file || listed || keyed || address
}

/// The paths of one space.
#[derive(Debug, Default)]
struct Tree {
    root: Place,
    nodes: usize,
}

/// What follows one and the same beginning of a path.
#[derive(Debug, Default)]
struct Place {
    /// By hash of the segment, ascending: no text is held.
    words: Vec<(u64, Word)>,
    /// What follows a variable segment.
    variable: Option<Box<Place>>,
    /// Segments that are not among the words are variable.
    learnt: bool,
    /// Words that did not come back.
    rare: usize,
    requests: u32,
}

#[derive(Debug, Default)]
struct Word {
    /// How often it came, at most once in [`LATER`] requests.
    came: u32,
    /// Number of the request when it last counted.
    at: u32,
    below: Place,
}

impl Tree {
    fn route(&mut self, path: &str, out: &mut String) {
        out.clear();
        let mut place = &mut self.root;
        for (index, segment) in path.split('/').enumerate() {
            if index > 0 {
                out.push('/');
            }
            if index > SEGMENTS || out.len() + segment.len() > ROUTE_CAP {
                out.push('…');
                break;
            }
            // Before the first slash, after the last, between two.
            if segment.is_empty() {
                continue;
            }
            let (variable, below) = place.step(segment, &mut self.nodes);
            out.push_str(if variable { VARIABLE } else { segment });
            place = below;
        }
    }

    /// Forgets what came seldom, until half of the nodes are free.
    fn prune(&mut self) {
        let mut seldom = 2;
        while self.nodes > TREE_CAP / 2 && seldom < u32::MAX / 2 {
            self.root.prune(seldom);
            self.nodes = self.root.size();
            seldom *= 2;
        }
        if self.nodes > TREE_CAP / 2 {
            *self = Self::default();
        }
    }
}

impl Place {
    /// Whether the segment is variable here, and what follows it.
    fn step(&mut self, segment: &str, nodes: &mut usize) -> (bool, &mut Self) {
        self.requests = self.requests.saturating_add(1);
        if is_variable(segment) {
            return (true, self.variable(nodes));
        }
        let mut hasher = SipHasher13::new();
        hasher.write(segment.as_bytes());
        let key = hasher.finish();
        let found = self.words.binary_search_by_key(&key, |(key, _)| *key);
        if self.learnt && found.is_err() {
            return (true, self.variable(nodes));
        }
        let requests = self.requests;
        let at = found.unwrap_or_else(|at| {
            self.words.insert(at, (key, Word { came: 1, at: requests, below: Self::default() }));
            *nodes += 1;
            self.rare += 1;
            at
        });
        if found.is_err() && self.has_values() {
            self.learn(nodes);
            return (true, self.variable(nodes));
        }
        match self.words.get_mut(at) {
            Some((_, word)) => {
                if requests - word.at >= LATER {
                    self.rare = self.rare.saturating_sub(usize::from(word.came == 1));
                    (word.came, word.at) = (word.came.saturating_add(1), requests);
                }
                (false, &mut word.below)
            }
            // It was found or inserted.
            None => (true, self.variable.get_or_insert_default()),
        }
    }

    fn variable(&mut self, nodes: &mut usize) -> &mut Self {
        self.variable.get_or_insert_with(|| {
            *nodes += 1;
            Box::default()
        })
    }

    fn has_values(&self) -> bool {
        let words = self.words.len();
        words >= TOO_MANY || words >= MANY && self.rare * RARE.1 >= words * RARE.0
    }

    /// From now on what is not known is variable, and so is what came seldom.
    fn learn(&mut self, nodes: &mut usize) {
        let often = OFTEN.max(self.requests / LATER / 4);
        self.learnt = true;
        let before = self.size();
        self.words.retain(|(_, word)| word.came >= often);
        self.words.shrink_to_fit();
        self.rare = 0;
        *nodes = nodes.saturating_sub(before - self.size());
    }

    /// Nodes below.
    fn size(&self) -> usize {
        let words: usize = self.words.iter().map(|(_, word)| 1 + word.below.size()).sum();
        words + self.variable.as_ref().map_or(0, |below| 1 + below.size())
    }

    fn prune(&mut self, seldom: u32) {
        // The words of a place that is learnt are all that is known of it.
        if !self.learnt {
            self.words.retain(|(_, word)| word.came >= seldom);
            self.words.shrink_to_fit();
            self.rare = self.words.iter().filter(|(_, word)| word.came == 1).count();
        }
        let words = self.words.iter_mut().map(|(_, word)| &mut word.below);
        words.chain(self.variable.as_deref_mut()).for_each(|below| below.prune(seldom));
    }
}

#[cfg(test)]
mod tests;
