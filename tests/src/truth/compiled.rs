//! Models in Java, Go and Rust. Their programs are in `tests/fleets/truth` and `tests/src/bin`.

use std::path::Path;
use std::process::Command;

use super::build;
use super::model::{Launch, Model};
use crate::process::sibling;

/// All of them.
pub const MODELS: [Model; 7] = [
    Model::new("java-pool", |launch| java(Path::new("java"), "Pool", launch)),
    Model::new("java-handoff", |launch| java(Path::new("java"), "Handoff", launch)),
    Model::new("java-async", |launch| java(Path::new("java"), "Async", launch)),
    Model::new("java-virtual", |launch| java(&build::java_with_virtual_threads(), "Virtual", launch)),
    Model::new("go-http", |launch| program(&build::go("go-http", "client.go"), launch)),
    Model::new("go-raw", |launch| program(&build::go("go-raw", "raw.go"), launch)),
    Model::new("tokio", |launch| program(&sibling("auditor-tokio"), launch)),
];

fn java(java: &Path, class: &str, launch: &Launch<'_>) -> Command {
    let mut command = Command::new(java);
    // As many kept connections as calls at once: the default of five would open one for most calls.
    command.args(["-Dhttp.maxConnections=256", "-Dsun.net.httpserver.nodelay=true"]);
    // Several of them start at the same time on a small machine.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp"]).arg(build::java()).arg(class);
    launch.arguments(&mut command);
    command
}

fn program(path: &Path, launch: &Launch<'_>) -> Command {
    let mut command = Command::new(path);
    launch.arguments(&mut command);
    command
}
