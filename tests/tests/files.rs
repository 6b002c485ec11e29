//! Lines in files: under logrotate, rotated by the auditor itself, and after it was killed.

mod schema;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use auditor::record::{Clock, Record, Tick};
use auditor::source::recording::Writer;
use auditor_tests::auditor::auditor_command;
use auditor_tests::process::{PATIENCE, TempDir, eventually};
use schema::validate;

/// A replay of a recording that is written while it runs: each record makes a line.
struct Feed {
    child: Child,
    writer: Writer<std::process::ChildStdin>,
    time: u64,
}

impl Feed {
    fn start(command: &mut Command) -> Self {
        command.args(["replay", "-", "--stats-interval", "0.000001ms"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("auditor starts");
        let writer = Writer::new(child.stdin.take().expect("piped")).expect("it reads");
        let mut feed = Self { child, writer, time: 1_000_000_000 };
        let clock = Clock {
            boot_ns: feed.time,
            unix_ns: 1_756_030_530_000_000_000,
            host_name: "node-a".into(),
            kernel: "6.18".into(),
            hooks: "sock".into(),
            auditor_version: "0.1.0".into(),
            auditor_pid: 1,
            duty_cycle: None,
            leaf_rest_ns: 0,
        };
        feed.writer.write(&Record::Clock(clock)).expect("it reads");
        feed
    }

    fn lines(&mut self, count: u32) {
        for _ in 0..count {
            self.time += 1000;
            self.writer.write(&Record::Tick(Tick { time: self.time, counters: [0; _] })).expect("it reads");
        }
        self.writer.flush().expect("it reads");
    }

    fn finish(self) -> Output {
        drop(self.writer);
        self.child.wait_with_output().expect("it ends")
    }
}

/// All lines of the files, in this order.
fn lines_of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<String> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    paths.into_iter().flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn logrotate_under_load_loses_no_line() {
    let dir = TempDir::new("logrotate");
    let at = |name: &str| dir.path().join(name);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/logrotate/auditor");
    let config = fs::read_to_string(shipped).expect("the configuration is there");
    assert!(config.contains("/var/log/auditor/*.jsonl"));
    fs::write(at("config"), config.replace("/var/log/auditor", &dir.path().display().to_string())).expect("a file");
    let mut command = auditor_command();
    command.env("AUDITOR_OUTPUT", format!("{},-", at("log.jsonl").display()));
    let mut feed = Feed::start(&mut command);
    // In place of systemd's.
    let pid = feed.child.id();
    fs::write(
        at("systemctl"),
        format!("#!/bin/sh\ncase \"$*\" in *--signal=SIGUSR1*auditor.service) kill -USR1 {pid};; esac\n"),
    )
    .expect("a file");
    assert!(Command::new("chmod").arg("755").arg(at("systemctl")).status().is_ok_and(|status| status.success()));
    let stdout = feed.child.stdout.take().expect("piped");
    let truth = std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).collect::<Vec<_>>());
    let rotate = || {
        let mut logrotate = Command::new("/usr/sbin/logrotate");
        logrotate.arg("--force").arg("--state").arg(at("state")).arg(at("config"));
        let path = std::env::var("PATH").unwrap_or_default();
        let output =
            logrotate.env("PATH", format!("{}:{path}", dir.path().display())).output().expect("logrotate starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    const ROTATIONS: usize = 5;
    let ran = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            for _ in 0..100 {
                feed.lines(100);
                std::thread::sleep(Duration::from_millis(10));
            }
            feed
        });
        let last = at("log.jsonl");
        let has_lines = || fs::metadata(&last).is_ok_and(|data| data.len() > 0);
        for rotation in 0..ROTATIONS {
            // An empty file would not be rotated.
            assert!(eventually(PATIENCE, has_lines), "{rotation}");
            rotate();
        }
        assert!(eventually(PATIENCE, has_lines), "it goes on in the last one");
        feeder.join().expect("feeding does not panic")
    })
    .finish();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let truth = truth.join().expect("reading does not panic");
    assert!(truth.len() > 10_000, "{} lines", truth.len());
    for number in 2..=ROTATIONS {
        let packed = at(&format!("log.jsonl.{number}.gz"));
        assert!(
            Command::new("gunzip").arg(&packed).status().is_ok_and(|status| status.success()),
            "{}",
            packed.display()
        );
    }
    let files: Vec<_> =
        (1..=ROTATIONS).rev().map(|number| at(&format!("log.jsonl.{number}"))).chain([at("log.jsonl")]).collect();
    let written = lines_of(files.iter().map(|path| path.as_path()));
    assert_eq!(written.len(), truth.len());
    assert!(written == truth, "the same lines in the same order");
    validate(&written[..50]);
}

#[test]
fn a_file_that_rotates_itself_keeps_to_its_bounds() {
    let dir = TempDir::new("rotate");
    let log = dir.path().join("log");
    let mut command = auditor_command();
    command.env("AUDITOR_OUTPUT", format!("{}?rotate=64KiB&keep=3", log.display()));
    let mut feed = Feed::start(&mut command);
    feed.lines(2000);
    let ran = feed.finish();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).expect("a directory").flatten().map(|entry| entry.path()).collect();
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|path| fs::metadata(path).is_ok_and(|data| data.len() <= 64 * 1024)));
    names.reverse();
    names.rotate_right(1);
    validate(&lines_of(names[1..].iter().map(|path| path.as_path())));
}

#[test]
fn killed_and_started_again_it_goes_on_where_it_was() {
    let dir = TempDir::new("killed");
    let log = dir.path().join("log");
    let start = || {
        let mut command = auditor_command();
        command.env("AUDITOR_OUTPUT", log.display().to_string());
        Feed::start(&mut command)
    };
    let written = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let mut feed = start();
    feed.lines(500);
    assert!(eventually(PATIENCE, || written() > 100));
    feed.child.kill().expect("it is a child");
    feed.child.wait().expect("it ends");
    // The disk was full just then.
    fs::OpenOptions::new().append(true).open(&log).and_then(|mut file| file.write_all(b"{\"torn")).expect("a file");
    let before = written();
    let mut feed = start();
    feed.lines(100);
    assert!(feed.finish().status.success());
    let lines = lines_of([log.as_path()]);
    assert_eq!(lines[before - 1], "{\"torn");
    validate(&lines[..before - 1]);
    validate(&lines[before..]);
    assert_eq!(lines.len(), before + 1 + 100 + 2, "attached, a line each, stats and stopped at the end");
    let left: Vec<_> =
        fs::read_dir(dir.path()).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["log"], "nothing beside it");
}
