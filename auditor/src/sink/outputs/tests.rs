use std::path::PathBuf;

use super::place::not_read;
use super::*;
use crate::report::{LifecycleLine, SCHEMA_VERSION};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("auditor-outputs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn spec(&self, name: &str) -> Spec {
        format!("{}/{name}", self.0.display()).parse().unwrap()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn line(message: &str) -> Line {
    Line::Lifecycle(Box::new(LifecycleLine {
        schema_version: SCHEMA_VERSION,
        timestamp: "2026-08-24T10:15:30.123456789Z".into(),
        event_name: "auditor.degraded",
        message: message.into(),
        auditor: None,
        totals: None,
        degraded: None,
    }))
}

fn messages(lines: &[String]) -> String {
    let message = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].clone();
    lines.iter().map(message).map(|message| message.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn outputs_are_replaced_and_none_of_them_loses_a_line() {
    let dir = Dir::new("replaced");
    let [a, b] = ["a", "b"].map(|name| dir.spec(name));
    let mut outputs = Outputs::open(std::slice::from_ref(&a), Full::Wait, |_| {}).unwrap();
    outputs.write(&[line("1")]);
    outputs.replace(&[a.clone(), b.clone()]).unwrap();
    outputs.write(&[line("2")]);
    let nested = Spec { format: crate::sink::Format::Ecs, ..a.clone() };
    outputs.replace(&[nested, b.clone()]).unwrap();
    outputs.write(&[line("3")]);
    outputs.replace(&[b]).unwrap();
    outputs.write(&[line("4")]);
    let monitor = outputs.monitor();
    outputs.finish().unwrap();
    assert_eq!(messages(&dir.lines("b")), "234");
    let written = dir.lines("a");
    assert_eq!(messages(&written), "123");
    assert!(written[1].starts_with("{\"record_type\"") && written[2].contains("\"ecs\""), "{written:?}");
    let total = monitor.total();
    assert_eq!((total.written, total.dropped, total.errors), (6, 0, 0));
}

#[test]
fn what_cannot_be_opened_changes_nothing() {
    let dir = Dir::new("kept");
    let a = dir.spec("a");
    let mut outputs = Outputs::open(std::slice::from_ref(&a), Full::Drop, |_| {}).unwrap();
    assert!(matches!(outputs.replace(&[a.clone(), a.clone()]), Err(OutputsError::Twice(_))));
    assert!(matches!(outputs.replace(&[dir.spec("no/such/place")]), Err(OutputsError::Open { .. })));
    outputs.write(&[line("1")]);
    outputs.finish().unwrap();
    assert_eq!(messages(&dir.lines("a")), "1");
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let dir = Dir::new("fifo");
    mkfifoat(CWD, dir.0.join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    let specs = [dir.spec("pipe"), dir.spec("a")];
    let (done, opened) = std::sync::mpsc::channel();
    thread::spawn(move || done.send(Outputs::open(&specs, Full::Drop, |_| {})));
    let mut outputs = opened.recv_timeout(Duration::from_secs(10)).expect("it waits for no reader").unwrap();
    let monitor = outputs.monitor();
    outputs.write(&[line("1")]);
    let until = Instant::now() + Duration::from_secs(10);
    let name = dir.0.join("pipe").display().to_string();
    let is_down = |down| {
        while monitor.down().contains(&name) != down && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        monitor.down().contains(&name) == down
    };
    assert!(is_down(true));
    outputs.replace(&[dir.spec("pipe"), dir.spec("b")]).unwrap();
    // Whoever comes late gets what waits.
    let pipe = dir.0.join("pipe");
    let reader = thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
    assert!(is_down(false));
    outputs.write(&[line("2")]);
    outputs.finish().unwrap();
    let read: Vec<_> = reader.join().unwrap().lines().map(str::to_owned).collect();
    assert_eq!(
        (messages(&read), messages(&dir.lines("a")), messages(&dir.lines("b"))),
        ("12".into(), "1".into(), "2".into())
    );
}

#[test]
fn one_place_is_one_however_it_is_spelled() {
    let dir = Dir::new("spelled");
    let open = |names: [&str; 2]| Outputs::open(&names.map(|name| dir.spec(name)), Full::Drop, |_| {});
    std::fs::create_dir(dir.0.join("sub")).unwrap();
    let twice = [["new", "./new"], ["sub/../new", "new"]];
    for names in twice {
        assert!(matches!(open(names), Err(OutputsError::Twice(_))), "{names:?}");
        assert!(!dir.0.join("new").exists());
    }
    std::fs::write(dir.0.join("old"), "").unwrap();
    std::fs::hard_link(dir.0.join("old"), dir.0.join("hard")).unwrap();
    std::os::unix::fs::symlink("old", dir.0.join("soft")).unwrap();
    for names in [["old", "hard"], ["soft", "old"], ["soft", "hard"], ["./old", "old"]] {
        assert!(matches!(open(names), Err(OutputsError::Twice(_))), "{names:?}");
    }
    open(["sub/new", "new"]).unwrap().finish().unwrap();
    let input = std::fs::File::open(dir.0.join("old")).unwrap();
    for (name, refused) in [("old", true), ("hard", true), ("./soft", true), ("new", false), ("newer", false)] {
        assert_eq!(not_read(&[dir.spec("sub/new"), dir.spec(name)], &input).is_err(), refused, "{name}");
    }
}

#[test]
fn a_receiver_that_is_not_there_costs_its_lines_and_nothing_else() {
    let dir = Dir::new("absent");
    let nobody: Spec = format!("syslog+unix:{}/nobody?queue=2", dir.0.display()).parse().unwrap();
    let mut outputs = Outputs::open(&[nobody, dir.spec("a")], Full::Drop, |_| {}).unwrap();
    for _ in 0..2000 {
        assert_eq!(outputs.write(&[line("x")]), Written::Yes);
    }
    outputs.hurry();
    let monitor = outputs.monitor();
    let error = outputs.finish().unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
    assert_eq!(dir.lines("a").len(), 2000);
    let counters = monitor.counters();
    assert_eq!((counters[0].1.written, counters[0].1.dropped), (0, 2000));
    assert!(counters[0].1.errors > 0);
    assert_eq!(counters[1].1.written, 2000);
}
