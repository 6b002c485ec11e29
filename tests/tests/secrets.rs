//! Secrets on the command line of a service stay there.

use std::io::BufReader;
use std::process::Command;

use auditor::record::Record;
use auditor::source::recording::Reader;
use auditor_tests::auditor::{Auditor, auditor_command};
use auditor_tests::client::Load;
use auditor_tests::fleet::source;
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually};
use auditor_tests::with_both_hooks;

with_both_hooks!(no_secret_of_a_command_line_is_written);

const SECRET: &str = "hunter2";

fn no_secret_of_a_command_line_is_written(hooks: &str) {
    let backend = Service::backend();
    let port = backend.addr.port().to_string();
    let secrets = [
        "--header",
        "authorization: Bearer hunter2",
        "-u",
        "user:hunter2",
        "--token=hunter2",
        "--password",
        "hunter2",
        "http://user:hunter2@host/x?key=hunter2",
        "sh -c 'login hunter2'",
    ];
    let mut command = Command::new("python3");
    command.arg(source("server.py")).args(["drop", "urllib", &port]).args(secrets);
    // It is named by what its command line says.
    let service = Service::spawn(command.env_remove("OTEL_SERVICE_NAME"));

    let dir = TempDir::new("secrets");
    let file = dir.path().join("recording");
    let mut record = auditor_command();
    record.args(["record", "--hooks", hooks, "--pid", &service.pid_arg(), "--output"]).arg(&file);
    let recorder = Auditor::spawn(&mut record);
    let recording = || recorder.stderr().contains("recording to");
    eventually(PATIENCE, || recording() || recorder.has_ended());
    assert!(recording() && !recorder.has_ended(), "auditor record does not attach: {}", recorder.stderr());

    let auditor = Auditor::run(hooks, &[service.pid()]);
    Load::new(&service.addr, "/cart").run().all();
    let audit = auditor.stop();
    recorder.stop().assert_clean();

    let said = audit.lines.join("\n");
    let findings = audit.findings("traceparent_dropped");
    assert!(!findings.is_empty(), "{said}");
    for finding in findings {
        let line = finding["resource"]["process.command_line"].as_str().unwrap_or_default();
        assert!(
            line.contains("python3 ") && line.contains("server.py drop urllib") && line.contains("--token=***"),
            "{line}"
        );
    }
    assert!(!said.contains(SECRET), "{said}");
    assert!(!audit.stderr.contains(SECRET), "{}", audit.stderr);

    let bytes = std::fs::read(&file).expect("it was recorded");
    let mut reader = Reader::new(BufReader::new(&bytes[..])).expect("a recording");
    let mut described = 0;
    while let Some(record) = reader.next_record().expect("a recording") {
        if let Record::Process(process) = record {
            described += u32::from(process.command_line.contains("--token=***"));
        }
    }
    assert_eq!(described, 1);
    let leaks = bytes.windows(SECRET.len()).filter(|window| *window == SECRET.as_bytes()).count();
    assert_eq!(leaks, 0, "the recording holds a secret");
}
