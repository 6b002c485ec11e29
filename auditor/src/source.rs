//! Where records come from: the only modules that touch aya, `/proc`, cgroupfs and files.

pub mod btf;
pub mod cgroup;
pub mod kernel;
pub mod layout;
pub mod live;
pub mod node;
pub mod privilege;
pub mod process;
pub mod recording;
