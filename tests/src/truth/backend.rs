//! The backend that fleet services call: answers after the time that it is asked to take, numbers the calls, and keeps
//! their heads.

use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ledger::{Counter, Nth};
use crate::http::{Connection, Head, ReadStyle, WriteStyle};
use crate::socket::Stream;

/// A running backend: one thread a connection, in this process.
pub struct Backend {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    calls: Arc<Calls>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Calls {
    counter: Counter,
    heads: Mutex<BTreeMap<Nth, Head>>,
}

impl Backend {
    /// Listens and serves until dropped.
    ///
    /// # Panics
    /// When there is no port for it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let stop = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(Calls::default());
        let (stopped, taken) = (Arc::clone(&stop), Arc::clone(&calls));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let calls = Arc::clone(&taken);
                // Ends with its connection, which ends with the service; one that breaks concerns nobody else.
                std::thread::spawn(move || serve(stream, &calls));
            }
        });
        Self { port, calls, stop, acceptor: Some(acceptor) }
    }

    /// The head of every call so far.
    pub fn heads(&self) -> BTreeMap<Nth, Head> {
        self.calls.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // It waits in accept.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(stream: TcpStream, calls: &Calls) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let port = stream.peer_addr()?.port();
    let mut connection = Connection::new(Stream::Tcp(stream), ReadStyle::Plain, WriteStyle::Whole);
    while let Some(request) = connection.read_head()? {
        let call = calls.counter.next(port);
        connection.skip_body(&request)?;
        std::thread::sleep(time_to_take(&request));
        let close = request.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let (body, ending) = (format!("{call}\n"), if close { "Connection: close\r\n" } else { "" });
        let head = format!("HTTP/1.1 200 OK\r\nX-Call: {call}\r\nContent-Length: {}\r\n{ending}\r\n", body.len());
        calls.heads.lock().unwrap_or_else(PoisonError::into_inner).insert(call, request);
        connection.write_plain((head + &body).as_bytes())?;
        if close {
            break;
        }
    }
    Ok(())
}

/// `ms` of the query, hexadecimal milliseconds; 1 when there is none.
fn time_to_take(request: &Head) -> Duration {
    let target = request.start.split(' ').nth(1).unwrap_or_default();
    let (_, query) = target.split_once('?').unwrap_or_default();
    let ms = query.split('&').find_map(|pair| u64::from_str_radix(pair.strip_prefix("ms=")?, 16).ok());
    Duration::from_millis(ms.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn calls_are_numbered_by_port_and_take_their_time() {
        let backend = Backend::start();
        let stream = TcpStream::connect(("127.0.0.1", backend.port)).expect("it listens");
        let port = stream.local_addr().expect("connected").port();
        let mut connection = Connection::new(Stream::Tcp(stream), ReadStyle::Plain, WriteStyle::Whole);
        let began = Instant::now();
        for n in 1..=3 {
            connection.write_plain(b"GET /kept?ms=1e HTTP/1.1\r\nHost: b\r\n\r\n").expect("it reads");
            let response = connection.read_head().expect("it answers").expect("with a head");
            assert_eq!(connection.skip_body(&response).expect("with a body") as usize, format!("{port}/{n}\n").len());
            assert_eq!(response.get("x-call"), Some(format!("{port}/{n}").as_str()));
        }
        assert!(began.elapsed() >= Duration::from_millis(90));
    }
}
