//! The truth itself: calls, the requests that caused them, and where on the wire both were.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::model::Route;

/// The nth message from a client's port, counted from 1 over the lifetime of the server that counts: `PORT/N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nth {
    /// Ephemeral port of the client.
    pub port: u16,
    /// Which request from this port, from 1, whatever the connection.
    pub n: u32,
}

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.n)
    }
}

impl FromStr for Nth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (port, n) = text.split_once('/')?;
            Some(Self { port: port.parse().ok()?, n: n.parse().ok()? })
        };
        parse().ok_or_else(|| format!("{text:?} is not PORT/N"))
    }
}

/// Numbers the requests from each port.
#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<BTreeMap<u16, u32>>);

impl Counter {
    /// The next request from this port.
    pub(crate) fn next(&self, port: u16) -> Nth {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = counts.entry(port).or_default();
        *n += 1;
        Nth { port, n: *n }
    }
}

/// A request that the driver made.
#[derive(Clone, Debug)]
pub struct Request {
    /// Port of the driver's connection, and which request on it.
    pub at: Nth,
    /// What was asked.
    pub route: Route,
    /// Header fields that a service may send on: names in lower case.
    pub fields: Vec<(&'static str, String)>,
}

/// What happened at one service.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Every outbound call, by the service's local port; with the id of the request that caused it, if one did.
    pub calls: BTreeMap<Nth, Option<String>>,
    /// Every inbound request by its id.
    pub requests: BTreeMap<String, Request>,
}

impl Truth {
    /// Takes in a truth line, `ID CALL`.
    ///
    /// # Errors
    /// When it is no truth line, or tells of a call that is known already.
    pub fn read(&mut self, line: &str) -> Result<(), String> {
        let (id, call) = line.split_once(' ').ok_or_else(|| format!("{line:?} is no truth line"))?;
        let parent = (id != "-").then(|| id.to_owned());
        match self.calls.insert(call.parse()?, parent) {
            None => Ok(()),
            Some(before) => Err(format!("call {call} was made by {before:?} already, and now by {id}")),
        }
    }

    /// What does not add up: requests with more or fewer calls than their route makes, calls of unknown requests.
    pub fn contradictions(&self, calls_of: impl Fn(Route) -> usize) -> Vec<String> {
        let mut made: BTreeMap<&str, usize> = BTreeMap::new();
        for id in self.calls.values().flatten() {
            *made.entry(id).or_default() += 1;
        }
        let unknown = made.keys().filter(|id| !self.requests.contains_key(**id)).map(|id| format!("no request {id}"));
        let wrong = self.requests.iter().filter_map(|(id, request)| {
            let (made, expected) = (made.get(id.as_str()).copied().unwrap_or(0), calls_of(request.route));
            (made != expected).then(|| format!("{} {id} made {made} calls, not {expected}", request.route.name()))
        });
        unknown.chain(wrong).collect()
    }

    /// Writes a JSON line a call: `call` is `PORT/N` of the outbound call, `parent` the id of its request (the last
    /// segment of the path it asked for) or null, `request` the `PORT/N` of that request.
    ///
    /// # Errors
    /// As the writer.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        for (call, parent) in &self.calls {
            let request = parent.as_ref().and_then(|id| self.requests.get(id)).map(|request| request.at.to_string());
            writeln!(to, "{}", json!({"call": call.to_string(), "parent": parent, "request": request}))?;
        }
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance() {
        let mut truth = Truth::default();
        let at = Nth { port: 9, n: 1 };
        truth.requests.insert("7".to_owned(), Request { at, route: Route::Keep, fields: Vec::new() });
        truth.requests.insert("8".to_owned(), Request { at, route: Route::None, fields: Vec::new() });
        assert_eq!(truth.contradictions(Route::calls).len(), 1, "keep made no call");
        truth.read("7 4000/1").expect("a truth line");
        truth.read("- 4000/2").expect("a truth line of the timer");
        assert!(truth.contradictions(Route::calls).is_empty());
        assert!(truth.read("8 4000/1").is_err() && truth.read("hello").is_err() && truth.read("8 4000").is_err());
        let mut lines = Vec::new();
        truth.write(&mut lines).expect("memory takes it");
        let lines = String::from_utf8(lines).expect("UTF-8");
        assert!(lines.contains(r#""call":"4000/1","parent":"8","request":"9/1""#), "{lines}");
        assert!(lines.contains(r#""call":"4000/2","parent":null,"request":null"#), "{lines}");
    }
}
