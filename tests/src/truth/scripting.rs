//! Models in scripting runtimes: Python and Node. Their programs are in `tests/fleets/truth`.

use std::path::PathBuf;
use std::process::Command;

use super::model::{Launch, Model};
use crate::fleet::source;
use crate::venv;

/// All of them.
pub const MODELS: [Model; 7] = [
    Model::new("python-threads", |launch| python("threads.py", launch)),
    Model::new("python-executor", |launch| python("executor.py", launch)),
    Model::new("python-asyncio", |launch| run(venv::python(), "event_loop.py", launch)),
    Model::new("node", |launch| run("node".into(), "node.js", launch)),
    Model {
        // One below its workers: waiting in the listen queue is not being worked on.
        parallel: 3,
        ..Model::new("gunicorn", |launch| run(venv::python(), "prefork.py", launch)).of_many()
    },
    Model::new("cgi", |launch| python("cgi_server.py", launch)).of_many(),
    Model::new("python-children", |launch| python("children.py", launch)).of_many(),
];

/// A program that needs nothing but the standard library.
fn python(file: &str, launch: &Launch<'_>) -> Command {
    run("python3".into(), file, launch)
}

fn run(interpreter: PathBuf, file: &str, launch: &Launch<'_>) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(source("truth").join(file));
    launch.arguments(&mut command);
    command
}
