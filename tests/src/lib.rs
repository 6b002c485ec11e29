//! What the kernel tests are made of: HTTP services and clients whose every socket operation is chosen here
//! ([`http`], [`server`], [`client`]), guards for the processes that a test starts ([`process`], [`auditor`]), and
//! what the auditor said, with the assertions on it ([`audit`]).
//!
//! Only the standard library and libc: the same programs run in the small virtual machines of `cargo xtask vm`.

pub mod audit;
pub mod auditor;
pub mod client;
pub mod fleet;
pub mod http;
pub mod kernel;
pub mod process;
pub mod server;
mod sys;
