//! The driver: makes requests at a rate over a number of connections, each with a trace and an id of its own.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ledger::{Counter, Request, Truth};
use super::model::{Model, Route};
use crate::http::{Connection, ReadStyle, TraceParent, WriteStyle, random};
use crate::socket::Stream;

/// Most milliseconds that the backend is asked to take: three hexadecimal digits.
const LONGEST: u64 = 0xfff;

/// A load on one service.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// Connections, each with one request at a time; about as many are open at once.
    pub connections: usize,
    /// Requests a second over all connections.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
    /// Whether requests carry an `x-request-id` and an `authorization` of their own.
    pub affinity: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Driven {
    /// The requests, and the calls that a proxy told of.
    pub truth: Truth,
    /// Requests that were not answered well.
    pub errors: Vec<String>,
}

impl Drive {
    /// Drives the service on a port until the time is over and every request is answered.
    pub fn run(&self, model: &Model, port: u16) -> Driven {
        let shared = Shared::new(self, model, port);
        std::thread::scope(|scope| {
            for _ in 0..self.connections {
                scope.spawn(|| shared.client());
            }
        });
        shared.driven.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the backend should take on average, so that every connection is busy most of the time.
    fn mean(&self, model: &Model) -> f64 {
        1000.0 * self.connections.min(model.parallel) as f64 / self.rate
    }
}

struct Shared<'a> {
    drive: &'a Drive,
    model: &'a Model,
    port: u16,
    ids: AtomicU64,
    counter: Counter,
    driven: Mutex<Driven>,
}

impl<'a> Shared<'a> {
    fn new(drive: &'a Drive, model: &'a Model, port: u16) -> Self {
        let (ids, counter, driven) = (AtomicU64::new(1), Counter::default(), Mutex::default());
        Self { drive, model, port, ids, counter, driven }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Driven> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection: a request every so often, or as soon as the one before is answered.
    fn client(&self) {
        let interval = self.drive.connections as f64 / self.drive.rate;
        let end = Instant::now() + self.drive.duration;
        let mut due = Instant::now() + Duration::from_secs_f64(interval * unit());
        let mut connection = None;
        while due < end {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.request(&mut connection) {
                connection = None;
                self.lock().errors.push(error);
            }
            due += Duration::from_secs_f64(interval * (0.5 + unit()));
            // What a slow answer cost is made up for, but not in a burst.
            let behind = Instant::now().checked_sub(Duration::from_secs_f64(2.0 * interval));
            due = behind.map_or(due, |behind| due.max(behind));
        }
    }

    /// Makes a request and waits for its answer. The connection is left behind if it can be used again.
    fn request(&self, kept: &mut Option<(u16, Connection)>) -> Result<(), String> {
        let routes = self.model.routes;
        let route = routes.get((unit() * routes.len() as f64) as usize).copied().unwrap_or(Route::None);
        let id = self.ids.fetch_add(1, Ordering::Relaxed).to_string();
        let ms = ((self.drive.mean(self.model) * (0.5 + unit())) as u64).clamp(1, LONGEST);
        let failed = |what: &str| format!("{} {} {id}: {what}", self.model.name, route.name());
        let (port, mut connection) = match kept.take() {
            Some(kept) => kept,
            None => self.connect().map_err(|error| failed(&format!("connect: {error}")))?,
        };
        let at = self.counter.next(port);
        let mut fields =
            vec![("traceparent", TraceParent::new().to_string()), ("tracestate", format!("driver={:x}", random()))];
        if self.drive.affinity {
            fields.push(("x-request-id", format!("{:016x}", random())));
            fields.push(("authorization", format!("Bearer {:016x}", random())));
        }
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.lock().truth.requests.insert(id.clone(), Request { at, route, fields });
        let (name, host) = (route.name(), self.port);
        let head = format!("GET /{name}/{id}?ms={ms:x} HTTP/1.1\r\nHost: 127.0.0.1:{host}\r\n{lines}\r\n");
        let mut exchange = || {
            connection.write_message(head.as_bytes())?;
            let response = connection.read_head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            connection.skip_body(&response)?;
            Ok::<_, io::Error>(response)
        };
        let response = exchange().map_err(|error| failed(&error.to_string()))?;
        if !response.status().is_some_and(|status| (200..300).contains(&status)) {
            return Err(failed(&response.start));
        }
        if let Some(call) = response.get("x-call") {
            self.lock().truth.read(&format!("{id} {call}")).map_err(|error| failed(&error))?;
        }
        let close = response
            .get("connection")
            .map_or_else(|| response.start.starts_with("HTTP/1.0"), |value| value.eq_ignore_ascii_case("close"));
        if !close {
            *kept = Some((port, connection));
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<(u16, Connection)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let port = stream.local_addr()?.port();
        Ok((port, Connection::new(Stream::Tcp(stream), ReadStyle::Plain, WriteStyle::Whole)))
    }
}

/// A number from 0 to 1, without 1.
fn unit() -> f64 {
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}
