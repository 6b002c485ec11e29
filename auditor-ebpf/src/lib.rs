//! What the kernel programs and the daemon share: the records' types ([`wire`]), and when it is which process's turn
//! ([`cycle`]).
//!
//! `no_std`, plain integers only, and no implicit padding: every type derives [`zerocopy::IntoBytes`], which makes
//! padding a compile error. Nothing here is ever transmuted into an enum; tags are integers that the daemon converts.
#![no_std]
#![forbid(unsafe_code)]

pub mod cycle;
pub mod wire;
