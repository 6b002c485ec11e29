//! Configuration: by file, environment and options; checked, printed, and read again while an audit is under way.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use auditor_tests::auditor::{Auditor, auditor_command};
use auditor_tests::http::TraceParent;
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually};

fn auditor(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = auditor_command();
    command.args(args).envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("auditor starts");
    // It may not want all of it.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("auditor ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn options_win_over_the_environment_and_that_over_a_file() {
    let dir = TempDir::new("precedence");
    let file = dir.path().join("auditor.toml");
    fs::write(&file, "buffer = 2\npid = [1, 2]\ncomm = [\"nginx\"]\nmin-severity = \"error\"\n").expect("written");
    let dump = |args: &[&str], env: &[(&str, &str)]| {
        let (code, dump, said) = auditor(&[&["run", "--dump-config"], args].concat(), env, b"");
        assert_eq!(code, Some(0), "{said}");
        dump
    };
    let config = ["--config", path(&file)];
    let has = |dump: &str, line: &str| assert!(dump.lines().any(|l| l == line), "no {line} in\n{dump}");
    let of_file = dump(&config, &[]);
    for line in ["buffer = 2", "pid = [1, 2]", "comm = [\"nginx\"]", "min-severity = \"error\"", "hooks = \"auto\""] {
        has(&of_file, line);
    }
    let env = [("AUDITOR_CONFIG", path(&file)), ("AUDITOR_BUFFER_MIB", "3"), ("AUDITOR_PID", "4,5")];
    let of_env = dump(&[], &env);
    for line in ["buffer = 3", "pid = [4, 5]", "comm = [\"nginx\"]"] {
        has(&of_env, line);
    }
    let of_options = dump(&["--buffer", "4", "--pid", "6", "--ignore", "path=/a,/b"], &env);
    for line in ["buffer = 4", "pid = [6]", "comm = [\"nginx\"]", "ignore = [\"path=/a,/b\"]"] {
        has(&of_options, line);
    }
    // What is printed says the same again.
    let again = dir.path().join("again.toml");
    fs::write(&again, &of_options).expect("written");
    let (_, dumped, _) = auditor(&["config", "dump", "--config", path(&again)], &[], b"");
    let settings =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(settings(&dumped), settings(&of_options));
}

#[test]
fn files_that_cannot_be_used_are_refused() {
    let dir = TempDir::new("refused");
    let written = |name: &str, bytes: &[u8]| {
        let file = dir.path().join(name);
        fs::write(&file, bytes).expect("written");
        path(&file).to_owned()
    };
    let good = written("good.toml", b"min-severity = \"error\"\n");
    let bad = written("bad.toml", b"# a typo\nmin-severty = \"error\"\n");
    for (file, code, says) in [
        (good.as_str(), 0, "OK"),
        (&written("empty.toml", b""), 0, "OK"),
        (&bad, 78, "bad.toml:2:1: unknown key `min-severty`: did you mean `min-severity`?"),
        (&written("latin1.toml", b"a = 1\nb = \"\xe4\""), 78, "latin1.toml:2:6: this is not UTF-8"),
        (&written("large.toml", &vec![b'#'; 10 << 20]), 78, "is larger than 1 MiB"),
        (&written("deep.toml", format!("pid = {}", "[".repeat(100_000)).as_bytes()), 78, "deep.toml:1:"),
        ("/dev/zero", 78, "is larger than 1 MiB"),
        // Its first page is never mapped: reading fails.
        ("/proc/self/mem", 78, "/proc/self/mem: "),
        (path(dir.path()), 78, "Is a directory"),
        ("/nowhere/auditor.toml", 78, "No such file"),
    ] {
        let (status, _, said) = auditor(&["config", "check", file], &[], b"");
        assert!(status == Some(code) && said.contains(says), "{file}: {status:?} {said}");
    }
    let (status, _, said) = auditor(&["config", "check", "-"], &[], b"buffer = 0");
    assert!(status == Some(78) && said.contains("-:1:10: buffer: 0 is not in 1..=1024"), "{said}");
    let (status, _, said) = auditor(&["config", "check"], &[("AUDITOR_CONFIG", &bad)], b"");
    assert!(status == Some(78) && said.contains("bad.toml:2:1"), "{said}");
    // Before anything else is looked at.
    for command in [&["run"][..], &["check"], &["replay", "/nowhere"], &["record", "--output", "/nowhere/x"]] {
        let (status, _, said) = auditor(&[command, &["--config", &bad]].concat(), &[], b"");
        assert!(status == Some(78) && said.contains("bad.toml:2:1"), "{command:?} {said}");
    }
}

/// Receives a request, and calls on behalf of it when it is told to.
const HOLDER: &str = r#"
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
listening = "listening 127.0.0.1:%d" % server.getsockname()[1]
print(listening, flush=True)
client, _ = server.accept()
head = b""
while b"\r\n\r\n" not in head:
    head += client.recv(65536)
print(listening, flush=True)
sys.stdin.readline()
context = [line for line in head.decode().split("\r\n") if line.startswith("traceparent:")][0]
trace = context.split("-")[1]
port = int(sys.argv[1])
call = socket.create_connection(("127.0.0.1", port))
call.sendall(f"GET /prices HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\ntraceparent: 00-{trace}-{'a' * 16}-01\r\n\r\n".encode())
call.recv(65536)
client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
sys.stdin.read()
"#;

#[test]
fn a_file_is_read_again_and_nothing_is_forgotten() {
    let dir = TempDir::new("reload");
    let (file, script) = (dir.path().join("auditor.toml"), dir.path().join("holder.py"));
    fs::write(&script, HOLDER).expect("written");
    let backend = Service::backend();
    let port = backend.addr.port();
    let mut holder = Service::spawn(Command::new("python3").arg(&script).arg(port.to_string()));
    fs::write(&file, format!("pid = [{}]\n[[ignore]]\ndestination = \"127.0.0.1:{port}\"\n", holder.pid()))
        .expect("written");
    let auditor = Auditor::start(auditor_command().args(["run", "--config", path(&file)]));

    let mut client = TcpStream::connect(holder.addr.to_string()).expect("it listens");
    let context = TraceParent::new();
    let request = format!("GET /cart HTTP/1.1\r\nHost: shop\r\ntraceparent: {context}\r\n\r\n");
    client.write_all(request.as_bytes()).expect("it reads");
    // It has the request.
    holder.listens_again();

    let second = dir.path().join("second.jsonl");
    let config = format!("pid = [{}]\nbuffer = 4\noutput = [\"-\", \"{}\"]\n", holder.pid(), second.display());
    fs::write(&file, config).expect("written");
    auditor.hang_up();
    auditor.wait_for("auditor.reloaded");
    let said = |what: &str| eventually(PATIENCE, || auditor.stderr().contains(what));
    assert!(said("new: ignore, output; after a restart: buffer"), "{}", auditor.stderr());

    // What cannot be used changes nothing.
    fs::write(&file, "bufer = 4\n").expect("written");
    auditor.hang_up();
    assert!(said("auditor.toml:1:1: unknown key `bufer`") && said("stays as it was"), "{}", auditor.stderr());
    fs::remove_file(&file).expect("it is there");
    assert!(Command::new("mkfifo").arg(&file).status().is_ok_and(|status| status.success()));
    auditor.hang_up();
    assert!(said("is not a regular file"), "{}", auditor.stderr());

    holder.tell("go\n");
    client.read_exact(&mut [0; 12]).expect("an answer");
    let audit = auditor.stop();
    // Of the request that came before: the call is no more ignored, and its own.
    audit.assert_forwarded(holder.pid(), port, 1);
    assert_eq!((audit.stat("config", "reloads"), audit.stat("config", "reloads_refused")), (1, 2));
    let second = fs::read_to_string(&second).expect("it was opened");
    assert!(second.contains("auditor.stopped") && !second.contains("auditor.attached"), "{second}");
}
