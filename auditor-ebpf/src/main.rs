//! The kernel programs. Built for the BPF target by `cargo xtask build-ebpf`; the object is checked in beside this
//! crate, so that nobody needs the BPF toolchain to build the daemon.
//!
//! A hook ([`hooks`]) finds out which bytes crossed which socket and hands them to [`capture`], which decides whether
//! they belong to a message head; [`ship`] does the rest. Struct offsets come from the running kernel's BTF ([`kernel`]).
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library: nothing outside can name its items")]

mod blind;
mod capture;
mod coroutine;
mod foreign;
mod head;
mod hooks;
mod kernel;
mod leaf;
mod log;
mod maps;
mod memory;
mod proxied;
mod ship;
mod sock;
mod syscall;
mod task;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that no check can fail, so nothing reaches this.
    loop {}
}

/// Helpers such as `bpf_probe_read_user` are offered to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
