//! Load with ground truth: so many requests, each with its own trace.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::http::{Connection, HeaderStyle, ReadStyle, TraceParent, WriteStyle};
use crate::socket::{Addr, Stream};

/// What a request carries after its head.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// These bytes with a Content-Length, written apart from the head.
    Length(Vec<u8>),
    /// These bytes as one chunk, written apart from the head.
    Chunked(Vec<u8>),
    /// So many zeroes with a Content-Length.
    Zeroes(u64),
}

/// Requests to be made.
#[derive(Clone, Debug)]
pub struct Load {
    target: Addr,
    method: &'static str,
    path: String,
    total: usize,
    clients: usize,
    gap: Duration,
    keep_alive: bool,
    context: bool,
    header: HeaderStyle,
    more: fn(&TraceParent) -> String,
    write: WriteStyle,
    body: Body,
}

/// What became of a load.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that were answered with 200.
    pub ok: usize,
    /// What went wrong with the others.
    pub errors: Vec<String>,
}

impl Report {
    /// The number of requests, all of which must have been answered.
    ///
    /// # Panics
    /// When one was not.
    pub fn all(self) -> u64 {
        assert!(self.errors.is_empty(), "{} answered; {:?}", self.ok, self.errors);
        self.ok as u64
    }
}

impl Load {
    /// 30 requests one after the other over one connection, each with a trace of its own.
    pub fn new(target: &Addr, path: &str) -> Self {
        Self {
            target: target.clone(),
            method: "GET",
            path: path.to_owned(),
            total: 30,
            clients: 1,
            gap: Duration::from_millis(3),
            keep_alive: true,
            context: true,
            header: HeaderStyle::Plain,
            more: |_| String::new(),
            write: WriteStyle::Whole,
            body: Body::None,
        }
    }

    /// How many requests in all.
    pub fn total(mut self, total: usize) -> Self {
        self.total = total;
        self
    }

    /// How many clients at once. They work in waves with a pause after each: "was any request open just then?" must
    /// have both answers in the data, or no drop can be told from a background call.
    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Pause after every request (or wave).
    pub fn gap(mut self, gap: Duration) -> Self {
        self.gap = gap;
        self
    }

    /// A new connection for every request.
    pub fn reconnect(mut self) -> Self {
        self.keep_alive = false;
        self
    }

    /// Requests without `traceparent`.
    pub fn without_context(mut self) -> Self {
        self.context = false;
        self
    }

    /// How `traceparent` is spelt.
    pub fn header(mut self, header: HeaderStyle) -> Self {
        self.header = header;
        self
    }

    /// More field lines, of the same trace.
    pub fn more(mut self, more: fn(&TraceParent) -> String) -> Self {
        self.more = more;
        self
    }

    /// How heads are written.
    pub fn write(mut self, write: WriteStyle) -> Self {
        self.write = write;
        self
    }

    /// POST with a body.
    pub fn post(mut self, body: Body) -> Self {
        self.method = "POST";
        self.body = body;
        self
    }

    /// Makes the requests.
    pub fn run(self) -> Report {
        self.start().wait()
    }

    /// Makes the requests in the background.
    pub fn start(self) -> Running {
        let load = Arc::new(self);
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            done: AtomicUsize::new(0),
            wave: Barrier::new(load.clients),
            report: Mutex::new(Report::default()),
        });
        let threads = (0..load.clients)
            .map(|_| {
                let (load, shared) = (Arc::clone(&load), Arc::clone(&shared));
                std::thread::spawn(move || load.client(&shared))
            })
            .collect();
        Running { shared, threads }
    }

    fn client(&self, shared: &Shared) {
        let mut connection: Option<Connection> = None;
        for sent in 0..self.total.div_ceil(self.clients) {
            if shared.stop(shared.wave.wait().is_leader()) {
                break;
            }
            match self.request(&mut connection, sent) {
                Ok(200) => shared.lock().ok += 1,
                Ok(status) => shared.lock().errors.push(format!("status {status}")),
                Err(error) => {
                    connection = None;
                    shared.lock().errors.push(error.to_string());
                }
            }
            shared.done.fetch_add(1, Ordering::Relaxed);
            if !self.keep_alive {
                connection = None;
            }
            shared.wave.wait();
            std::thread::sleep(self.gap);
        }
    }

    fn request(&self, connection: &mut Option<Connection>, sent: usize) -> io::Result<u16> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let stream = Stream::connect(&self.target)?;
                connection.insert(Connection::new(stream, ReadStyle::Plain, self.write).split_from(sent))
            }
        };
        let trace = TraceParent::new();
        let context = if self.context { self.header.lines(&trace.to_string()) } else { String::new() };
        let more = (self.more)(&trace);
        let framing = match &self.body {
            Body::None => String::new(),
            Body::Length(bytes) => format!("Content-Length: {}\r\n", bytes.len()),
            Body::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
            Body::Zeroes(length) => format!("Content-Length: {length}\r\n"),
        };
        let (method, path) = (self.method, &self.path);
        let head = format!("{method} {path} HTTP/1.1\r\nHost: entry.test\r\n{context}{more}{framing}\r\n");
        connection.write_message(head.as_bytes())?;
        match &self.body {
            Body::None => {}
            Body::Length(bytes) => connection.write_plain(bytes)?,
            Body::Chunked(bytes) => {
                connection.write_plain(format!("{:x}\r\n", bytes.len()).as_bytes())?;
                connection.write_plain(bytes)?;
                connection.write_plain(b"\r\n0\r\n\r\n")?;
            }
            Body::Zeroes(length) => {
                let zeroes = vec![0; 1 << 20];
                let mut left = *length;
                while left > 0 {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(zeroes.len());
                    connection.write_plain(&zeroes[..here])?;
                    left -= here as u64;
                }
            }
        }
        let response = connection.read_head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        connection.skip_body(&response)?;
        Ok(response.status().unwrap_or(0))
    }
}

struct Shared {
    stop: AtomicBool,
    done: AtomicUsize,
    wave: Barrier,
    report: Mutex<Report>,
}

impl Shared {
    /// Whether this wave is not to happen. All clients have to agree, or the others wait for ever: they decide between
    /// two meetings at the barrier, after the one leader has looked.
    fn stop(&self, leader: bool) -> bool {
        if leader && self.stop.load(Ordering::SeqCst) {
            self.done.fetch_or(STOPPED, Ordering::SeqCst);
        }
        self.wave.wait();
        self.done.load(Ordering::SeqCst) & STOPPED != 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// In the counter of finished requests: no more waves.
const STOPPED: usize = 1 << 62;

/// A load in the background.
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// How many requests are finished.
    pub fn done(&self) -> usize {
        self.shared.done.load(Ordering::SeqCst) & !STOPPED
    }

    /// Waits for all requests.
    pub fn wait(self) -> Report {
        for thread in self.threads {
            thread.join().expect("a client panicked");
        }
        self.shared.lock().clone()
    }

    /// Lets the wave that is under way end and makes no more requests.
    pub fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wait()
    }
}
