//! An HTTP service with one thread a connection, and a choice of what becomes of the trace context.

use std::fs::File;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::http::{Connection, Head, HeaderStyle, ReadStyle, TraceParent, WriteStyle};
use crate::socket::{Addr, Listener, Stream};

/// What the service does with the trace context it received when it calls others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Same trace, new parent id.
    #[default]
    Forward,
    /// Byte for byte.
    Pass,
    /// Nothing.
    Drop,
    /// A new trace.
    Restart,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "forward" => Ok(Self::Forward),
            "pass" => Ok(Self::Pass),
            "drop" => Ok(Self::Drop),
            "restart" => Ok(Self::Restart),
            _ => Err(format!("no such mode: {text}")),
        }
    }
}

/// How the service answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Respond {
    /// Head and body in one write.
    #[default]
    Plain,
    /// The body by itself, short and in capital letters.
    Apart,
    /// The body by `sendfile`.
    Sendfile,
    /// The body in chunks.
    Chunked,
}

impl FromStr for Respond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plain" => Ok(Self::Plain),
            "apart" => Ok(Self::Apart),
            "sendfile" => Ok(Self::Sendfile),
            "chunked" => Ok(Self::Chunked),
            _ => Err(format!("no such way to respond: {text}")),
        }
    }
}

/// A call that the service makes: `METHOD PATH ADDR`.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Whom.
    pub to: Addr,
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let [method, path, to] = words[..] else { return Err(format!("{text} is not `METHOD PATH ADDR`")) };
        Ok(Self { method: method.to_owned(), path: path.to_owned(), to: to.parse()? })
    }
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Where it listens.
    pub listen: Addr,
    /// What becomes of the trace context.
    pub mode: Mode,
    /// Calls made for every request, one after the other.
    pub calls: Vec<Call>,
    /// Requests for this path make none.
    pub quiet: Option<String>,
    /// Work before the answer.
    pub delay: Duration,
    /// A new connection for every call.
    pub fresh: bool,
    /// How requests are read.
    pub read: ReadStyle,
    /// How the heads of calls are written.
    pub write: WriteStyle,
    /// How `traceparent` is spelt in calls.
    pub header: HeaderStyle,
    /// How it answers.
    pub respond: Respond,
    /// A call that is made without any request, and how often.
    pub background: Option<(Call, Duration)>,
}

impl Service {
    /// Listens, calls `ready` with the address, and serves until the process ends.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn run(self, ready: impl FnOnce(&Addr)) -> io::Result<()> {
        let (listener, addr) = Listener::bind(&self.listen)?;
        ready(&addr);
        let service = Arc::new(self);
        if let Some((call, every)) = service.background.clone() {
            let service = Arc::clone(&service);
            std::thread::spawn(move || {
                let mut upstream = Upstream::default();
                loop {
                    std::thread::sleep(every);
                    // A failed background call is the next one's business.
                    let _ = upstream.call(&service, &call, "");
                }
            });
        }
        loop {
            let stream = listener.accept()?;
            let service = Arc::clone(&service);
            std::thread::spawn(move || {
                // A client that goes away ends its thread and nothing else.
                let _ = service.serve(stream);
            });
        }
    }

    fn serve(&self, stream: Stream) -> io::Result<()> {
        let mut client = Connection::new(stream, self.read, WriteStyle::Whole);
        let mut upstreams: Vec<Upstream> = self.calls.iter().map(|_| Upstream::default()).collect();
        while let Some(request) = client.read_head()? {
            client.skip_body(&request)?;
            let mut status = "200 OK";
            let is_quiet = self.quiet.as_deref().is_some_and(|quiet| quiet == request.target());
            for (call, upstream) in self.calls.iter().zip(&mut upstreams).filter(|_| !is_quiet) {
                if upstream.call(self, call, &self.context(&request)).is_err() {
                    status = "502 Bad Gateway";
                }
            }
            std::thread::sleep(self.delay);
            self.answer(&mut client, status)?;
            if request.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                break;
            }
        }
        Ok(())
    }

    /// The header lines of a call that is made because of a request.
    fn context(&self, request: &Head) -> String {
        let Some(received) = request.get("traceparent") else { return String::new() };
        let sent = match self.mode {
            Mode::Forward => TraceParent::parse(received).map(|parent| parent.child().to_string()),
            Mode::Pass => Some(received.to_owned()),
            Mode::Drop => None,
            Mode::Restart => Some(TraceParent::new().to_string()),
        };
        sent.map(|value| self.header.lines(&value)).unwrap_or_default()
    }

    fn answer(&self, client: &mut Connection, status: &str) -> io::Result<()> {
        let body = b"ok\n";
        match self.respond {
            Respond::Plain => client
                .write_plain(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\nok\n", body.len()).as_bytes()),
            Respond::Apart => {
                client.write_plain(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n").as_bytes())?;
                client.write_plain(b"OK")
            }
            Respond::Chunked => {
                client.write_plain(format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes())?;
                client.write_plain(b"3\r\nok\n\r\n")?;
                client.write_plain(b"0\r\n\r\n")
            }
            Respond::Sendfile => {
                let (file, length) = large_file()?;
                client.write_plain(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
                client.send_file(&file, length)
            }
        }
    }
}

/// A file that looks like requests from its first byte.
fn large_file() -> io::Result<(File, usize)> {
    let path =
        std::env::temp_dir().join(format!("auditor-workload-{}-{:?}", std::process::id(), std::thread::current().id()));
    let content = "GET /fake HTTP/1.1\r\nHost: fake\r\n\r\n".repeat(2000);
    File::create(&path)?.write_all(content.as_bytes())?;
    let file = File::open(&path);
    std::fs::remove_file(&path)?;
    Ok((file?, content.len()))
}

/// A connection to somebody the service calls, opened when needed and again when it broke.
#[derive(Default)]
struct Upstream {
    connection: Option<Connection>,
    calls: usize,
}

impl Upstream {
    fn call(&mut self, service: &Service, call: &Call, context: &str) -> io::Result<()> {
        let reused = self.connection.take();
        let mut connection = match reused {
            Some(connection) => connection,
            None => Connection::new(Stream::connect(&call.to)?, service.read, service.write).split_from(self.calls),
        };
        self.calls += 1;
        let host = match &call.to {
            Addr::Tcp(address) => address.to_string(),
            Addr::Unix(_) => "localhost".to_owned(),
        };
        let Call { method, path, .. } = call;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{context}Content-Length: 0\r\n\r\n");
        connection.write_message(head.as_bytes())?;
        let response = connection.read_head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        connection.skip_body(&response)?;
        if !service.fresh {
            self.connection = Some(connection);
        }
        Ok(())
    }
}
