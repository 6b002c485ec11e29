//! A Prometheus server that scrapes one target, and what it is asked over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fleet::free_port;
use crate::process::{Guard, PATIENCE, TempDir, eventually};

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// The fields before the body.
    pub head: String,
    /// The body.
    pub body: String,
}

/// GET; `None` when nobody answers.
pub fn get(address: SocketAddr, target: &str, accept: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // HTTP/1.0: the answer ends with the connection, in one piece.
    stream
        .write_all(format!("GET {target} HTTP/1.0\r\nhost: {address}\r\naccept: {accept}\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// A Prometheus server, with a directory of its own.
pub struct Prometheus {
    guard: Guard,
    address: SocketAddr,
    dir: TempDir,
}

impl Prometheus {
    /// Starts one with these rules; it scrapes nothing yet.
    ///
    /// # Panics
    /// When it is missing or does not start.
    pub fn start(rules: &Path) -> Self {
        let dir = TempDir::new("prometheus");
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "auditor",
                "file_sd_configs": [{ "files": [dir.path().join("targets.json")], "refresh_interval": "1s" }],
            }],
        });
        // JSON is YAML.
        std::fs::write(dir.path().join("prometheus.yml"), config.to_string()).expect("it can be written");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start prometheus: {error}; install it (prometheus)"));
        let prometheus = Self { guard: Guard(child), address, dir };
        let ready = || get(address, "/-/ready", "*/*").is_some_and(|answer| answer.status == 200);
        assert!(eventually(PATIENCE, ready), "prometheus does not get ready");
        prometheus
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.guard.0.id()
    }

    /// From now on it scrapes this address.
    ///
    /// # Panics
    /// When it cannot be told.
    pub fn scrape(&self, target: SocketAddr) {
        let targets = json!([{ "targets": [target.to_string()] }]);
        let file = self.dir.path().join("targets.json");
        // In one step: it is watched.
        std::fs::write(file.with_extension("new"), targets.to_string()).expect("it can be written");
        std::fs::rename(file.with_extension("new"), file).expect("it can be renamed");
    }

    /// What an expression amounts to now: a value for each set of labels.
    ///
    /// # Errors
    /// What it has against the expression.
    pub fn query(&self, expression: &str) -> Result<Vec<(Value, f64)>, String> {
        let data = self.api(&format!("query?query={}", escaped(expression)))?;
        let results = data["result"].as_array().cloned().unwrap_or_default();
        let sample = |result: &Value| {
            let value = result["value"][1].as_str().and_then(|value| value.parse().ok());
            value.map(|value| (result["metric"].clone(), value))
        };
        Ok(results.iter().filter_map(sample).collect())
    }

    /// The one value of an expression.
    pub fn value(&self, expression: &str) -> Option<f64> {
        let found = self.query(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        found.first().filter(|_| found.len() == 1).map(|(_, value)| *value)
    }

    /// The `data` of an answer of its API.
    ///
    /// # Errors
    /// The error that it names.
    pub fn api(&self, call: &str) -> Result<Value, String> {
        let answer = get(self.address, &format!("/api/v1/{call}"), "application/json").ok_or("no answer")?;
        let mut answer: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer["error"].to_string()) }
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
