//! OTLP/HTTP with JSON: batches, gzip, and the retries that the protocol asks for.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use ureq::http::{HeaderMap, header};

use super::format::otlp_request;
use super::worker::{Batch, Fault, Progress, Sink};

/// Lines in one request, and how long the first of them waits for others.
const BATCH: Batch = Batch { lines: 512, linger: Duration::from_secs(1) };
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a response is read.
const RESPONSE: u64 = 64 * 1024;

/// A collector.
pub(super) struct Otlp {
    agent: ureq::Agent,
    url: String,
}

impl Otlp {
    /// Connects with the first batch.
    pub(super) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            // What the environment says about proxies is for web pages.
            .proxy(None)
            .user_agent(concat!("auditor/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), url: url.to_owned() }
    }

    fn post(&self, body: &[u8]) -> Result<(u16, HeaderMap, Vec<u8>), ureq::Error> {
        let mut response = self
            .agent
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, "gzip")
            .send(body)?;
        let body = response.body_mut().with_config().limit(RESPONSE).read_to_vec().unwrap_or_default();
        Ok((response.status().as_u16(), response.headers().clone(), body))
    }
}

impl Sink for Otlp {
    fn batch(&self) -> Batch {
        BATCH
    }

    fn write(&mut self, lines: &[Arc<str>]) -> Progress {
        if lines.is_empty() {
            return Progress::default();
        }
        let body = match gzip(&otlp_request(lines.iter().map(|line| &**line))) {
            Ok(body) => body,
            Err(error) => return Progress { fault: Some(Fault::from(error)), ..Progress::default() },
        };
        match self.post(&body) {
            Ok((status, headers, body)) => answered(lines.len(), status, &headers, &body),
            Err(error) => Progress { fault: Some(Fault::from(error.into_io())), ..Progress::default() },
        }
    }
}

fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// What a response says of so many lines.
fn answered(lines: usize, status: u16, headers: &HeaderMap, body: &[u8]) -> Progress {
    match status {
        200..=299 => {
            let (rejected, why) = partial_success(body);
            let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(lines);
            let note = (rejected > 0).then(|| format!("{rejected} of {lines} lines were rejected: {why}"));
            Progress { done: lines, rejected, note, fault: None }
        }
        // What the protocol has as retryable; everything else would be refused again.
        429 | 502..=504 => {
            let error = io::Error::other(format!("HTTP status {status}"));
            Progress { fault: Some(Fault::Retry(error, retry_after(headers))), ..Progress::default() }
        }
        _ => {
            let note = Some(format!("{lines} lines were refused with HTTP status {status}"));
            Progress { done: lines, rejected: lines, note, fault: None }
        }
    }
}

/// How many lines were rejected, and why. The count is an int64: text in JSON, but numbers must be accepted as well.
fn partial_success(body: &[u8]) -> (u64, String) {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = value.get("partialSuccess").cloned().unwrap_or_default();
    let rejected = match partial.get("rejectedLogRecords") {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_u64().unwrap_or(0),
        None => 0,
    };
    let why = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
    // It comes from the network, and goes to a terminal.
    (rejected, why.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Seconds, or a date: RFC 9110, section 10.2.3.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    Some(SystemTime::from(date.timestamp()).duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::RETRY_AFTER, retry_after.parse().unwrap())])
    }

    #[test]
    fn what_a_collector_may_answer() {
        let none = HeaderMap::new();
        let fine = answered(3, 200, &none, b"{}");
        assert_eq!((fine.done, fine.rejected, fine.note, fine.fault.is_none()), (3, 0, None, true));
        for count in ["\"2\"", "2"] {
            let body =
                format!("{{\"partialSuccess\":{{\"rejectedLogRecords\":{count},\"errorMessage\":\"no\\nway\"}}}}");
            let partly = answered(3, 200, &none, body.as_bytes());
            assert_eq!((partly.done, partly.rejected), (3, 2));
            assert_eq!(partly.note.as_deref(), Some("2 of 3 lines were rejected: noway"));
        }
        let refused = answered(3, 400, &none, b"");
        assert_eq!((refused.done, refused.rejected, refused.fault.is_none()), (3, 3, true));
        for status in [429, 502, 503, 504] {
            let later = answered(3, status, &headers("7"), b"");
            assert_eq!(later.done, 0);
            assert!(matches!(later.fault, Some(Fault::Retry(_, Some(after))) if after == Duration::from_secs(7)));
        }
        // Nothing a collector says is taken at face value.
        let odd = answered(3, 200, &none, b"{\"partialSuccess\":{\"rejectedLogRecords\":\"99999999999\"}}");
        assert_eq!((odd.done, odd.rejected), (3, 3));
    }

    #[test]
    fn retry_after_as_a_date() {
        let past = retry_after(&headers("Wed, 21 Oct 2015 07:28:00 GMT"));
        assert_eq!(past, Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("soon")), None);
    }
}
