//! What people use today to see headers on the wire, or system calls for scale.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::shell;

/// A tool that is measured in the same run.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    program: &'static str,
    /// Of Debian.
    package: &'static str,
    /// It says this on stderr when it works.
    pub(super) ready: &'static str,
    /// For these processes; files go to the directory.
    pub(super) command: fn(&Path, &[u32]) -> Command,
}

/// All of them.
static PEERS: [Peer; 4] = [
    Peer {
        name: "tcpdump",
        program: "tcpdump",
        package: "tcpdump",
        ready: "listening on",
        command: |dir, _| {
            let mut command = Command::new("tcpdump");
            command.args(["-i", "lo", "-s", "0", "-w"]).arg(dir.join("capture.pcap")).arg("tcp");
            command
        },
    },
    Peer {
        name: "tshark",
        program: "tshark",
        package: "tshark",
        ready: "Capturing on",
        command: |_, _| {
            let mut command = Command::new("tshark");
            let fields =
                ["frame.time_epoch", "tcp.stream", "http.request.method", "http.request.line", "http.response.code"];
            command.args(["-i", "lo", "-f", "tcp", "-l", "-Y", "http", "-T", "fields"]);
            command.args(fields.iter().flat_map(|field| ["-e", field]));
            command
        },
    },
    Peer {
        name: "bpftrace",
        program: "bpftrace",
        package: "bpftrace",
        ready: "Attaching",
        command: |_, pids| {
            let any: Vec<_> = pids.iter().map(|pid| format!("pid == {pid}")).collect();
            let only = if any.is_empty() { String::new() } else { format!("/{}/", any.join(" || ")) };
            let print = "printf(\"%d %s\\n\", pid, str(";
            let probe =
                |call: &str, only: &str, does: String| format!("tracepoint:syscalls:sys_{call} {only} {{ {does} }}\n");
            let sent = [
                ("enter_write", "args->buf"),
                ("enter_sendto", "args->buff"),
                ("enter_writev", "*(uint64 *)uptr(args->vec)"),
            ];
            let sends = sent.map(|(call, buffer)| probe(call, &only, format!("{print}{buffer}, 200));")));
            let begun = [("enter_read", "args->buf"), ("enter_recvfrom", "args->ubuf")];
            let begins = begun.map(|(call, buffer)| probe(call, &only, format!("@buffer[tid] = {buffer};")));
            let received = ["exit_read", "exit_recvfrom"].map(|call| {
                probe(call, "/@buffer[tid]/", format!("{print}@buffer[tid], 200)); delete(@buffer[tid]);"))
            });
            let script: String = sends.into_iter().chain(begins).chain(received).collect();
            // It finds tracepoints in tracefs, which nobody may have mounted; here nobody else sees it. What it prints
            // as its first line goes where the others say that they work.
            let mut command = Command::new("unshare");
            let run = "mount -t tracefs tracefs /sys/kernel/tracing; exec bpftrace -e \"$0\" >&2";
            command.env("BPFTRACE_STRLEN", "200").args(["--mount", "sh", "-c", run, &script]);
            command
        },
    },
    Peer {
        name: "strace",
        program: "strace",
        package: "strace",
        ready: "attached",
        command: |dir, pids| {
            let mut command = Command::new("strace");
            command.args(["-f", "-s", "200", "-e", "trace=network,read,write,readv,writev", "-o"]);
            command.arg(dir.join("trace"));
            command.args(pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]));
            command
        },
    },
];

/// Their names.
pub(super) const NAMES: [&str; 4] = ["tcpdump", "tshark", "bpftrace", "strace"];

/// Those of the `wanted` that are there; installs the others first, as far as it can.
pub(super) fn installed(wanted: &[String]) -> Vec<&'static Peer> {
    let is_wanted = |peer: &&Peer| wanted.iter().any(|name| name == peer.name);
    for peer in PEERS.iter().filter(is_wanted).filter(|peer| shell::find(peer.program).is_none()) {
        let installed: Result<()> = shell::apt_install(&[peer.package], peer.name);
        if let Err(error) = installed {
            eprintln!("without {}: {error:#}", peer.name);
        }
    }
    PEERS.iter().filter(is_wanted).filter(|peer| shell::find(peer.program).is_some()).collect()
}
