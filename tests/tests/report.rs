//! `auditor report` and `auditor top`: lines of real runs, files that are not as they should be, a browser, a terminal.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auditor_tests::auditor::{Auditor, auditor_command, auditor_path};
use auditor_tests::client::Load;
use auditor_tests::kernel::{best_hooks, require_root};
use auditor_tests::lines;
use auditor_tests::process::{Service, TempDir};
use serde_json::{Value, json};

fn write(path: &Path, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, text).expect("a file can be written");
}

/// `auditor report` with this on stdin.
fn report(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = auditor_command()
        .arg("report")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("auditor starts");
    // It may have ended without reading.
    let _ = child.stdin.take().expect("stdin is piped").write_all(stdin);
    child.wait_with_output().expect("auditor ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn lines_of_real_runs_become_a_table() {
    require_root();
    let backend = Service::backend();
    let call = backend.call("POST", "/charge");
    let legacy = Service::workload("legacy", &["--mode", "drop", "--call", &call]);
    let shop = Service::workload("shop", &["--mode", "forward", "--call", &call]);
    let pids = [legacy.pid(), shop.pid()];
    let run = Auditor::run(best_hooks(), &pids);
    let calls = Load::new(&legacy.addr, "/cart").run().all();
    Load::new(&shop.addr, "/cart").run();
    let lines = run.stop().lines.join("\n");
    let output = report(&[], lines.as_bytes());
    let table = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(table.starts_with("Traces end on 1 of 2 hops"), "{table}");
    let rows: Vec<&str> = table.lines().skip(3).take(2).collect();
    assert!(
        rows[0].starts_with("legacy   GET /cart → POST /charge ") && rows[0].ends_with("  ░░░░░░░░░░   0%  dropped"),
        "{table}"
    );
    assert!(rows[0].contains(&format!(" {calls}  ")), "{calls} calls: {table}");
    assert!(rows[1].starts_with("shop     GET ") && rows[1].ends_with("  ██████████ 100%  continued"), "{table}");
    assert!(table.contains("\nerror    traceparent_dropped, ") && !table.contains('\x1b'), "{table}");

    // Of `check` only findings are on stdout; they know the edge.
    let mut check = auditor_command();
    check.args(["check", "--duration", "4s", "--aggregation-window", "1s", "--pid", &legacy.pid_arg()]);
    let check = Auditor::spawn(&mut check);
    let load = Load::new(&legacy.addr, "/cart").gap(Duration::from_millis(10)).total(usize::MAX / 4).start();
    let audit = check.wait_exit();
    load.stop();
    assert_eq!(audit.status.code(), Some(1), "{}", audit.explain());
    let output = report(&["--format", "json"], audit.lines.join("\n").as_bytes());
    let page: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let hop = &page["hops"][0];
    assert_eq!(
        (&hop["service.name"], &hop["verdict"], &hop["at_least"]),
        (&json!("legacy"), &json!("dropped"), &json!(true)),
        "{page}"
    );
    assert!(hop["calls"].as_u64() > Some(20) && hop["trace_ids"][0].is_string(), "{page}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let dir = TempDir::new("report");
    let (good, bad) = (dir.path().join("good.ndjson"), dir.path().join("bad.ndjson"));
    write(&good, &lines::fleet().lines[..10]);
    fs::write(&bad, "no JSON\n{\"a\":1}\n").expect("a file can be written");
    let [good, bad] = [&good, &bad].map(|path| path.to_str().expect("UTF-8"));
    let run = |args: &[&str], stdin: &[u8]| {
        let output = report(args, stdin);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, table, stderr) = run(&[good, bad], b"");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        table.contains(" hops, ") && stderr.contains("bad.ndjson: 2 lines are no record of the auditor"),
        "{stderr}"
    );

    let (code, table, stderr) = run(&[good, "/no/such/file"], b"");
    assert_eq!((code, table.as_str()), (Some(74), ""));
    assert!(stderr.contains("/no/such/file: No such file"), "{stderr}");
    assert_eq!(run(&["/"], b"").0, Some(74));

    for (args, stdin) in [(&[bad][..], &b""[..]), (&[], b""), (&["-"], b"\xff\xfe\n{}\n")] {
        let (code, table, stderr) = run(args, stdin);
        assert_eq!((code, table.as_str()), (Some(74), ""), "{args:?}");
        assert!(stderr.contains("no record of the auditor; `auditor run`"), "{stderr}");
    }

    let whole = fs::read(good).expect("it was written");
    let (code, _, stderr) = run(&[], &whole[..whole.len() - 20]);
    assert_eq!(code, Some(0));
    assert!(stderr.contains("stdin: the last line is cut off"), "{stderr}");

    // Whoever reads it may have enough.
    let script = format!("'{}' report --format html '{good}' | head -c 10", auditor_path().display());
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("<!doctype ", ""));
}

/// A headless Chromium with a profile of its own, which asks for nothing by itself.
fn browse(page: &Path, dir: &Path) -> String {
    let output = Command::new("timeout")
        .args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .args(["--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .expect("timeout runs");
    assert!(output.status.success(), "this test needs chromium (`apt-get install chromium`): {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_browser_shows_a_fleet_and_asks_nobody() {
    let dir = TempDir::new("browser");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let server = format!("http://{}", listener.local_addr().expect("it listens"));
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let hostile = format!(
        "</script></style></title><img src={server}/a onerror=\"document.title='owned'\">\x1b[2J\u{202e}\
         <script src='{server}/b'></script><svg/onload=fetch('{server}/c')>"
    );
    let fleet = lines::fleet();
    assert_eq!(fleet.services, 200);
    let (a, b, page) = (dir.path().join("a.ndjson"), dir.path().join("b.ndjson"), dir.path().join("page.html"));
    write(&a, &fleet.lines);
    write(&b, &lines::of_a_stranger(&hostile));
    let output = report(&["--format", "html", a.to_str().expect("UTF-8"), b.to_str().expect("UTF-8")], b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::write(&page, &output.stdout).expect("a file can be written");

    let dom = browse(&page, dir.path());
    let ready =
        format!("data-ready=\"{} hops, {} edges, {} findings\"", fleet.hops + 1, fleet.hops + 1, fleet.dropped + 1);
    assert!(dom.contains(&ready), "its script did not run: {ready}: {:.2000}", dom);
    // Strangers have made no element, and no text but their own.
    assert_eq!((dom.matches("<script").count(), dom.matches("<img").count()), (1, 0));
    assert!(dom.contains("<title>auditor report</title>") && dom.contains("&lt;img src=http"));
    assert!(!dom.contains(['\x1b', '\u{202e}']));
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the page asked for something");

    // The same browser does ask where a page says so.
    fs::write(&page, format!("<img src={server}/control>")).expect("a file can be written");
    browse(&page, dir.path());
    assert!(asked.load(Ordering::Relaxed) > 0);
}

/// Runs a shell script in a terminal of 100 by 30.
fn in_terminal(script: &str, keys: &[u8]) -> String {
    let mut command = Command::new("timeout");
    command.args(["30", "script", "-qec", &format!("stty cols 100 rows 30; {script}"), "/dev/null"]);
    let settings = auditor_command();
    for (name, _) in settings.get_envs() {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let (mut shown, mut chunk, mut keys) = (Vec::new(), [0; 4096], Some(keys));
    while let Ok(count @ 1..) = stdout.read(&mut chunk) {
        shown.extend_from_slice(&chunk[..count]);
        // Not before the first picture.
        if text(&shown).contains("Traces end on ")
            && let Some(keys) = keys.take()
        {
            stdin.write_all(keys).expect("it reads keys");
        }
    }
    child.wait().expect("script ends");
    text(&shown)
}

fn quoted(path: PathBuf) -> String {
    format!("'{}'", path.display())
}

const TAKEN: &str = "\x1b[?1049h";
const GIVEN_BACK: &str = "\x1b[?25h\x1b[?1049l";

#[test]
fn colours_and_widths_are_the_terminals() {
    let dir = TempDir::new("colours");
    let file = dir.path().join("a.ndjson");
    write(&file, &lines::fleet().lines);
    let (auditor, file) = (quoted(auditor_path()), quoted(file));
    let shown = in_terminal(&format!("{auditor} report {file}"), b"");
    assert!(shown.contains("\x1b[31mdropped\x1b[0m") && shown.contains('…'), "{shown:.3000}");
    let plain = in_terminal(&format!("NO_COLOR=1 {auditor} report {file}"), b"");
    assert!(plain.contains("dropped") && !plain.contains('\x1b'), "{plain:.3000}");
    let longest = plain.lines().skip(2).map(|line| line.trim_end().chars().count()).max();
    assert!(longest <= Some(100), "{longest:?}: {plain:.3000}");
}

#[test]
fn top_gives_the_terminal_back() {
    let dir = TempDir::new("top");
    let file = dir.path().join("a.ndjson");
    write(&file, &lines::fleet().lines);
    let (auditor, file) = (quoted(auditor_path()), quoted(file));
    let follow = format!("{auditor} top {file}");
    // Over a pipe, keys come from the terminal all the same.
    for (script, keys) in [
        (format!("{follow}; echo code $?; stty -a"), &b"s/cart\rq"[..]),
        (format!("timeout --foreground -s TERM 1 {follow}; echo code 0; stty -a"), b""),
        (format!("timeout --foreground -s INT 1 {follow}; echo code 0; stty -a"), b""),
        (format!("cat {file} | {auditor} top -; echo code $?; stty -a"), b"q"),
    ] {
        let shown = in_terminal(&script, keys);
        let (before, after) = shown.rsplit_once(GIVEN_BACK).unwrap_or_else(|| panic!("{script}: {shown:.2000}"));
        assert!(before.contains(TAKEN) && before.contains("Traces end on "), "{script}: {before:.2000}");
        assert!(after.contains("code 0") && after.contains(" icanon") && after.contains(" echo "), "{script}: {after}");
        assert!(!after.contains(" -icanon"), "{script}: {after}");
    }
    let nowhere = auditor_command().args(["top", "/no/such/file"]).output().expect("auditor runs");
    assert_eq!(nowhere.status.code(), Some(64), "stdout is no terminal");
    assert!(text(&nowhere.stderr).contains("--once"), "{}", text(&nowhere.stderr));
    let missing = in_terminal(&format!("{auditor} top /no/such/file; echo code $?"), b"");
    assert!(missing.contains("/no/such/file: No such file") && missing.contains("code 74"), "{missing}");
    assert!(!missing.contains(TAKEN));
}

#[test]
fn top_audits() {
    require_root();
    let backend = Service::backend();
    let legacy = Service::workload("legacy", &["--mode", "drop", "--call", &backend.call("POST", "/charge")]);
    let load = Load::new(&legacy.addr, "/cart").gap(Duration::from_millis(5)).total(usize::MAX / 4).start();
    let top = format!("{} top --pid {} --interval 500ms --duration 3s", quoted(auditor_path()), legacy.pid());
    let shown = in_terminal(&format!("{top}; echo code $?; stty -a"), b"");
    let once = auditor_command()
        .args(["top", "--once", "--duration", "2s", "--pid", &legacy.pid_arg()])
        .output()
        .expect("auditor runs");
    load.stop();
    let (before, after) = shown.rsplit_once(GIVEN_BACK).unwrap_or_else(|| panic!("{shown:.3000}"));
    assert!(after.contains("code 0") && after.contains(" icanon"), "{after}");
    assert!(before.contains("GET /cart → POST /charge") && before.contains("dropped"), "{before:.3000}");
    let table = text(&once.stdout);
    assert!(
        once.status.success() && table.contains("legacy   GET /cart → POST /charge "),
        "{table}{}",
        text(&once.stderr)
    );
}
