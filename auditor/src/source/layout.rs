//! What the BPF object needs to know of the running kernel: struct offsets and system call numbers, written into its
//! read-only globals before the load.

use super::btf::{Btf, BtfError};

/// A field the kernel does not have, and the programs can do without.
const ABSENT: u32 = u32::MAX;

/// (global in the BPF object, field, whether the programs cannot do without it)
const FIELDS: &[(&str, &str, bool)] = &[
    ("TASK_FLAGS", "task_struct.flags", true),
    ("TASK_GROUP_LEADER", "task_struct.group_leader", true),
    ("TASK_START_BOOTTIME", "task_struct.start_boottime", true),
    ("TASK_REAL_PARENT", "task_struct.real_parent", true),
    ("TASK_TGID", "task_struct.tgid", true),
    ("TASK_PID", "task_struct.pid", true),
    ("TASK_FILES", "task_struct.files", true),
    ("TASK_THREAD_STATUS", "task_struct.thread_info.status", false),
    ("TASK_FSBASE", "task_struct.thread.fsbase", false),
    ("TASK_EXEC_ID", "task_struct.self_exec_id", true),
    ("FILES_FDT", "files_struct.fdt", true),
    ("FDTABLE_MAX_FDS", "fdtable.max_fds", true),
    ("FDTABLE_FD", "fdtable.fd", true),
    ("FILE_INODE", "file.f_inode", true),
    ("FILE_PRIVATE_DATA", "file.private_data", true),
    ("INODE_INO", "inode.i_ino", true),
    ("INODE_MODE", "inode.i_mode", true),
    ("SOCKET_FILE", "socket.file", true),
    ("SOCKET_SK", "socket.sk", true),
    ("SOCK_FAMILY", "sock.__sk_common.skc_family", true),
    ("SOCK_STATE", "sock.__sk_common.skc_state", true),
    ("SOCK_FLAGS", "sock.__sk_common.skc_flags", true),
    ("SOCK_NUM", "sock.__sk_common.skc_num", true),
    ("SOCK_DPORT", "sock.__sk_common.skc_dport", true),
    ("SOCK_DADDR", "sock.__sk_common.skc_daddr", true),
    ("SOCK_RCV_SADDR", "sock.__sk_common.skc_rcv_saddr", true),
    ("SOCK_V6_DADDR", "sock.__sk_common.skc_v6_daddr", true),
    ("SOCK_V6_RCV_SADDR", "sock.__sk_common.skc_v6_rcv_saddr", true),
    ("SOCK_NET", "sock.__sk_common.skc_net.net", true),
    ("SOCK_TYPE", "sock.sk_type", true),
    ("SOCK_PROTOCOL", "sock.sk_protocol", true),
    ("SOCK_SHUTDOWN", "sock.sk_shutdown", true),
    ("SOCK_SOCKET", "sock.sk_socket", true),
    ("SOCK_PEER_PID", "sock.sk_peer_pid", true),
    ("SOCK_MAX_ACK_BACKLOG", "sock.sk_max_ack_backlog", true),
    ("NET_INUM", "net.ns.inum", true),
    ("TCP_WRITE_SEQ", "tcp_sock.write_seq", true),
    ("TCP_COPIED_SEQ", "tcp_sock.copied_seq", true),
    ("TCP_RCV_NXT", "tcp_sock.rcv_nxt", true),
    ("ICSK_ULP_OPS", "inet_connection_sock.icsk_ulp_ops", true),
    ("UNIX_ADDR", "unix_sock.addr", true),
    ("UNIX_PEER", "unix_sock.peer", true),
    ("UNIX_ADDRESS_LEN", "unix_address.len", true),
    ("UNIX_ADDRESS_NAME", "unix_address.name", true),
    ("PID_NUMBERS", "pid.numbers", true),
    ("IO_KIOCB_OPCODE", "io_kiocb.opcode", false),
    ("IO_KIOCB_FD", "io_kiocb.cqe.fd", false),
];

/// Saved registers of a system call: (global, field of `pt_regs`).
#[cfg(target_arch = "x86_64")]
const REGISTERS: &[(&str, &str)] = &[
    ("REGS_NR", "pt_regs.orig_ax"),
    ("REGS_ARG0", "pt_regs.di"),
    ("REGS_ARG1", "pt_regs.si"),
    ("REGS_ARG2", "pt_regs.dx"),
    ("REGS_ARG3", "pt_regs.r10"),
    ("REGS_SP", "pt_regs.sp"),
    ("REGS_COMPAT_ARG0", "pt_regs.bx"),
];

/// System call numbers of this architecture.
const NUMBERS: &[(&str, libc::c_long)] = &[
    ("NR_READ", libc::SYS_read),
    ("NR_WRITE", libc::SYS_write),
    ("NR_READV", libc::SYS_readv),
    ("NR_WRITEV", libc::SYS_writev),
    ("NR_PREADV2", libc::SYS_preadv2),
    ("NR_PWRITEV2", libc::SYS_pwritev2),
    ("NR_SENDTO", libc::SYS_sendto),
    ("NR_RECVFROM", libc::SYS_recvfrom),
    ("NR_SENDMSG", libc::SYS_sendmsg),
    ("NR_RECVMSG", libc::SYS_recvmsg),
    ("NR_SENDMMSG", libc::SYS_sendmmsg),
    ("NR_RECVMMSG", libc::SYS_recvmmsg),
    ("NR_SENDFILE", libc::SYS_sendfile),
    ("NR_SPLICE", libc::SYS_splice),
    ("NR_IO_URING_ENTER", libc::SYS_io_uring_enter),
];

/// The globals to set: name and value.
///
/// # Errors
/// Names the first field that the kernel lacks and the programs need.
pub fn globals(btf: &Btf) -> Result<Vec<(&'static str, u32)>, BtfError> {
    let mut globals = Vec::new();
    for &(global, field, needed) in FIELDS {
        match btf.offset(field) {
            Ok(offset) => globals.push((global, offset)),
            Err(_) if !needed => globals.push((global, ABSENT)),
            Err(error) => return Err(error),
        }
    }
    for &(global, field) in REGISTERS {
        globals.push((global, btf.offset(field)?));
    }
    for &(global, number) in NUMBERS {
        globals.push((global, u32::try_from(number).unwrap_or(ABSENT)));
    }
    Ok(globals)
}
