//! The commands that README.md shows work. In every fenced block marked `console`, lines that begin with `$ ` or `# `
//! are commands; they run in order in one directory, with `auditor` on the path. A command that would run for ever is
//! interrupted as a person would, with Ctrl-C.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use auditor_tests::auditor::{auditor_command, auditor_path};
use auditor_tests::client::Load;
use auditor_tests::kernel::require_root;
use auditor_tests::process::{Service, TempDir};

/// What the suite runs in steps of its own, or CI did to get here; running it from here would recurse.
const ELSEWHERE: [&str; 13] = [
    "cargo xtask demo",
    "cargo xtask test",
    "cargo xtask build-ebpf",
    "cargo xtask vm",
    "cargo install --path auditor",
    "git clone ",
    "cd ",
    "apt-get install ",
    // `packaging.rs` does what can be done without systemd as process 1 and without a cluster.
    "cargo xtask dist",
    "dpkg --install ",
    "systemctl status auditor",
    "kubectl apply ",
    "helm install ",
];

/// Seconds after which a command is interrupted.
const CTRL_C: &str = "4";

fn readme() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The commands of all `console` blocks, without their prompt, continued lines joined.
fn commands(markdown: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut fence, mut shown, mut continued) = (None, false, false);
    for line in markdown.lines() {
        let trimmed = line.trim_start();
        let marker: String = trimmed.chars().take_while(|c| matches!(c, '`' | '~')).collect();
        match &fence {
            None if marker.len() >= 3 => {
                let info = &trimmed[marker.len()..];
                shown = info.split(|c: char| c == ',' || c.is_whitespace()).any(|word| word == "console");
                fence = Some(marker);
                continued = false;
            }
            Some(open) if trimmed.trim_end() == open => fence = None,
            Some(_) if shown => {
                let start = trimmed.strip_prefix("$ ").or_else(|| trimmed.strip_prefix("# "));
                let text = if continued { Some(trimmed) } else { start };
                let Some(text) = text else { continue };
                let (text, more) = match text.strip_suffix('\\') {
                    Some(text) => (text.trim_end(), true),
                    None => (text.trim_end(), false),
                };
                match commands.last_mut() {
                    Some(last) if continued => {
                        last.push(' ');
                        last.push_str(text);
                    }
                    _ => commands.push(text.to_owned()),
                }
                continued = more;
            }
            _ => {}
        }
    }
    commands
}

fn runs_elsewhere(command: &str) -> bool {
    command.split(" && ").all(|part| {
        let part = part.trim().trim_start_matches("sudo ").trim_start_matches("-E ");
        ELSEWHERE.iter().any(|known| part.starts_with(known))
    })
}

#[test]
fn commands_are_found() {
    let markdown = "```sh\n$ no\n```\n\n````console\n$ auditor run \\\n    --pid 1\n{\"output\"}\n# auditor doctor\n```\n$ a\n````\n$ no\n";
    assert_eq!(commands(markdown), ["auditor run --pid 1", "auditor doctor", "a"]);
    assert!(runs_elsewhere("cargo install --path auditor && sudo cargo xtask demo"));
    assert!(!runs_elsewhere("cargo xtask demo && auditor run"));
}

#[test]
fn commands_of_the_readme_work() {
    require_root();
    let commands = commands(&readme());
    assert!(commands.iter().any(|command| command.contains("auditor ")), "the README shows no command of the auditor");
    let dir = TempDir::new("readme");
    // Something for the commands to see.
    let backend = Service::backend();
    let service = Service::workload("checkout", &["--mode", "drop", "--call", &backend.call("POST", "/charge")]);
    let load = Load::new(&service.addr, "/cart").total(1_000_000).start();
    let failed: Vec<String> = commands
        .iter()
        .filter(|command| !runs_elsewhere(command))
        .filter_map(|command| execute(command, dir.path()).err())
        .collect();
    load.stop();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

fn execute(line: &str, dir: &std::path::Path) -> Result<(), String> {
    let line = line.replace("sudo ", "");
    if !line.contains("auditor ") {
        return Err(format!("the README shows a command that the tests do not know: {line}"));
    }
    println!("$ {line}");
    let bin = auditor_path();
    let bin = bin.parent().unwrap_or(&bin);
    let path = std::env::var("PATH").unwrap_or_default();
    // `exec`, so that Ctrl-C ends the auditor and not a shell around it.
    let simple = !line.contains(['|', ';', '&']);
    let script = if simple { format!("exec {line}") } else { line.clone() };
    // Without the variables of the tests, as `auditor_command` is.
    let mut command = Command::new("timeout");
    for (name, value) in auditor_command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command
        .args(["--preserve-status", "--signal=INT", "--kill-after=30", CTRL_C, "sh", "-c", &script])
        .current_dir(dir)
        .env("PATH", format!("{}:{path}", bin.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let code = output.status.code();
    // A gate tells by its exit code what it found, and a shell that is interrupted says 130.
    let fine = match code {
        Some(0) => true,
        Some(1 | 3) => line.contains("auditor check"),
        Some(130) => !simple,
        _ => false,
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if fine && !stderr.contains("panicked") {
        return Ok(());
    }
    Err(format!("$ {line}\nexit code {code:?}\n{}{stderr}", String::from_utf8_lossy(&output.stdout)))
}
