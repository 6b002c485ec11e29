//! Proxies, configured by the templates in `tests/fleets/truth/proxy`: headers pass through but for those that the
//! variant strips.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::model::{Launch, Model, Variant};
use crate::fleet::source;

/// All of them.
pub const MODELS: [Model; 3] = [
    Model::proxy("nginx", nginx),
    // One process with threads.
    Model { processes: super::model::Processes::One, ..Model::proxy("haproxy", haproxy) },
    Model::proxy("apache-prefork", apache),
];

const CONTEXT: [&str; 2] = ["traceparent", "tracestate"];
const AFFINITY: [&str; 2] = ["x-request-id", "authorization"];

/// Headers that a variant strips from every call.
fn stripped_always(variant: Variant) -> Vec<&'static str> {
    match variant {
        Variant::Healthy | Variant::Broken => Vec::new(),
        Variant::Affine => CONTEXT.to_vec(),
        Variant::Blind => [CONTEXT, AFFINITY].concat(),
    }
}

/// Headers that it strips from those of the broken edge.
fn stripped_of_dropped(variant: Variant) -> Vec<&'static str> {
    if variant == Variant::Broken { CONTEXT.to_vec() } else { Vec::new() }
}

/// Fills a template and writes it where the service has its place.
fn configure(launch: &Launch<'_>, template: &str, always: &str, of_dropped: &str) -> PathBuf {
    let text = std::fs::read_to_string(source("truth").join("proxy").join(template)).expect("the template is there");
    let lines = |headers: Vec<&str>, line: &str| -> String {
        headers.iter().map(|header| line.replace("HEADER", header) + "\n").collect()
    };
    let text = text
        .replace("@STRIP_ALWAYS@", &lines(stripped_always(launch.variant), always))
        .replace("@STRIP_BROKEN@", &lines(stripped_of_dropped(launch.variant), of_dropped))
        .replace("@DIR@", &launch.dir.display().to_string())
        .replace("@PORT@", &launch.port.to_string())
        .replace("@BACKEND@", &launch.backend.to_string());
    let file = launch.dir.join(template);
    std::fs::write(&file, text).expect("the configuration can be written");
    file
}

/// A program that Debian keeps where not everybody looks.
fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no {name}: install it ({package})"))
}

fn nginx(launch: &Launch<'_>) -> Command {
    let strip = r#"proxy_set_header HEADER "";"#;
    let file = configure(launch, "nginx.conf", strip, strip);
    let mut command = Command::new(program("nginx", "nginx-light"));
    command.arg("-p").arg(launch.dir).arg("-c").arg(file).args(["-e", "stderr"]);
    command
}

fn haproxy(launch: &Launch<'_>) -> Command {
    let strip = "http-request del-header HEADER";
    let file = configure(launch, "haproxy.cfg", strip, &format!("{strip} if {{ path_beg /drop/ }}"));
    let mut command = Command::new(program("haproxy", "haproxy"));
    command.args(["-db", "-f"]).arg(file);
    command
}

fn apache(launch: &Launch<'_>) -> Command {
    let program = program("apache2", "apache2-bin");
    assert!(Path::new("/usr/lib/apache2/modules").is_dir(), "no modules of Apache (apache2-bin)");
    let strip = "RequestHeader unset HEADER";
    let file = configure(launch, "apache.conf", strip, strip);
    let mut command = Command::new(program);
    command.args(["-D", "FOREGROUND", "-f"]).arg(file);
    command
}
