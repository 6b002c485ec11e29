//! Who a process is: in cgroups as container runtimes and systemd make them, in pid namespaces, by its environment; and
//! who is at the other end.

use std::path::Path;
use std::process::Command;

use auditor_tests::audit::Audit;
use auditor_tests::auditor::{Auditor, auditor_command};
use auditor_tests::client::Load;
use auditor_tests::http::{Connection, ReadStyle, WriteStyle};
use auditor_tests::kernel::children;
use auditor_tests::process::{PATIENCE, Service, TempDir, eventually, workload_path};
use auditor_tests::socket::Stream;
use auditor_tests::truth::cgroup::Group;
use auditor_tests::with_both_hooks;
use serde_json::Value;

const ID: &str = "3f4d9c0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a3f2e1d0c9b8a7f6e5d4c3b2a190";
const UID: &str = "2f1c9a3e-7b60-4d0e-9f3a-5c8e6b1d2a47";

/// The resource of a process, from the summary of its calls.
fn resource(audit: &Audit, pid: u32) -> &Value {
    audit.assert_clean();
    let of = |record: &&Value| record["resource"]["process.pid"] == pid;
    let found = audit.of_type("summary").find(of);
    &found.unwrap_or_else(|| panic!("nothing of process {pid}: {}", audit.explain()))["resource"]
}

/// A workload that calls a backend for every request.
fn caller(backend: &Service) -> Command {
    let mut command = Command::new(workload_path());
    command.args(["--call", &backend.call("POST", "/charge")]).env_remove("OTEL_SERVICE_NAME");
    command
}

/// Starts a service with a command, and audits some requests to it and to the backend.
fn audited(hooks: &str, command: &mut Command, more: &[&str], backend: &Service) -> (Audit, u32) {
    let service = Service::spawn(command);
    // What is started may be what starts the service.
    let pid = children(service.pid()).last().copied().unwrap_or(service.pid());
    let auditor = Auditor::run_with(hooks, &[pid, backend.pid()], more);
    Load::new(&service.addr, "/cart").total(5).run().all();
    (auditor.stop(), pid)
}

/// Cgroups (v2) as the runtimes and systemd make them.
fn cgroups(hooks: &str) {
    let backend = Service::backend();
    let top = Group::new();
    let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
    let (pod, plain) = (top.child(&slice), top.child("kubepods"));
    let pod_plain = plain.child(&format!("pod{UID}"));
    let (user, template) = (top.child("user@1000.service"), top.child("system-shop.slice"));
    let app = user.child("app.slice");
    // Each is another container.
    let ids = ["a", "b", "c", "d", "e"].map(|first| ID.replacen('3', first, 1));
    let [containerd, crio, plain_id, docker, podman] = &ids;
    let groups = [
        (pod.child(&format!("cri-containerd-{containerd}.scope")), &containerd[..12], Some(containerd), Some(UID)),
        (pod.child(&format!("crio-{crio}.scope")), &crio[..12], Some(crio), Some(UID)),
        (pod_plain.child(plain_id), &plain_id[..12], Some(plain_id), Some(UID)),
        (top.child(&format!("docker-{docker}.scope")), &docker[..12], Some(docker), None),
        (top.child(&format!("libpod-{podman}.scope")), &podman[..12], Some(podman), None),
        (top.child("web\\x2dfront.service"), "web-front", None, None),
        (template.child("shop@8080.service"), "shop@8080", None, None),
        (app.child("mail.service"), "mail", None, None),
        (top.child("session-3.scope"), "auditor-workload", None, None),
        (top.child("cron.service"), "auditor-workload", None, None),
    ];
    // After the groups, so that they end before them.
    let services: Vec<_> =
        groups.iter().map(|(group, ..)| Service::spawn(&mut group.enter(&caller(&backend)))).collect();
    let pids: Vec<u32> = services.iter().map(Service::pid).collect();
    let auditor = Auditor::run(hooks, &pids);
    for service in &services {
        Load::new(&service.addr, "/cart").total(5).run().all();
    }
    let audit = auditor.stop();
    for ((group, service, id, uid), pid) in groups.iter().zip(pids) {
        let resource = resource(&audit, pid);
        let text = |value: Option<&str>| value.map_or(Value::Null, Value::from);
        assert_eq!(resource["service.name"], *service, "{}: {resource}", group.path());
        assert_eq!(resource["container.id"], text(id.map(String::as_str)), "{resource}");
        assert_eq!(resource["k8s.pod.uid"], text(*uid), "{resource}");
        let cgroup = resource["process.linux.cgroup"].as_str().unwrap_or_default();
        assert!(!cgroup.is_empty() && group.path().ends_with(cgroup), "{resource}");
    }
}

/// Where only a hierarchy of v1 knows of the container. Kernels and nodes without v1 have no such containers.
#[test]
fn cgroups_of_the_first_version() {
    let hierarchy = Path::new("/sys/fs/cgroup/pids");
    if !hierarchy.join("cgroup.procs").exists() {
        return;
    }
    let backend = Service::backend();
    let directory = hierarchy.join(format!("docker-{}", std::process::id()));
    let container = directory.join(ID);
    std::fs::create_dir_all(&container).expect("a writable hierarchy");
    let command = caller(&backend);
    let mut entering = Command::new("/bin/sh");
    entering.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(container.join("cgroup.procs"));
    entering.arg(command.get_program()).args(command.get_args()).env_remove("OTEL_SERVICE_NAME");
    let (audit, pid) = audited(auditor_tests::kernel::best_hooks(), &mut entering, &[], &backend);
    for directory in [&container, &directory] {
        eventually(PATIENCE, || std::fs::remove_dir(directory).is_ok());
    }
    let resource = resource(&audit, pid);
    assert_eq!((&resource["container.id"], &resource["service.name"]), (&ID.into(), &ID[..12].into()), "{resource}");
}

/// The kubelet's files, under another root.
fn pods_are_named_by_the_kubelets_files(hooks: &str) {
    let backend = Service::backend();
    let node = TempDir::new("node");
    let logs = node.path().join("var/log");
    let pod = format!("store_cart-7d9f8b6c5d-x2x8z_{UID}");
    std::fs::create_dir_all(logs.join("pods").join(&pod).join("app")).expect("temporary directory");
    std::fs::create_dir_all(logs.join("containers")).expect("temporary directory");
    let link = logs.join("containers").join(format!("cart-7d9f8b6c5d-x2x8z_store_app-{ID}.log"));
    std::os::unix::fs::symlink(format!("/var/log/pods/{pod}/app/0.log"), link).expect("a link");
    let top = Group::new();
    let group = top.child(&format!("cri-containerd-{ID}.scope"));
    let root = node.path().to_str().expect("UTF-8");
    let more = ["--host-root", root, "--host-name", "node-a"];
    let (audit, pid) = audited(hooks, &mut group.enter(&caller(&backend)), &more, &backend);
    let resource = resource(&audit, pid);
    for (name, value) in [
        ("service.name", "cart/app"),
        ("k8s.pod.uid", UID),
        ("k8s.pod.name", "cart-7d9f8b6c5d-x2x8z"),
        ("k8s.namespace.name", "store"),
        ("k8s.container.name", "app"),
        ("container.id", ID),
        ("host.name", "node-a"),
    ] {
        assert_eq!(resource[name], value, "{name}: {resource}");
    }
}

/// OpenTelemetry's variables.
fn declared_by_the_environment(hooks: &str) {
    let backend = Service::backend();
    let attributes = "service.name=shop,service.namespace=store,service.version=1.2%2C3,service.instance.id=i-1,\
                      deployment.environment=test";
    let mut command = caller(&backend);
    let (audit, pid) = audited(hooks, command.env("OTEL_RESOURCE_ATTRIBUTES", attributes), &[], &backend);
    let found = resource(&audit, pid);
    for (name, value) in [
        ("service.name", "shop"),
        ("service.namespace", "store"),
        ("service.version", "1.2,3"),
        ("service.instance.id", "i-1"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(found[name], value, "{name}: {found}");
    }
    let mut command = caller(&backend);
    command.env("OTEL_SERVICE_NAME", "cart").env("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=a,broken");
    let (audit, pid) = audited(hooks, &mut command, &[], &backend);
    let found = resource(&audit, pid);
    assert_eq!((&found["service.name"], &found["service.namespace"]), (&"cart".into(), &Value::Null), "{found}");
}

/// A process in a pid namespace of its own has two pids. Another one that gets its pid there later is another process.
fn pid_namespaces(hooks: &str) {
    let backend = Service::backend();
    let mut command = Command::new("unshare");
    let workload = caller(&backend);
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(workload.get_program());
    command.args(workload.get_args()).env("OTEL_SERVICE_NAME", "inner");
    let (audit, pid) = audited(hooks, &mut command, &[], &backend);
    let found = resource(&audit, pid);
    assert_eq!((&found["service.name"], &found["process.vpid"]), (&"inner".into(), &1.into()), "{found}");
    assert_eq!(found["process.executable.name"], "auditor-workload", "{found}");
    // The pids of an auditor in another namespace are other processes': it says nothing of them.
    let service = Service::spawn(caller(&backend).env("OTEL_SERVICE_NAME", "outer"));
    let mut within = Command::new("unshare");
    within.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(auditor_command().get_program());
    within.args(["run", "--hooks", hooks, "--comm", "auditor-workloa", "--duration", "3s"]);
    let auditor = Auditor::start(&mut within);
    Load::new(&service.addr, "/cart").total(5).run().all();
    let audit = auditor.wait_exit();
    let found = resource(&audit, service.pid());
    assert_eq!((&found["service.name"], &found["process.command_line"]), (&"auditor-workloa".into(), &Value::Null));
}

/// The same pid, another process: what was known of the one is not said of the other.
fn reused_pids(hooks: &str) {
    let backend = Service::backend();
    let one = Service::spawn(caller(&backend).env("OTEL_SERVICE_NAME", "one"));
    let auditor = Auditor::run_with(hooks, &[one.pid(), backend.pid()], &["--summary-interval", "1s"]);
    Load::new(&one.addr, "/cart").total(5).run().all();
    let pid = one.pid();
    one.kill();
    let two = spawn_as(pid, || Service::spawn(caller(&backend).env("OTEL_SERVICE_NAME", "two")));
    Load::new(&two.addr, "/cart").total(5).run().all();
    let audit = auditor.stop();
    audit.assert_clean();
    let mut names: Vec<_> = audit
        .of_type("summary")
        .filter(|record| record["resource"]["process.pid"] == pid)
        .filter_map(|record| record["resource"]["service.name"].as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["one", "two"], "{}", audit.explain());
}

/// Tries until the kernel gives the pid out again: others may be quicker.
fn spawn_as(pid: u32, spawn: impl Fn() -> Service) -> Service {
    for _ in 0..200 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("root sets the last pid");
        let service = spawn();
        if service.pid() == pid {
            return service;
        }
    }
    panic!("pid {pid} does not come back");
}

/// Each end of a call on this node is named: over TCP and Unix sockets.
fn both_ends_are_named(hooks: &str) {
    let dir = TempDir::new("ends");
    let socket = format!("unix:{}", dir.path().join("ledger.sock").display());
    let ledger = Service::workload("ledger", &["--listen", &socket, "--delay-ms", "6"]);
    let charge = Service::workload("charge", &["--mode", "drop", "--call", &ledger.call("POST", "/entries")]);
    let cart = Service::workload("cart", &["--call", &charge.call("POST", "/charge")]);
    let auditor = Auditor::run(hooks, &[ledger.pid(), charge.pid(), cart.pid()]);
    Load::new(&cart.addr, "/cart").total(40).run().all();
    let audit = auditor.stop();
    audit.assert_clean();
    for (service, peer) in [(&cart, ("charge", charge.pid())), (&charge, ("ledger", ledger.pid()))] {
        let edge = audit.of_type("summary").find(|record| record["resource"]["process.pid"] == service.pid());
        let attributes = &edge.unwrap_or_else(|| panic!("{}", audit.explain()))["attributes"];
        assert_eq!(attributes["service.peer.name"], peer.0, "{attributes}");
        assert_eq!(attributes["network.peer.pid"], peer.1, "{attributes}");
    }
    let dropped = audit.findings("traceparent_dropped");
    let dropped = dropped.first().unwrap_or_else(|| panic!("{}", audit.explain()));
    assert_eq!(dropped["attributes"]["service.peer.name"], "ledger", "{dropped}");
    assert_eq!(dropped["finding"]["inbound"]["service.peer.name"], "cart", "{dropped}");
    assert_eq!(dropped["finding"]["inbound"]["network.peer.pid"], cart.pid(), "{dropped}");
}

/// A malformed value is told of who sent it; of who received it only where nobody audits the sender.
fn a_fault_on_the_wire_is_told_once(hooks: &str) {
    let backend = Service::backend();
    let told = |pids: &[u32], more: &[&str]| {
        let auditor = Auditor::run_with(hooks, pids, more);
        // This process is the sender, and nothing asked it to.
        for _ in 0..5 {
            let stream = Stream::connect(&backend.addr).expect("it listens");
            let mut connection = Connection::new(stream, ReadStyle::Plain, WriteStyle::Whole);
            connection.write_message(b"GET /x HTTP/1.1\r\nHost: b\r\ntraceparent: 00-BAD\r\n\r\n").expect("it reads");
            let answer = connection.read_head().expect("it answers").expect("it answers");
            connection.skip_body(&answer).expect("it answers");
        }
        let audit = auditor.stop();
        audit.assert_clean();
        let mut told: Vec<_> = audit
            .findings("traceparent_malformed")
            .iter()
            .map(|line| (line["finding"]["direction"].clone(), line["resource"]["process.pid"].clone()))
            .collect();
        let count: u64 =
            audit.findings("traceparent_malformed").iter().filter_map(|f| f["finding"]["count"].as_u64()).sum();
        told.dedup();
        (told, count)
    };
    let here = std::process::id();
    let sender = (vec![("outbound".into(), here.into())], 5);
    let receiver = (vec![("inbound".into(), backend.pid().into())], 5);
    assert_eq!(told(&[here, backend.pid()], &[]), sender);
    assert_eq!(told(&[here], &[]), sender);
    assert_eq!(told(&[backend.pid()], &[]), receiver);
    // Left out by the daemon, not by the kernel side.
    assert_eq!(told(&[here, backend.pid()], &["--exe", "auditor-workload"]), receiver);
}

with_both_hooks!(
    cgroups,
    pods_are_named_by_the_kubelets_files,
    declared_by_the_environment,
    pid_namespaces,
    reused_pids,
    both_ends_are_named,
    a_fault_on_the_wire_is_told_once,
);
