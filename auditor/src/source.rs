//! Where records come from: the only modules that touch aya, `/proc`, cgroupfs and files.

pub mod btf;
pub mod cgroup;
mod command_line;
pub mod kernel;
pub mod layout;
pub mod live;
pub mod leaves;
mod looks;
pub mod node;
pub mod privilege;
pub mod process;
pub mod recording;
mod rewriters;
