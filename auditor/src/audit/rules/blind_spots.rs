//! What could not be audited, and why.

use crate::rule::Rule;
use crate::rule::Severity::Info;

/// Each, in the order of `auditor explain`.
pub static RULES: [&Rule; 7] = [&TLS, &HTTP2, &IO_URING, &COMPAT, &CAPTURE_LOST, &HEAD_TRUNCATED, &REWRITTEN];

const QUIET: &str = "Nothing is missing from the trace for this reason: the auditor cannot see, that is all.";

/// `tls_not_visible`.
pub static TLS: Rule = Rule {
    name: "tls_not_visible",
    severity: Info,
    spec: "",
    on_call: "",
    on_request: "",
    meaning: "The process speaks TLS on some connections. The bytes are encrypted where they cross the socket, so \
              these requests are not audited, as parents or as calls. If the process receives some, whatever it calls \
              may be for one of them: it counts as unknown unless its request is certain.",
    looks_like: QUIET,
    causes: &["HTTPS that ends inside the process"],
    fix: &["Audit the plaintext side: behind the sidecar or the load balancer that ends TLS"],
};

/// `http2_not_visible`.
pub static HTTP2: Rule = Rule {
    name: "http2_not_visible",
    severity: Info,
    spec: "",
    on_call: "",
    on_request: "",
    meaning: "The process speaks HTTP/2 (gRPC, h2c) on some connections. Its headers are compressed with a state that \
              begins with the connection; these requests are not audited. If the process receives some, whatever it \
              calls may be for one of them: it counts as unknown unless its request is certain.",
    looks_like: QUIET,
    causes: &["gRPC", "HTTP/2 by prior knowledge or by Upgrade: h2c"],
    fix: &["Audit hops that use HTTP/1.1", "Turn HTTP/2 off for the duration of a game day"],
};

/// `io_uring_not_visible`.
pub static IO_URING: Rule = Rule {
    name: "io_uring_not_visible",
    severity: Info,
    spec: "",
    on_call: "",
    on_request: "",
    meaning: "The process reads or writes sockets through io_uring. The kernel does these operations outside of a \
              system call of the thread, so the bytes are not captured.",
    looks_like: QUIET,
    causes: &["A runtime or server that uses io_uring"],
    fix: &["Switch the runtime to epoll, e.g. UV_USE_IO_URING=0 for Node"],
};

/// `compat_syscall_not_visible`.
pub static COMPAT: Rule = Rule {
    name: "compat_syscall_not_visible",
    severity: Info,
    spec: "",
    on_call: "",
    on_request: "",
    meaning: "The process is a 32-bit one on a 64-bit kernel. Its system calls have another layout, and their bytes \
              are not captured.",
    looks_like: QUIET,
    causes: &["A 32-bit binary"],
    fix: &["Run the 64-bit build"],
};

/// `capture_lost`.
pub static CAPTURE_LOST: Rule = Rule {
    name: "capture_lost",
    severity: Info,
    spec: "",
    on_call: "",
    on_request: "",
    meaning: "Records of the kernel side were lost: the ring buffer was full. For a while nothing is concluded from a \
              header that was not seen, so findings come later or not at all; none is wrong because of it.",
    looks_like: QUIET,
    causes: &["More traffic than the auditor got CPU time for"],
    fix: &["Select fewer processes (--pid, --comm, --cgroup)", "Give the auditor a larger ring buffer or more CPU"],
};

/// `head_truncated`.
pub static HEAD_TRUNCATED: Rule = Rule {
    name: "head_truncated",
    severity: Info,
    spec: "",
    on_call: "",
    on_request: "",
    meaning: "Request heads of the process are longer than the capture limit of 16 KiB. What is beyond it is not seen; \
              a traceparent that was not found there is never called absent.",
    looks_like: QUIET,
    causes: &["Very large cookies or authorization headers in front of traceparent"],
    fix: &["Shrink the cookies", "Let the sender put traceparent first"],
};

/// `traffic_rewritten_below_socket`.
pub static REWRITTEN: Rule = Rule {
    name: "traffic_rewritten_below_socket",
    severity: Info,
    spec: "",
    on_call: "",
    on_request: "",
    meaning: "sk_msg or sk_skb programs are loaded on this node (their number is `operations`). They redirect, cut and \
              change what sockets send below where the auditor looks, so what it saw sent may not be what was \
              received. A service that they serve was seen as it behaves.",
    looks_like: "A sidecar or CNI that adds or removes headers there makes a trace end, or go on, where the auditor saw \
                 the opposite.",
    causes: &["Socket-level load balancing or acceleration of a service mesh or CNI", "A BPF-based header injector"],
    fix: &[
        "List them with `bpftool prog show`, and ask whoever loaded them what they change",
        "Compare with what the receiving service saw: audit that node, too",
    ],
};
