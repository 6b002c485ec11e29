//! TCP connections that end.

use auditor_ebpf::wire;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    foreign, kernel, ship,
    sock::{self, Given, Sock as _},
};

const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_LAST_ACK: i32 = 9;
/// `SHUTDOWN_MASK`: both directions, as `close()` sets it; a mere `shutdown(SHUT_WR)` still receives.
const SHUTDOWN_BOTH: u8 = 3;

/// `TP_PROTO(const struct sock *sk, const int oldstate, const int newstate)`
///
/// Runs in whatever context changes the state, so nothing of the current task is used here.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn tcp_state(ctx: BtfTracePointContext) -> i32 {
    let sock = Given(ctx.arg::<u64>(0));
    let state = ctx.arg::<i32>(2);
    // Whatever it is, it begins or ends. (Not only when it ends: who was interrupted in the middle of an operation may write
    // again what was known.)
    foreign::forget(sock.key());
    let closing = state == TCP_FIN_WAIT1 || state == TCP_LAST_ACK;
    let closed = state == TCP_CLOSE || (closing && sock.field::<u8>(&kernel::SOCK_SHUTDOWN) == SHUTDOWN_BOTH);
    // What the program has not read yet it may still read: that read says that the connection is over.
    if closed && !(state == TCP_CLOSE && sock.tcp().is_some_and(sock::has_unread)) {
        ship::close(sock.address(), wire::CLOSE_LOCAL);
    }
    0
}
