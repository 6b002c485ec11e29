//! Answers over HTTP/1, one request a connection. Whoever is slow, loud or wrong takes a bounded share of one thread.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, VARY};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::board::Board;
use super::negotiate::Format;
use super::{health, render};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take, and a connection from beginning to end.
const HEAD: Duration = Duration::from_secs(2);
const CONNECTION: Duration = Duration::from_secs(10);
/// Bytes of a head. The library takes no less.
const HEAD_BYTES: usize = 8192;
/// After a connection could not be accepted: no descriptors are left, perhaps.
const PAUSE: Duration = Duration::from_millis(100);

const PLAIN: &str = "text/plain; charset=utf-8";
const INDEX: &str = "auditor\n\n\
    /metrics  in OpenMetrics or Prometheus text\n\
    /healthz  200 while it lives\n\
    /readyz   200 while services are audited and an output takes lines\n";

/// Answers until the process ends.
pub(super) fn spawn(listener: TcpListener, board: Arc<Board>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    thread::Builder::new().name("metrics".into()).spawn(move || runtime.block_on(accept(listener, board)))?;
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, board: Arc<Board>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => _ = open.spawn(tokio::time::timeout(CONNECTION, answer(stream, Arc::clone(&board)))),
                Err(error) => {
                    log::debug!("metrics: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn answer(stream: TcpStream, board: Arc<Board>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, &board);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        log::debug!("metrics: {error}");
    }
}

/// To a request, whatever its body.
fn respond<B>(request: &Request<B>, board: &Board) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics" | "/healthz" | "/readyz") {
        return plain(StatusCode::NOT_FOUND, "there is nothing here; try /metrics\n".into());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => {
            let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let format = Format::of(&accept.collect::<Vec<_>>().join(","));
            metrics(format, board)
        }
        "/healthz" => tell(health::alive(&board.pinned(), Instant::now())),
        "/readyz" => tell(health::ready(&board.pinned(), Instant::now())),
        _ => plain(StatusCode::OK, INDEX.into()),
    }
}

fn metrics(format: Format, board: &Board) -> Response<Full<Bytes>> {
    match render::render(format, board) {
        Ok(text) => {
            let mut response = plain(StatusCode::OK, text);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            response
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn tell(answer: health::Answer) -> Response<Full<Bytes>> {
    let (status, text) = match answer {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
    };
    plain(status, text + "\n")
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use super::*;

    fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        spawn(listener, Arc::new(crate::metrics::render::tests::board())).unwrap();
        address
    }

    /// What is answered to these bytes.
    fn ask(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(CONNECTION * 2)).unwrap();
        // It may have heard enough before the end.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn get(address: SocketAddr, path: &str) -> String {
        ask(address, format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
    }

    #[test]
    fn requests_get_what_is_theirs() {
        let address = served();
        for path in ["/", "/metrics", "/metrics?a=b", "/healthz", "/readyz"] {
            assert!(get(address, path).starts_with("HTTP/1.1 200 "), "{path}");
        }
        for path in ["/metrics/", "/nothing", "/../etc/passwd", "*"] {
            assert!(get(address, path).starts_with("HTTP/1.1 404 "), "{path}");
        }
        let answer = ask(address, b"POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    }

    #[test]
    fn head_is_get_without_the_text() {
        let address = served();
        let (head, body) = (ask(address, b"HEAD /metrics HTTP/1.1\r\nhost: a\r\n\r\n"), get(address, "/metrics"));
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("content-length: ") && body.contains("auditor_build_info"), "{head}{body}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let address = served();
        assert!(ask(address, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").starts_with("HTTP/1.1 400 "));
        let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(4 * HEAD_BYTES));
        assert!(!ask(address, huge.as_bytes()).starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn the_slow_do_not_keep_the_others_out() {
        let address = served();
        let begun = Instant::now();
        let slow: Vec<_> = (0..CONNECTIONS * 2)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").unwrap();
                stream
            })
            .collect();
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
        let waited = begun.elapsed();
        assert!(waited < CONNECTION, "{waited:?}");
        drop(slow);
    }
}
