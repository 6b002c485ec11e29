//! What the kernel tests are made of: HTTP services and clients whose every socket operation is chosen here
//! ([`socket`], [`http`], [`server`], [`client`]), guards for the processes that a test starts ([`process`], [`auditor`]), and
//! what the auditor said, with the assertions on it ([`audit`]).
//!
//! Only the standard library and libc: the same programs run in the small virtual machines of `cargo xtask vm`.

pub mod audit;
pub mod auditor;
pub mod client;
pub mod fleet;
pub mod go;
pub mod http;
pub mod kernel;
pub mod lines;
pub mod once;
pub mod process;
pub mod prometheus;
pub mod receivers;
pub mod server;
pub mod socket;
pub mod sys;
pub mod truth;
pub mod unit;
pub mod venv;

/// Makes a module of each function with a test for each hook strategy: `name::sock` and `name::syscall`. Kernels that
/// have only one run the tests by these names.
#[macro_export]
macro_rules! with_both_hooks {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn sock() {
                super::$name("sock");
            }

            #[test]
            fn syscall() {
                super::$name("syscall");
            }
        }
    )+};
}
