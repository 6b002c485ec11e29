//! Kernel tests that need no foreign runtime: they run on this machine and on every kernel of `cargo xtask vm`.

use auditor_tests::with_both_hooks;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use auditor_tests::audit::{Dropped, To};
use auditor_tests::auditor::{Auditor, auditor_command, auditor_path};
use auditor_tests::client::{Body, Load};
use auditor_tests::http::{Connection, HeaderStyle, ReadStyle, TraceParent, WriteStyle};
use auditor_tests::kernel::{best_hooks, bpf_program_ids, is_small, programs_of, require_root};
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually};
use auditor_tests::socket::{Addr, Listener, Stream};

with_both_hooks!(
    dropping_service_is_found,
    dropping_service_is_found_among_concurrent_requests,
    forwarding_and_passing_services_are_not_accused,
    restarted_trace_is_found,
    calls_without_inbound_context_are_no_drops,
    several_calls_for_one_request_are_judged_apart,
    header_spellings_are_understood,
    heads_in_pieces_are_understood,
    heads_split_at_every_position_are_understood,
    unusual_reads_and_writes_are_understood,
    request_in_a_body_is_no_request,
    response_by_sendfile_is_no_request,
    upload_ships_no_body,
    ipv6_is_audited,
    ipv4_mapped_addresses_are_audited,
    unix_sockets_are_audited,
    reused_descriptors_are_told_apart,
    open_connections_are_audited_at_once,
    background_calls_are_no_drops,
    who_serves_tls_may_pass_on_what_it_was_sent,
    killed_service_is_not_accused,
    killed_auditor_leaves_nothing_in_the_kernel,
    signals_flush,
    duration_ends_the_run,
    closed_stdout_ends_quietly,
    replay_agrees_with_the_live_run,
);

/// What a process sends that receives nothing which can be seen is its own, broken headers included: unless it was sent
/// something in TLS. Here that is this process.
fn who_serves_tls_may_pass_on_what_it_was_sent(hooks: &str) {
    const RECORD: &[u8] = b"\x17\x03\x03\x00\x05tls..";
    let backend = Service::backend();
    let call = || {
        let mut connection =
            Connection::new(Stream::connect(&backend.addr).expect("it listens"), ReadStyle::Plain, WriteStyle::Whole);
        let broken = TraceParent::new().to_string().to_uppercase();
        let head = format!("GET /cart HTTP/1.1\r\nHost: {}\r\ntraceparent: {broken}\r\n\r\n", backend.addr);
        connection.write_message(head.as_bytes()).expect("it reads");
        connection.read_head().expect("it answers").expect("it answers");
    };
    let dir = TempDir::new("tls-unix");
    let unix = format!("unix:{}/server", dir.path().display());
    for listen in ["127.0.0.1:0", &unix] {
        let (listener, address) = Listener::bind(&listen.parse().expect("an address")).expect("it is free");
        for (server_sends, client_sends) in [(false, false), (true, false), (false, true)] {
            let serves = server_sends || client_sends;
            let mut client = Stream::connect(if serves { &address } else { &backend.addr }).expect("it listens");
            let server = serves.then(|| listener.accept().expect("somebody connects"));
            let auditor = Auditor::run(hooks, &[std::process::id()]);
            if let Some(mut server) = server {
                let (from, to) = if server_sends { (&mut server, &mut client) } else { (&mut client, &mut server) };
                from.write_all(RECORD).expect("it is read");
                to.read_exact(&mut [0; RECORD.len()]).expect("it was sent");
            } else {
                client.write_all(RECORD).expect("it is read");
            }
            call();
            let audit = auditor.stop();
            let port = backend.addr.port();
            let findings = audit.findings("traceparent_malformed");
            let accused = findings.iter().any(|finding| finding["attributes"]["server.port"] == port);
            assert_eq!(accused, !serves, "{listen}: {}", audit.explain());
            let calls = audit.calls_to_port(std::process::id(), port);
            assert_eq!(calls["calls"], 1, "{listen}: {}", audit.explain());
        }
    }
}

/// A backend, a service in front of it that treats trace context as `mode` says, and their one call.
struct Pair {
    backend: Service,
    service: Service,
    /// The service's name, which no other pair has.
    name: String,
}

impl Pair {
    fn new(mode: &str, more: &[&str]) -> Self {
        Self::in_front_of(Service::backend(), mode, more)
    }

    fn in_front_of(backend: Service, mode: &str, more: &[&str]) -> Self {
        let call = backend.call("POST", "/charge");
        let mut args = vec!["--mode", mode, "--call", &call];
        args.extend(more);
        let name = format!("{mode}-in-front-of-{}", backend.pid());
        let service = Service::workload(&name, &args);
        Self { backend, service, name }
    }

    fn audit(&self, hooks: &str) -> Auditor {
        Auditor::run(hooks, &[self.service.pid()])
    }

    fn load(&self) -> Load {
        Load::new(&self.service.addr, "/cart")
    }

    fn port(&self) -> u16 {
        self.backend.addr.port()
    }

    fn dropped(&self, calls: u64) -> Dropped<'static> {
        let to = To::Port(self.port());
        Dropped { pid: Some(self.service.pid()), inbound: "/cart", outbound: "/charge", to, calls }
    }
}

fn dropping_service_is_found(hooks: &str) {
    let pair = Pair::new("drop", &[]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().run().all();
    let audit = auditor.stop();
    audit.assert_dropped(&pair.dropped(calls));
    let finding = audit.findings("traceparent_dropped")[0];
    assert_eq!(finding["resource"]["service.name"], pair.name, "{finding}");
    assert_eq!(finding["finding"]["inbound"]["http.request.method"], "GET", "{finding}");
    assert_eq!(finding["attributes"]["http.request.method"], "POST", "{finding}");
    assert_eq!(finding["attributes"]["network.peer.address"], "127.0.0.1", "{finding}");
}

fn dropping_service_is_found_among_concurrent_requests(hooks: &str) {
    let pair = Pair::new("drop", &[]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().clients(16).total(320).gap(Duration::from_millis(20)).run().all();
    auditor.stop().assert_dropped(&pair.dropped(calls));
}

fn forwarding_and_passing_services_are_not_accused(hooks: &str) {
    let (forward, pass) = (Pair::new("forward", &[]), Pair::new("pass", &[]));
    let auditor = Auditor::run(hooks, &[forward.service.pid(), pass.service.pid()]);
    let mut calls = 0;
    for clients in [1, 16] {
        let total = 30 * clients;
        calls += forward.load().clients(clients).total(total).run().all();
        assert_eq!(pass.load().clients(clients).total(total).run().all() as usize, total);
    }
    let audit = auditor.stop();
    audit.assert_forwarded(forward.service.pid(), forward.port(), calls);
    audit.assert_forwarded(pass.service.pid(), pass.port(), calls);
    assert_eq!(audit.calls_to_port(forward.service.pid(), forward.port())["continued"], calls);
    assert_eq!(audit.calls_to_port(pass.service.pid(), pass.port())["passed_through"], calls);
}

fn restarted_trace_is_found(hooks: &str) {
    let pair = Pair::new("restart", &[]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().run().all();
    let audit = auditor.stop();
    audit.assert_no_errors();
    let found = audit.findings("trace_restarted");
    assert!(!found.is_empty(), "{}", audit.explain());
    let counted: u64 = found.iter().filter_map(|finding| finding["finding"]["count"].as_u64()).sum();
    assert_eq!(counted, calls, "{}", audit.explain());
    assert_eq!(audit.calls_to_port(pair.service.pid(), pair.port())["restarted"], calls, "{}", audit.explain());
}

fn calls_without_inbound_context_are_no_drops(hooks: &str) {
    let pair = Pair::new("drop", &[]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().without_context().run().all();
    let audit = auditor.stop();
    audit.assert_no_errors();
    assert_eq!(audit.calls_to_port(pair.service.pid(), pair.port())["absent"], calls, "{}", audit.explain());
}

fn several_calls_for_one_request_are_judged_apart(hooks: &str) {
    let (stock, ledger) = (Service::backend(), Service::backend());
    let (first, second) = (stock.call("GET", "/stock"), ledger.call("PUT", "/entries"));
    let service = Service::workload("fan-out", &["--mode", "forward", "--call", &first, "--call", &second]);
    let auditor = Auditor::run(hooks, &[service.pid()]);
    let calls = Load::new(&service.addr, "/cart").run().all();
    let audit = auditor.stop();
    audit.assert_forwarded(service.pid(), stock.addr.port(), calls);
    audit.assert_forwarded(service.pid(), ledger.addr.port(), calls);
}

fn header_spellings_are_understood(hooks: &str) {
    let services: Vec<(HeaderStyle, Pair)> =
        HeaderStyle::ALL.iter().map(|(name, style)| (*style, Pair::new("forward", &["--header", name]))).collect();
    let pids: Vec<u32> = services.iter().map(|(_, pair)| pair.service.pid()).collect();
    let auditor = Auditor::run(hooks, &pids);
    let calls: Vec<u64> =
        services.iter().map(|(style, pair)| pair.load().header(*style).total(10).run().all()).collect();
    let audit = auditor.stop();
    for ((_, pair), calls) in services.iter().zip(calls) {
        audit.assert_forwarded(pair.service.pid(), pair.port(), calls);
    }
}

fn heads_in_pieces_are_understood(hooks: &str) {
    let ways = [("bytes", WriteStyle::Bytes), ("iovecs:3", WriteStyle::Iovecs(3)), ("iovecs:1", WriteStyle::Iovecs(1))];
    let services = ways.map(|(name, style)| (style, Pair::new("forward", &["--write", name])));
    let pids: Vec<u32> = services.iter().map(|(_, pair)| pair.service.pid()).collect();
    let auditor = Auditor::run(hooks, &pids);
    let calls: Vec<u64> =
        services.iter().map(|(style, pair)| pair.load().write(*style).total(10).run().all()).collect();
    let audit = auditor.stop();
    for ((_, pair), calls) in services.iter().zip(calls) {
        audit.assert_forwarded(pair.service.pid(), pair.port(), calls);
    }
}

fn heads_split_at_every_position_are_understood(hooks: &str) {
    // A head is some 150 bytes long; one of the services opens a new connection for every call.
    let pooled = Pair::new("forward", &["--write", "split-each"]);
    let fresh = Pair::new("forward", &["--write", "split-each", "--fresh"]);
    let auditor = Auditor::run(hooks, &[pooled.service.pid(), fresh.service.pid()]);
    let gap = Duration::from_millis(1);
    let split = |pair: &Pair| pair.load().write(WriteStyle::SplitEach).total(200).gap(gap);
    let calls = split(&pooled).run().all();
    let calls_fresh = split(&fresh).run().all() + split(&fresh).reconnect().run().all();
    let audit = auditor.stop();
    audit.assert_forwarded(pooled.service.pid(), pooled.port(), calls);
    audit.assert_forwarded(fresh.service.pid(), fresh.port(), calls_fresh);
}

fn unusual_reads_and_writes_are_understood(hooks: &str) {
    let services = [
        Pair::new("forward", &["--read", "peek"]),
        Pair::new("forward", &["--read", "readv"]),
        Pair::new("forward", &["--read", "recvmmsg", "--write", "sendmmsg:9"]),
        Pair::new("forward", &["--respond", "chunked"]),
    ];
    let pids: Vec<u32> = services.iter().map(|pair| pair.service.pid()).collect();
    let auditor = Auditor::run(hooks, &pids);
    let calls: Vec<u64> = services.iter().map(|pair| pair.load().total(20).run().all()).collect();
    let audit = auditor.stop();
    for (pair, calls) in services.iter().zip(calls) {
        audit.assert_forwarded(pair.service.pid(), pair.port(), calls);
    }
}

fn request_in_a_body_is_no_request(hooks: &str) {
    let pair = Pair::new("forward", &[]);
    let auditor = pair.audit(hooks);
    let fake = b"POST /fake HTTP/1.1\r\nHost: fake\r\nContent-Length: 0\r\n\r\n".repeat(20);
    let with_length = pair.load().post(Body::Length(fake.clone())).run().all();
    let in_chunks = pair.load().post(Body::Chunked(fake)).run().all();
    let audit = auditor.stop();
    audit.assert_forwarded(pair.service.pid(), pair.port(), with_length + in_chunks);
    assert!(!audit.lines.iter().any(|line| line.contains("/fake")), "{}", audit.explain());
    assert_eq!(audit.calls_of(pair.service.pid())["calls"], with_length + in_chunks, "{}", audit.explain());
}

fn response_by_sendfile_is_no_request(hooks: &str) {
    let pair = Pair::new("forward", &["--respond", "sendfile"]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().run().all();
    let audit = auditor.stop();
    audit.assert_forwarded(pair.service.pid(), pair.port(), calls);
    assert!(!audit.lines.iter().any(|line| line.contains("/fake")), "{}", audit.explain());
}

fn upload_ships_no_body(hooks: &str) {
    let pair = Pair::new("forward", &[]);
    let auditor = pair.audit(hooks);
    let length: u64 = if is_small() { 64 << 20 } else { 1 << 30 };
    assert_eq!(pair.load().total(1).post(Body::Zeroes(length)).run().all(), 1);
    // The position after it is right: the next request on the connection is seen.
    let calls = pair.load().total(5).post(Body::Length(vec![0; 100_000])).run().all();
    let audit = auditor.stop();
    audit.assert_forwarded(pair.service.pid(), pair.port(), calls + 1);
    let (seen, captured) = (audit.stat("kernel", "bytes"), audit.stat("kernel", "bytes_captured"));
    assert!(seen >= length, "{seen} bytes crossed the sockets, {length} were uploaded");
    // Six requests and their responses, each seen from up to four sockets, and what little shares an operation.
    assert!(captured < 64 * 1024, "{captured} bytes were captured of six small heads");
}

fn ipv6_is_audited(hooks: &str) {
    let backend = Service::workload("backend", &["--listen", "[::1]:0", "--delay-ms", "6"]);
    let pair = Pair::in_front_of(backend, "drop", &["--listen", "[::1]:0"]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().run().all();
    let audit = auditor.stop();
    audit.assert_dropped(&pair.dropped(calls));
    assert_eq!(audit.findings("traceparent_dropped")[0]["attributes"]["network.peer.address"], "::1");
}

fn ipv4_mapped_addresses_are_audited(hooks: &str) {
    let mapped = ["--listen", "[::ffff:127.0.0.1]:0", "--delay-ms", "6"];
    let pair = Pair::in_front_of(Service::workload("backend", &mapped), "drop", &mapped[..2]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().run().all();
    let audit = auditor.stop();
    audit.assert_dropped(&pair.dropped(calls));
    let finding = audit.findings("traceparent_dropped")[0];
    assert_eq!(finding["attributes"]["network.peer.address"], "127.0.0.1", "{finding}");
}

fn unix_sockets_are_audited(hooks: &str) {
    let dir = TempDir::new("unix");
    let path = |name: &str| format!("unix:{}/{name}", dir.path().display());
    let backend = Service::workload("backend", &["--listen", &path("backend"), "--delay-ms", "6"]);
    let pair = Pair::in_front_of(backend, "drop", &["--listen", &path("service")]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().run().all();
    let audit = auditor.stop();
    let Addr::Unix(peer) = &pair.backend.addr else { panic!("{} is no path", pair.backend.addr) };
    let to = To::Path(peer.to_str().expect("the path is ASCII"));
    let pid = Some(pair.service.pid());
    audit.assert_dropped(&Dropped { pid, inbound: "/cart", outbound: "/charge", to, calls });
}

fn reused_descriptors_are_told_apart(hooks: &str) {
    // Every call has the descriptor number of the one before; the client's connections too.
    let (drop, forward) = (Pair::new("drop", &["--fresh"]), Pair::new("forward", &["--fresh"]));
    let auditor = Auditor::run(hooks, &[drop.service.pid(), forward.service.pid()]);
    let calls = drop.load().total(60).reconnect().run().all();
    let forwarded = forward.load().total(60).reconnect().run().all();
    let audit = auditor.stop();
    assert_eq!(audit.calls_to_port(drop.service.pid(), drop.port())["dropped"], calls, "{}", audit.explain());
    assert_eq!(
        audit.calls_to_port(forward.service.pid(), forward.port())["continued"],
        forwarded,
        "{}",
        audit.explain()
    );
    let accused: Vec<_> = audit.errors().iter().map(|finding| finding["resource"]["process.pid"].clone()).collect();
    assert!(accused.iter().all(|pid| *pid == drop.service.pid()), "{}", audit.explain());
}

fn open_connections_are_audited_at_once(hooks: &str) {
    let pair = Pair::new("drop", &[]);
    let clients = if is_small() { 20 } else { 100 };
    let load = pair.load().clients(clients).total(1_000_000).gap(Duration::from_millis(20)).start();
    assert!(eventually(PATIENCE, || load.done() >= clients), "the load does not begin");
    let auditor = pair.audit(hooks);
    let attached = load.done();
    assert!(eventually(PATIENCE, || load.done() >= attached + 4 * clients), "the load stands still");
    let whole_waves = (load.done() - attached).saturating_sub(2 * clients) as u64;
    let audit = auditor.stop();
    load.stop().all();
    audit.assert_clean();
    let found = audit.findings("traceparent_dropped");
    assert!(!found.is_empty(), "{}", audit.explain());
    let dropped = audit.calls_to_port(pair.service.pid(), pair.port())["dropped"];
    assert!(dropped >= whole_waves, "{dropped} of at least {whole_waves} drops were seen: {}", audit.explain());
}

fn background_calls_are_no_drops(hooks: &str) {
    let poll = Service::workload("poll-target", &["--delay-ms", "2"]);
    let background = poll.call("GET", "/poll");
    let pair = Pair::new("forward", &["--background", &background, "--background-every-ms", "15"]);
    let auditor = pair.audit(hooks);
    let calls = pair.load().clients(8).total(400).gap(Duration::from_millis(5)).run().all();
    let audit = auditor.stop();
    audit.assert_forwarded(pair.service.pid(), pair.port(), calls);
    assert!(audit.findings("traceparent_dropped").is_empty(), "{}", audit.explain());
    let polled = audit.calls_to_port(pair.service.pid(), poll.addr.port());
    assert!(polled["calls"] > 0, "the background calls were not seen: {}", audit.explain());
}

fn killed_service_is_not_accused(hooks: &str) {
    // The backend is slow: when the service is killed, requests have come in whose calls are under way or not yet made.
    let backend = Service::workload("backend", &["--delay-ms", "300"]);
    let pair = Pair::in_front_of(backend, "forward", &[]);
    let auditor = pair.audit(hooks);
    let load = pair.load().clients(8).total(24).start();
    assert!(eventually(PATIENCE, || load.done() >= 8), "the load does not begin");
    pair.service.kill();
    let report = load.wait();
    assert!(!report.errors.is_empty(), "the service was killed too late to be in the middle of anything");
    auditor.stop().assert_no_errors();
}

fn killed_auditor_leaves_nothing_in_the_kernel(hooks: &str) {
    require_root();
    let pair = Pair::new("drop", &[]);
    let auditor = pair.audit(hooks);
    let loaded = programs_of(auditor.pid());
    assert!(!loaded.is_empty(), "the auditor runs and has loaded no program");
    pair.load().total(5).run().all();
    auditor.kill();
    let gone = || bpf_program_ids().iter().all(|id| !loaded.contains(id));
    assert!(eventually(PATIENCE, gone), "of the programs {loaded:?} some are still in the kernel");
    pair.load().total(5).run().all();
}

fn signals_flush(hooks: &str) {
    for stop in [Auditor::stop, Auditor::terminate] {
        let pair = Pair::new("drop", &[]);
        let auditor = pair.audit(hooks);
        let calls = pair.load().run().all();
        let audit = stop(auditor);
        audit.assert_dropped(&pair.dropped(calls));
        assert_eq!(audit.records.last().map(|record| record["event_name"].clone()), Some("auditor.stopped".into()));
        assert!(audit.of_type("stats").next().is_some(), "{}", audit.explain());
    }
}

fn duration_ends_the_run(hooks: &str) {
    let pair = Pair::new("forward", &[]);
    let auditor = Auditor::run_with(hooks, &[pair.service.pid()], &["--duration", "1s"]);
    let audit = auditor.wait_exit();
    audit.assert_no_errors();
    assert_eq!(audit.records.last().map(|record| record["event_name"].clone()), Some("auditor.stopped".into()));
}

fn closed_stdout_ends_quietly(hooks: &str) {
    require_root();
    let pair = Pair::new("drop", &[]);
    let mut child = auditor_command()
        .args(["run", "--hooks", hooks, "--pid", &pair.service.pid_arg()])
        .args(["--summary-interval", "1s", "--stats-interval", "1s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the auditor starts");
    // As `| head -1` does: one line, and the pipe is closed.
    let mut first = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut first).expect("a line comes");
    assert!(first.contains("auditor.attached"), "{first}");
    let load = pair.load().total(1_000_000).start();
    let ended = eventually(PATIENCE, || child.try_wait().is_ok_and(|status| status.is_some()));
    load.stop().all();
    if !ended {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("it can be waited for");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(ended, "it does not end when nobody reads; {stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.to_lowercase().contains("broken pipe"), "{stderr}");
}

fn replay_agrees_with_the_live_run(hooks: &str) {
    require_root();
    let dir = TempDir::new("recording");
    let recording = dir.path().join("recording");
    let (drop, forward) = (Pair::new("drop", &[]), Pair::new("forward", &[]));
    let pids = [drop.service.pid(), forward.service.pid()];
    let mut record = auditor_command();
    record.args(["record", "--hooks", hooks, "--output"]).arg(&recording);
    for pid in pids {
        record.args(["--pid", &pid.to_string()]);
    }
    let recorder = Auditor::spawn(&mut record);
    let attached = || recorder.stderr().contains("recording to");
    eventually(PATIENCE, || attached() || recorder.has_ended());
    assert!(attached() && !recorder.has_ended(), "auditor record does not attach: {}", recorder.stderr());
    let auditor = Auditor::run(hooks, &pids);
    let calls = drop.load().run().all();
    forward.load().run().all();
    recorder.stop().assert_clean();
    let live = auditor.stop();
    live.assert_dropped(&drop.dropped(calls));

    let replay = || {
        let output = auditor_command()
            .arg("replay")
            .arg(&recording)
            .args(["--aggregation-window", "3600s", "--summary-interval", "3600s", "--stats-interval", "3600s"])
            .stdin(Stdio::null())
            .output()
            .expect("auditor replay starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let (first, second) = (replay(), replay());
    assert!(first.stdout == second.stdout, "two replays of one recording differ");
    let lines = String::from_utf8_lossy(&first.stdout).lines().map(str::to_owned).collect();
    let replayed = auditor_tests::audit::Audit::new(lines, first.status, String::new());
    assert_eq!(replayed.essence(), live.essence(), "{}\n{}", replayed.explain(), live.explain());
}

#[test]
fn auto_chooses_the_best_hooks() {
    let pair = Pair::new("drop", &[]);
    let auditor = pair.audit("auto");
    let calls = pair.load().run().all();
    let audit = auditor.stop();
    audit.assert_dropped(&pair.dropped(calls));
    let attached = audit.of_type("lifecycle").next().expect("it said that it is attached").to_string();
    assert!(attached.contains(&format!("\"{}\"", best_hooks())), "{attached}");
}

#[test]
fn check_fails_on_a_drop_and_is_inconclusive_on_silence() {
    require_root();
    let check = |pid: &str| {
        let mut command = auditor_command();
        command.args(["check", "--duration", "2s", "--pid", pid]);
        command
    };
    let pair = Pair::new("drop", &[]);
    let load = pair.load().total(1_000_000).start();
    let found = Auditor::spawn(&mut check(&pair.service.pid_arg())).wait_exit();
    load.stop().all();
    assert_eq!(found.status.code(), Some(1), "{}", found.explain());
    let silent = Auditor::spawn(&mut check(&pair.backend.pid_arg())).wait_exit();
    assert_eq!(silent.status.code(), Some(3), "{}", silent.explain());
}

#[test]
fn missing_privilege_is_named() {
    use std::os::unix::process::CommandExt;
    require_root();
    // Nobody may not reach the build directory of root.
    let dir = TempDir::new("unprivileged");
    let program = dir.path().join("auditor");
    std::fs::copy(auditor_path(), &program).expect("the auditor can be copied");
    let output = Command::new(&program)
        .args(["run", "--duration", "1s"])
        .uid(65534)
        .gid(65534)
        .stdin(Stdio::null())
        .output()
        .expect("the auditor starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{stderr}");
    assert!(stderr.contains("CAP_BPF") && stderr.contains("CAP_PERFMON"), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn usage_errors_are_usage_errors() {
    let output = auditor_command().args(["run", "--hooks", "nonsense"]).output().expect("the auditor starts");
    assert_eq!(output.status.code(), Some(64), "{}", String::from_utf8_lossy(&output.stderr));
}
