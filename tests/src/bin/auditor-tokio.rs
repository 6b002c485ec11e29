//! The fleet service in Rust: tokio with a worker thread a core, hyper's server, hyper-util's pooled client. Tasks move
//! between the workers; the client has a task of its own for each connection, which does the writing and reading.

use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// A call that a route makes.
struct Call {
    method: Method,
    path: &'static str,
    drops_when_broken: bool,
}

impl Call {
    const fn new(method: Method, path: &'static str, drops_when_broken: bool) -> Self {
        Self { method, path, drops_when_broken }
    }
}

static CONFIG: Call = Call::new(Method::GET, "/config", true);
static KEEP: [Call; 1] = [Call::new(Method::GET, "/kept", false)];
static DROP: [Call; 1] = [Call::new(Method::GET, "/dropped", true)];
static FAN: [Call; 3] =
    [Call::new(Method::GET, "/a", false), Call::new(Method::GET, "/b", true), Call::new(Method::GET, "/c", false)];
static LATE: [Call; 1] = [Call::new(Method::POST, "/after", true)];

/// How long after its answer a late call is made.
const LATE_DELAY: Duration = Duration::from_millis(3);

/// What the program was told, and its client; lives as long as the process.
struct Service {
    backend: String,
    variant: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// A request as it came in.
struct Inbound {
    id: String,
    query: String,
    headers: HeaderMap,
}

impl Service {
    /// Makes a call and returns the backend's `X-Call`.
    async fn call(&self, call: &Call, query: &str, headers: HeaderMap) -> Result<String> {
        let mut request =
            Request::builder().method(&call.method).uri(format!("http://{}{}{query}", self.backend, call.path));
        if let Some(all) = request.headers_mut() {
            *all = headers;
        }
        let response = self.client.request(request.body(Empty::new())?).await?;
        let number = response.headers().get("x-call").context("no X-Call")?.to_str()?.to_owned();
        // Read to its end, or the connection is not used again.
        response.into_body().collect().await?;
        Ok(number)
    }

    /// Makes a call for a request and tells the truth.
    async fn call_for(&self, inbound: &Inbound, call: &Call) -> Result<()> {
        let number = self.call(call, &inbound.query, self.headers(inbound, call)).await?;
        tell(&inbound.id, &number);
        Ok(())
    }

    /// The context headers of a call.
    fn headers(&self, inbound: &Inbound, call: &Call) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut take = |name: &'static str| {
            if let Some(value) = inbound.headers.get(name) {
                headers.insert(name, value.clone());
            }
        };
        if self.variant == "affine" {
            take("x-request-id");
            take("authorization");
        }
        let forwards = self.variant == "healthy" || self.variant == "broken" && !call.drops_when_broken;
        if let Some(child) = inbound.headers.get("traceparent").and_then(child_of).filter(|_| forwards) {
            take("tracestate");
            headers.insert("traceparent", child);
        }
        headers
    }

    async fn answer(&'static self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let mut parts = path.splitn(3, '/').skip(1);
        let (route, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("-").to_owned());
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let inbound = Inbound { id, query, headers: request.headers().clone() };
        let result = match route {
            "keep" => self.call_for(&inbound, &KEEP[0]).await,
            "drop" => self.call_for(&inbound, &DROP[0]).await,
            "fan" => {
                let [a, b, c] = &FAN;
                tokio::try_join!(self.call_for(&inbound, a), self.call_for(&inbound, b), self.call_for(&inbound, c))
                    .map(drop)
            }
            "late" => {
                tokio::spawn(async move {
                    tokio::time::sleep(LATE_DELAY).await;
                    if let Err(error) = self.call_for(&inbound, &LATE[0]).await {
                        eprintln!("late: {error:#}");
                    }
                });
                return Ok(response(StatusCode::ACCEPTED));
            }
            _ => Ok(()),
        };
        if let Err(error) = &result {
            eprintln!("{route}: {error:#}");
        }
        Ok(response(if result.is_ok() { StatusCode::OK } else { StatusCode::BAD_GATEWAY }))
    }

    async fn background(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(50 + random() % 301)).await;
            match self.call(&CONFIG, "", HeaderMap::new()).await {
                Ok(number) => tell("-", &number),
                Err(error) => eprintln!("timer: {error:#}"),
            }
        }
    }
}

fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok\n")));
    *response.status_mut() = status;
    response
}

/// A truth line, in one write.
fn tell(id: &str, call: &str) {
    let line = format!("{id} {call}\n");
    let mut stdout = std::io::stdout().lock();
    // Whoever started this has gone; so has the need for the truth.
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

/// The same trace with a new parent-id.
fn child_of(traceparent: &HeaderValue) -> Option<HeaderValue> {
    let mut fields: Vec<&str> = traceparent.to_str().ok()?.split('-').collect();
    let parent = format!("{:016x}", random().max(1));
    *fields.get_mut(2)? = &parent;
    HeaderValue::from_str(&fields.join("-")).ok()
}

/// Random enough for ids and pauses: the keys of the standard library's hash maps are.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::time::Instant::now())
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    ensure!(args.len() >= 3, "usage: auditor-tokio PORT BACKEND_PORT VARIANT [--no-timer]");
    let listener = TcpListener::bind(format!("127.0.0.1:{}", args[0])).await?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (backend, variant) = (format!("127.0.0.1:{}", args[1]), args[2].clone());
    let service: &'static Service = Box::leak(Box::new(Service { backend, variant, client }));
    println!("listening {}", listener.local_addr()?.port());
    if args.get(3).is_none_or(|arg| arg != "--no-timer") {
        tokio::spawn(service.background());
    }
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let serve = service_fn(move |request| service.answer(request));
            // A client that goes away ends its connection and nothing else.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}
