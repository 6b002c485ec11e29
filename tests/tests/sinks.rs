//! Real consumers take the lines as they are: rsyslog, syslog-ng, journald, and a receiver that is made of OpenTelemetry's
//! own definitions. And what becomes of the lines when they do not.

mod schema;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use auditor_tests::auditor::{Auditor, auditor_command};
use auditor_tests::client::Load;
use auditor_tests::kernel::require_root;
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually};
use auditor_tests::receivers::{self, Receiver};
use schema::validate;
use serde_json::{Map, Value};

/// A recording with findings.
fn recording() -> String {
    format!("{}/../auditor/tests/recordings/python-drops.rec", env!("CARGO_MANIFEST_DIR"))
}

/// What a replay of it prints, each line as the schema says.
fn expected() -> Vec<String> {
    let golden = fs::read_to_string(recording().replace(".rec", ".jsonl")).expect("the recording has golden output");
    let lines: Vec<String> = golden.lines().map(str::to_owned).collect();
    assert!(lines.len() > 5);
    validate(&lines);
    lines
}

/// Replays the recording to these outputs.
fn replay(outputs: &[String]) -> (Option<i32>, Vec<String>, String) {
    let mut command = auditor_command();
    command.arg("replay").arg(recording());
    for output in outputs {
        command.args(["--output", output]);
    }
    let Output { status, stdout, stderr } = command.output().expect("auditor starts");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout).lines().map(str::to_owned).collect(), text(&stderr))
}

#[test]
fn every_output_has_its_own_format() {
    let dir = TempDir::new("formats");
    let formats = ["json", "json-nested", "ecs", "otlp-json", "text"];
    let path = |format: &str| dir.path().join(format).display().to_string();
    let outputs: Vec<String> = formats.iter().map(|format| format!("{}?format={format}", path(format))).collect();
    let (code, stdout, said) = replay(&outputs);
    assert_eq!((code, stdout.len(), said.as_str()), (Some(0), 0, ""));
    let expected = expected();
    let lines = |format| -> Vec<String> {
        fs::read_to_string(path(format)).expect("it was written").lines().map(str::to_owned).collect()
    };
    assert_eq!(lines("json"), expected);
    for format in formats {
        assert_eq!(lines(format).len(), expected.len(), "{format}");
    }
    let value = |format, at: &str| {
        let line: Value = serde_json::from_str(&lines(format)[1]).expect("JSON");
        line.pointer(at).cloned().unwrap_or_default()
    };
    let finding: Value = serde_json::from_str(&expected[1]).expect("JSON");
    assert_eq!(value("json-nested", "/resource/service/name"), finding["resource"]["service.name"]);
    assert_eq!(value("ecs", "/trace/id"), finding["trace_id"]);
    assert_eq!(value("otlp-json", "/resourceLogs/0/scopeLogs/0/logRecords/0/traceId"), finding["trace_id"]);
    assert!(lines("text")[1].contains(finding["message"].as_str().expect("text")));
}

/// A message as the receivers here write it: input, priority, time, host, program, pid, message id, verdict, text.
fn fields(line: &str) -> Vec<&str> {
    line.splitn(9, '\t').collect()
}

/// What arrived by each input is what was sent, with the header it was sent with.
fn assert_arrived(receiver: &Receiver, inputs: &[(&str, bool)], verdict: impl Fn(&Value) -> String) {
    let expected = expected();
    let arrived = receiver.lines(expected.len() * inputs.len());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("this node has a name");
    for (input, whole) in inputs {
        let messages: Vec<Vec<&str>> = arrived.iter().map(|line| fields(line)).filter(|one| one[0] == *input).collect();
        // A blank after the colon of the tag belongs to the message, for some.
        let texts: Vec<&str> = messages.iter().map(|one| one[8].trim_start()).collect();
        assert_eq!(texts, expected, "{input}");
        for (message, line) in messages.iter().zip(&expected) {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let severity = if line["level"] == "error" { 3 } else { 6 };
            assert_eq!(message[1], (3 * 8 + severity).to_string(), "{message:?}");
            assert_eq!((message[3], message[4]), (host.trim(), "auditor"), "{message:?}");
            assert_eq!(message[7], verdict(&line), "{message:?}");
            if *whole {
                let time = line["timestamp"].as_str().and_then(|time| time.get(..26)).expect("nanoseconds");
                assert!(message[2].starts_with(time), "{message:?}");
                assert!(message[5].parse::<u32>().is_ok(), "{message:?}");
                assert_eq!(message[6], line["event_name"], "{message:?}");
            }
        }
    }
}

#[test]
fn rsyslog_takes_the_lines() {
    require_root();
    let rsyslog = Receiver::rsyslog();
    let (udp, tcp) = rsyslog.ports;
    let log = rsyslog.path("log").display().to_string();
    let outputs = [
        format!("syslog+unix:{log}"),
        format!("syslog+udp://127.0.0.1:{udp}"),
        format!("syslog+tcp://127.0.0.1:{tcp}"),
    ];
    assert_eq!(replay(&outputs), (Some(0), Vec::new(), String::new()));
    assert_arrived(&rsyslog, &[("imuxsock", false), ("imudp", true), ("imtcp", true)], |_| "OK".to_owned());
}

#[test]
fn syslog_ng_takes_the_lines() {
    require_root();
    let syslog_ng = Receiver::syslog_ng();
    let (udp, tcp) = syslog_ng.ports;
    let path = |name| syslog_ng.path(name).display().to_string();
    let outputs = [
        format!("syslog+unix:{}", path("log")),
        format!("syslog+unix:{}", path("stream")),
        format!("syslog+udp://127.0.0.1:{udp}"),
        format!("syslog+tcp://127.0.0.1:{tcp}"),
    ];
    assert_eq!(replay(&outputs), (Some(0), Vec::new(), String::new()));
    let inputs = [("unix_dgram", false), ("unix_stream", false), ("udp", true), ("tcp", true)];
    assert_arrived(&syslog_ng, &inputs, |line| line["record_type"].as_str().unwrap_or_default().to_owned());
}

/// Every value that is not an object, by the keys that lead there with dots between them.
fn flat(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flat(&if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, value, into);
            }
        }
        Value::Null => {}
        value => _ = into.insert(prefix.to_owned(), value.clone()),
    }
}

#[test]
fn journald_takes_every_value_as_a_field() {
    require_root();
    let journald = Receiver::journald();
    let socket = journald.path("systemd/journal/socket").display().to_string();
    assert_eq!(replay(&[format!("journald:{socket}")]), (Some(0), Vec::new(), String::new()));
    let expected = expected();
    let entries = journald.journal(expected.len());
    assert_eq!(entries.len(), expected.len());
    for (entry, line) in entries.iter().zip(&expected) {
        let entry: Map<String, Value> = serde_json::from_str(entry).expect("JSON");
        let line: Value = serde_json::from_str(line).expect("JSON");
        let priority = if line["level"] == "error" { "3" } else { "6" };
        assert_eq!(entry["PRIORITY"], priority, "{entry:?}");
        if let Some(message) = line["message"].as_str() {
            assert_eq!(entry["MESSAGE"], message);
        }
        assert!(entry["MESSAGE"].as_str().is_some_and(|message| message.len() > 10), "{entry:?}");
        let mut values = BTreeMap::new();
        flat("", &line, &mut values);
        values.remove("message");
        for (name, value) in &values {
            let name = name.strip_prefix("auditor.").unwrap_or(name).replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let field = format!("AUDITOR_{}", name.to_uppercase());
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(entry.get(&field), Some(&Value::String(text)), "{field}");
        }
        let ours = entry.keys().filter(|name| name.starts_with("AUDITOR_")).count();
        assert_eq!(ours, values.len(), "no field twice, none too many");
    }
}

#[test]
fn an_otlp_receiver_takes_every_value() {
    let dir = TempDir::new("otlp");
    let out = dir.path().join("out");
    let receiver = receivers::otlp(&out, &[]);
    let to = format!("otlp+http://127.0.0.1:{}", receiver.addr.port());
    assert_eq!(replay(&[to]), (Some(0), Vec::new(), String::new()));
    let records = json_lines(&out);
    let expected = expected();
    assert_eq!(records.len(), expected.len());
    for line in &expected {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let same = |record: &&Value| {
            let attributes = &record["attributes"];
            record["event_name"] == line["event_name"]
                && record["trace_id"].as_str() == Some(line["trace_id"].as_str().unwrap_or_default())
                && attributes.get("auditor.interval_start") == line.get("interval_start")
        };
        let record = records.iter().find(same).unwrap_or_else(|| panic!("not there: {line}"));
        assert_record(record, &line);
    }
}

/// One record of OpenTelemetry's log data model is this line, value for value.
fn assert_record(record: &Value, line: &Value) {
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    let seconds = record["time"].as_u64().expect("nanoseconds") / 1_000_000_000;
    let nanoseconds = record["time"].as_u64().expect("nanoseconds") % 1_000_000_000;
    assert!(text("timestamp").ends_with(&format!(".{nanoseconds:09}Z")), "{record}");
    assert!(seconds > 1_700_000_000 && record["observed"] == record["time"], "{record}");
    let number = line["severity_number"].as_u64().unwrap_or(9);
    assert_eq!(record["severity_number"], number);
    assert_eq!(record["severity_text"], line["level"].as_str().unwrap_or("info").to_uppercase());
    assert_eq!(record["span_id"], text("span_id"));
    assert_eq!(record["flags"], u64::from_str_radix(text("trace_flags"), 16).unwrap_or(0));
    assert_eq!(record["scope"][0], "auditor");
    if line.get("message").is_some() {
        assert_eq!(record["body"], line["message"]);
    }
    if let Some(resource) = line.get("resource").filter(|resource| resource.is_object()) {
        assert_eq!(&record["resource"], resource);
    } else {
        assert_eq!(record["resource"]["service.name"], "auditor");
    }
    let mut values = BTreeMap::new();
    flat("", line, &mut values);
    let own = ["timestamp", "message", "level", "severity_number", "event_name", "trace_id", "span_id", "trace_flags"];
    values.retain(|name, _| !own.contains(&name.as_str()) && !name.starts_with("resource."));
    let attributes = record["attributes"].as_object().expect("attributes");
    assert_eq!(attributes.len(), values.len(), "{record}\n{line}");
    for (name, value) in values {
        let name = match name.strip_prefix("attributes.") {
            Some(name) => name.to_owned(),
            None => format!("auditor.{}", name.strip_prefix("auditor.").unwrap_or(&name)),
        };
        assert_eq!(attributes.get(&name), Some(&value), "{name}");
    }
}

#[test]
fn a_collector_may_be_busy_and_may_reject() {
    let dir = TempDir::new("busy");
    let out = dir.path().join("out");
    let receiver = receivers::otlp(&out, &["--answers", "busy,429,partial"]);
    let (code, _, said) = replay(&[format!("otlp+http://127.0.0.1:{}", receiver.addr.port())]);
    assert_eq!(code, Some(0), "{said}");
    let lines = expected().len();
    assert_eq!(json_lines(&out).len(), lines - 1, "{said}");
    assert!(said.contains("HTTP status 503; trying again"), "{said}");
    assert!(said.contains(&format!("1 of {lines} lines were rejected: one too many")), "{said}");
}

#[test]
fn what_nobody_takes_is_an_error_at_the_end() {
    let dir = TempDir::new("nobody");
    let to = format!("syslog+unix:{}/nobody", dir.path().display());
    let (code, stdout, said) = replay(&["-".to_owned(), to.clone()]);
    assert_eq!((code, stdout), (Some(74), expected()), "{said}");
    assert!(
        said.contains("trying again") && said.contains(&format!("not everything could be written to {to}")),
        "{said}"
    );
    let usage: [&[&str]; 3] = [&["-", "-"], &["kafka://127.0.0.1"], &["-?colour=red"]];
    for outputs in usage {
        let outputs: Vec<String> = outputs.iter().map(|output| (*output).to_owned()).collect();
        assert_eq!(replay(&outputs).0, Some(64), "{outputs:?}");
    }
    assert_eq!(replay(&[format!("{}/no/such/place", dir.path().display())]).0, Some(74));
}

fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn outputs_that_fail_cost_their_lines_and_recover() {
    require_root();
    let dir = TempDir::new("fail");
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir(at("disk")).expect("a directory");
    let port = receivers::free_tcp_port();
    let backend = Service::backend();
    // A disk with room for some lines, in a mount namespace of its own.
    let script =
        "mount -t tmpfs -o size=1m none \"$DISK\" && head -c 900000 /dev/zero > \"$DISK/other\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).env("DISK", at("disk"));
    let auditor = auditor_command();
    command.arg(auditor.get_program()).args(["run", "--pid", &backend.pid_arg(), "--stats-interval", "0.000001ms"]);
    command.args(["--output", "-", "--output", &format!("{}?queue=50", at("disk/log"))]);
    command.args(["--output", &format!("syslog+unix:{}?queue=50", at("log"))]);
    command.args(["--output", &format!("otlp+http://127.0.0.1:{port}?queue=50")]);
    let auditor = Auditor::start(&mut command);
    let disk = |name: &str| format!("/proc/{}/root{}/{name}", auditor.pid(), at("disk"));
    let load = |requests| Load::new(&backend.addr, "/cart").total(requests).clients(4).gap(Duration::ZERO).run().all();
    let mut requests = load(400);
    let complaints = ["No space left on device", "No such file or directory", "Connection refused"];
    let all_said = || complaints.iter().all(|text| auditor.stderr().contains(text));
    assert!(eventually(PATIENCE, all_said), "{}", auditor.stderr());
    requests += load(400);

    // All are there again.
    fs::remove_file(disk("other")).expect("it is there");
    let syslog = UnixDatagram::bind(at("log")).expect("a socket");
    syslog.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let out = dir.path().join("out");
    let collector = receivers::otlp(&out, &["--port", &port.to_string()]);
    let mut message = vec![0; 65536];
    let length = syslog.recv(&mut message).expect("a message");
    let message = String::from_utf8_lossy(&message[..length]).into_owned();
    assert!(message.starts_with("<30>auditor["), "{message}");
    // Somebody has to take the others.
    std::thread::spawn(move || while syslog.recv(&mut [0; 65536]).is_ok() {});
    assert!(eventually(PATIENCE, || !json_lines(&out).is_empty()), "{}", auditor.stderr());
    requests += load(100);
    let copy = dir.path().join("copy");
    let saved = || {
        let lines = fs::read_to_string(disk("log")).unwrap_or_default();
        fs::write(&copy, &lines).is_ok() && lines.lines().count() > 200
    };
    assert!(eventually(PATIENCE, saved), "{}", auditor.stderr());
    let audit = auditor.stop();
    audit.assert_clean();
    drop(collector);
    assert!(audit.stat("output", "dropped") > 0 && audit.stat("output", "retried") > 0);
    assert_eq!(audit.stat("audit", "requests"), requests, "the capture went on");
    assert_eq!(audit.stat("audit", "lost"), 0);
    validate(&audit.lines[audit.lines.len() - 50..]);
    // The last line may have been read while it was written.
    let lines = fs::read_to_string(&copy).expect("it was copied");
    let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    validate(&lines[..lines.len() - 1]);
}
