//! What operators meet: readers that stand still or go away, full disks, namespaces, selections that select nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use auditor_tests::auditor::{auditor_command, auditor_path};
use auditor_tests::client::Load;
use auditor_tests::kernel::require_root;
use auditor_tests::process::{Service, TempDir, eventually};

/// A line for every event: whatever reads them has something to do.
const TALKATIVE: [&str; 2] = ["--stats-interval", "0.000001ms"];
/// Within this a run ends, whatever its outputs do.
const SECONDS: Duration = Duration::from_secs(15);

fn auditor(args: &[&str]) -> Command {
    let mut command = auditor_command();
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("auditor starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

/// Ended when dropped: a failing test leaves nothing behind.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("auditor starts"))
    }

    fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually(SECONDS, || {
            status = self.0.try_wait().expect("it is a child");
            status.is_some()
        });
        status.expect("auditor ends within seconds")
    }

    fn terminate(&self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A reader that takes one line, which says that everything is attached.
fn first_line(running: &mut Running) -> impl Read + use<> {
    let mut reader = BufReader::with_capacity(1, running.0.stdout.take().expect("piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    assert!(line.contains("auditor.attached"), "{line}");
    reader
}

#[test]
fn a_stalled_reader_stops_neither_the_capture_nor_the_end() {
    require_root();
    let backend = Service::backend();
    let mut running = Running::start(auditor(&[&["run", "--pid", &backend.pid_arg()], &TALKATIVE[..]].concat()));
    let reader = first_line(&mut running);
    // More lines than the pipe and the queue hold.
    Load::new(&backend.addr, "/cart").total(8000).clients(8).gap(Duration::ZERO).run();
    let begun = Instant::now();
    running.terminate();
    let status = running.ends();
    assert!(begun.elapsed() < SECONDS);
    drop(reader);
    let mut said = String::new();
    running.0.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(said.matches("does not keep up").count(), 1, "{said}");
    assert!(said.contains("stalled"), "{said}");
}

#[test]
fn stdout_and_stderr_in_one_stalled_pipe_do_not_hold_up_the_end() {
    require_root();
    let backend = Service::backend();
    let (reader, writer) = std::io::pipe().expect("pipe");
    let mut command = auditor(&[&["run", "--pid", &backend.pid_arg()], &TALKATIVE[..]].concat());
    command.stdout(writer.try_clone().expect("descriptor")).stderr(writer);
    let mut running = Running::start(command);
    let mut reader = BufReader::with_capacity(1, reader);
    reader.read_line(&mut String::new()).expect("a line");
    Load::new(&backend.addr, "/cart").total(8000).clients(8).gap(Duration::ZERO).run();
    running.terminate();
    assert_eq!(running.ends().code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    require_root();
    let mut running = Running::start(auditor(&["run", "--duration", "60s", "--stats-interval", "1ms"]));
    drop(first_line(&mut running));
    let status = running.ends();
    let mut said = String::new();
    running.0.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_holds_up_no_other_output() {
    require_root();
    let (code, lines, said) = output(auditor(&[
        "run",
        "--duration",
        "3s",
        "--stats-interval",
        "1s",
        "--output",
        "/dev/full",
        "--output",
        "-",
    ]));
    assert!(lines.contains("auditor.stopped"), "{lines}\n{said}");
    assert!(said.contains("auditor: /dev/full: No space left"), "{said}");
    assert_eq!(code, Some(74), "{said}");
}

#[test]
fn an_output_that_fails_to_the_end_is_tried_to_the_end() {
    require_root();
    let begun = Instant::now();
    let (code, _, said) = output(auditor(&["run", "--duration", "2s", "--output", "/dev/full"]));
    assert!(begun.elapsed() >= Duration::from_secs(2), "{said}");
    assert_eq!(said.matches("No space left").count(), 1, "{said}");
    assert_eq!(code, Some(74), "{said}");
}

#[test]
fn a_check_that_could_judge_no_call_is_inconclusive() {
    require_root();
    let backend = Service::backend();
    let load = Load::new(&backend.addr, "/cart").total(1_000_000).start();
    let (code, _, said) = output(auditor(&["check", "--duration", "2s", "--pid", &backend.pid_arg()]));
    load.stop();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("INCONCLUSIVE") && said.contains("no call that could be judged"), "{said}");
}

#[test]
fn a_closed_stderr_changes_no_exit_code() {
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let mut command = auditor(&["explain", "nope"]);
    let status = command.stderr(writer).status().expect("auditor starts");
    assert_eq!(status.code(), Some(64));
}

#[test]
fn capabilities_of_another_user_namespace_do_not_count() {
    let within = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.arg("-Ur").arg(auditor_path()).args(args).stdin(Stdio::null());
        output(command)
    };
    let (code, _, said) = within(&["run", "--duration", "1s"]);
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("initial user namespace"), "{said}");
    let (code, checks, said) = within(&["doctor"]);
    assert_eq!(code, Some(77), "{checks}{said}");
    let privilege = checks.lines().find(|line| line.contains("privilege")).unwrap_or_default();
    assert!(privilege.starts_with("FAIL") && privilege.contains("initial user namespace"), "{checks}");
}

#[test]
fn another_pid_namespace_is_warned_of() {
    require_root();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).arg(auditor_path()).args(["run", "--duration", "1s"]);
    let (code, _, said) = output(command);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not the host's pid namespace"), "{said}");
}

#[test]
fn selections_that_select_nothing_are_told() {
    require_root();
    for args in [
        ["--pid", "0"],
        ["--comm", ""],
        ["--container", ""],
        ["--port", "0"],
        ["--cgroup", ".."],
        ["--cgroup", "a/../../../../proc"],
    ] {
        let (code, _, said) = output(auditor(&[&["run", "--duration", "1s"], &args[..]].concat()));
        assert_eq!(code, Some(64), "{args:?}: {said}");
    }
    // Above the largest pid there can be.
    let (code, _, said) = output(auditor(&["run", "--duration", "1s", "--pid", "4194305"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("--pid 4194305: there is no such process"), "{said}");
}

#[test]
fn credentials_in_an_output_are_told_nobody() {
    let url = "otlp+http://u:SECRET@127.0.0.1:1/";
    let dir = TempDir::new("credentials");
    let (config, table) = (dir.path().join("list.toml"), dir.path().join("table.toml"));
    fs::write(&config, format!("output = [\"{url}\"]\n")).expect("a file");
    fs::write(&table, format!("[[output]]\nto = \"{url}\"\n")).expect("a file");
    let [config, table] = [config, table].map(|path| path.display().to_string());
    let files = [["config", "check", &config], ["config", "check", &table], ["run", "--config", &config]];
    for (args, set, expected) in [
        (&["run"][..], true, 64),
        (&["run", "--help"], true, 0),
        (&["man", "run"], true, 0),
        (&["run", "--output", url], false, 64),
        (&["replay", "x.rec", "--output", url], false, 64),
        (&["replay", "x.rec", url], false, 64),
        (&files[0], false, 78),
        (&files[1], false, 78),
        (&files[2], false, 78),
    ] {
        let mut command = auditor(args);
        if set {
            command.env("AUDITOR_OUTPUT", url);
        }
        let (code, lines, said) = output(command);
        assert_eq!(code, Some(expected), "{args:?}: {said}");
        assert!(!lines.contains("SECRET") && !said.contains("SECRET"), "{args:?}: {lines}{said}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_no_other_output() {
    require_root();
    let dir = TempDir::new("fifo");
    assert!(Command::new("mkfifo").arg(dir.path().join("pipe")).status().is_ok_and(|status| status.success()));
    let mut command = auditor(&["run", "--duration", "1s", "--output", "pipe", "--output", "-"]);
    command.current_dir(dir.path());
    let mut running = Running::start(command);
    let mut lines = String::new();
    first_line(&mut running).read_to_string(&mut lines).expect("UTF-8");
    let mut said = String::new();
    assert_eq!(running.ends().code(), Some(74));
    running.0.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    assert!(lines.contains("auditor.stopped"), "{lines}");
    assert_eq!(said.matches("auditor: pipe: nobody reads this pipe; trying again").count(), 1, "{said}");
}

#[test]
fn what_is_replayed_is_not_written_to() {
    let dir = TempDir::new("replayed");
    let recording = dir.path().join("x.rec");
    fs::write(&recording, "a recording").expect("a file");
    for (read, written) in [("x.rec", "x.rec"), ("x.rec", "./x.rec?format=text"), ("-", "x.rec"), ("x.rec", "-")] {
        let mut command = auditor(&["replay", read, "--output", written]);
        let open = || fs::OpenOptions::new().append(true).read(true).open(&recording).expect("it is there");
        command.current_dir(dir.path()).stdin(open());
        if written == "-" {
            command.stdout(open());
        }
        let (code, _, said) = output(command);
        assert_eq!(code, Some(64), "{read} {written}: {said}");
        assert!(said.contains("is the file that is read"), "{said}");
        assert_eq!(fs::read_to_string(&recording).expect("it is there"), "a recording");
    }
}

/// A recording for so long, and SIGHUP at once, so that what it has is not written by chance. `how` is an option of `env`:
/// whoever runs the tests may ignore the signal, or not. Gives the exit code, what it said, and when it ended.
fn hung_up(how: &str, duration: &str) -> (Option<i32>, String, Duration) {
    let dir = TempDir::new("hangup");
    let recording = dir.path().join("x.rec");
    let mut command = Command::new("env");
    command.arg(how).arg(auditor_path()).args(["record", "--duration", duration, "--output"]).arg(&recording);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running::start(command);
    let mut reader = BufReader::new(running.0.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("recording to") {
        assert!(reader.read_line(&mut said).is_ok_and(|bytes| bytes > 0), "{said}");
    }
    let begun = Instant::now();
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().is_ok_and(|status| status.success()));
    let (code, ended) = (running.ends().code(), begun.elapsed());
    reader.read_to_string(&mut said).expect("UTF-8");
    let (replayed, _, wrong) = output(auditor(&["replay", &recording.display().to_string()]));
    assert_eq!(replayed, Some(0), "{wrong}");
    (code, said, ended)
}

#[test]
fn a_recording_ends_in_order_when_the_terminal_goes_away() {
    require_root();
    let (code, said, _) = hung_up("--default-signal=HUP", "600s");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("records written"), "{said}");
    let (code, said, ended) = hung_up("--ignore-signal=HUP", "4s");
    assert_eq!(code, Some(0), "{said}");
    assert!(ended > Duration::from_secs(3), "under nohup it goes on: {said}");
}
