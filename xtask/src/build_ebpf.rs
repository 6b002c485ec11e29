//! Builds the BPF object that the auditor embeds, and checks the one that is there.
//!
//! The object is checked in beside its sources, so that users need no BPF toolchain; the manifest beside it says from
//! which sources and by which toolchain it was made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::shell::{self, root};
use crate::toolchain::{Toolchain, utf8};

/// Flags that decide what is in the object; part of the source digest.
const FLAGS: [&str; 6] = ["-C", "debuginfo=2", "-C", "link-arg=--btf", "--cfg", "bpf_target_arch=\"x86_64\""];
const TARGET: &str = "bpfel-unknown-none";
const CRATE: &str = "auditor-ebpf";

/// Options of `cargo xtask build-ebpf`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing: verify that the object is what the sources give
    #[arg(long)]
    check: bool,
}

/// What the object was made from and by: `auditor-ebpf/auditor.bpf.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// Digest of the crate's sources, its dependencies' locked versions, and the flags.
    source_sha256: String,
    /// Digest of `auditor.bpf.o`.
    object_sha256: String,
    rustc: String,
    llvm: String,
    bpf_linker: String,
}

fn object_path() -> PathBuf {
    root().join(CRATE).join("auditor.bpf.o")
}

fn manifest_path() -> PathBuf {
    root().join(CRATE).join("auditor.bpf.json")
}

/// Builds or checks.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check { check() } else { build_and_write() }
}

fn build_and_write() -> Result<()> {
    let toolchain = Toolchain::find_or_install(None)?;
    let object = build(&toolchain)?;
    let manifest = Manifest {
        source_sha256: source_digest()?,
        object_sha256: hex(Sha256::digest(&object)),
        rustc: toolchain.rustc_version,
        llvm: toolchain.llvm_version,
        bpf_linker: toolchain.linker_version,
    };
    write(&object_path(), &object)?;
    let mut json = serde_json::to_string_pretty(&manifest)?;
    json.push('\n');
    write(&manifest_path(), json.as_bytes())?;
    println!("{CRATE}/auditor.bpf.o: {} bytes, sha256 {}", object.len(), manifest.object_sha256);
    Ok(())
}

/// Verifies the object that is there.
pub(crate) fn check() -> Result<()> {
    let manifest: Manifest = std::fs::read(manifest_path())
        .context("no manifest; run `cargo xtask build-ebpf`")
        .and_then(|bytes| serde_json::from_slice(&bytes).context("the manifest is damaged"))?;
    let committed = std::fs::read(object_path()).context("no BPF object; run `cargo xtask build-ebpf`")?;
    if hex(Sha256::digest(&committed)) != manifest.object_sha256 {
        bail!("auditor.bpf.o is not the object its manifest describes; run `cargo xtask build-ebpf`");
    }
    if source_digest()? != manifest.source_sha256 {
        bail!("the BPF sources changed since auditor.bpf.o was built; run `cargo xtask build-ebpf`");
    }
    println!("the sources are those that auditor.bpf.o was built from");

    let toolchain = Toolchain::find_or_install(Some(&manifest.rustc))?;
    let built = build(&toolchain)?;
    let recorded = (manifest.rustc.as_str(), manifest.llvm.as_str(), manifest.bpf_linker.as_str());
    let present =
        (toolchain.rustc_version.as_str(), toolchain.llvm_version.as_str(), toolchain.linker_version.as_str());
    if recorded == present {
        if built != committed {
            let kept = shell::target_dir().join("bpf/auditor.bpf.o");
            bail!("the recorded toolchain builds other bytes than auditor.bpf.o; compare with {}", kept.display());
        }
        println!("the recorded toolchain ({}) builds the same {} bytes", manifest.rustc, built.len());
        return Ok(());
    }
    println!("built with {}; recorded is {}: testing the new object instead of comparing bytes", present.0, recorded.0);
    kernel_tests_with(&built)
}

/// Runs the kernel tests in a copy of the workspace that embeds another object.
fn kernel_tests_with(object: &[u8]) -> Result<()> {
    if !shell::is_root() {
        bail!("an object of another toolchain must pass the kernel tests, and these need root");
    }
    let copy = shell::target_dir().join("bpf-check");
    for file in workspace_files()? {
        let bytes = std::fs::read(root().join(&file)).with_context(|| file.clone())?;
        write(&copy.join(&file), &bytes)?;
    }
    write(&copy.join(CRATE).join("auditor.bpf.o"), object)?;
    let cargo = |args: &[&str]| {
        let mut cargo = shell::cargo();
        cargo.current_dir(&copy).env("CARGO_TARGET_DIR", copy.join("target")).args(args);
        shell::run(&mut cargo)
    };
    cargo(&["build", "--bin", "auditor"])?;
    cargo(&["test", "-p", "auditor-tests", "--test", "native", "--", "--test-threads=1"])
}

/// Files of the workspace that git knows or would take in.
fn workspace_files() -> Result<Vec<String>> {
    let listed = shell::output(shell::command("git").args(["ls-files", "-co", "--exclude-standard"]))?;
    Ok(listed.lines().filter(|file| root().join(file).is_file()).map(str::to_owned).collect())
}

fn build(toolchain: &Toolchain) -> Result<Vec<u8>> {
    eprintln!("building the BPF object with {} (LLVM {})", toolchain.rustc_version, toolchain.llvm_version);
    let target_dir = shell::target_dir().join("bpf");
    // Before the paths of its packages are named below, the registry has to hold them.
    shell::run(toolchain.cargo().args(["fetch", "--quiet"]))?;
    let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
    for (from, to) in remaps(toolchain)? {
        flags.push(format!("--remap-path-prefix={}={to}", utf8(&from)?));
    }
    let mut cargo = toolchain.cargo();
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .args(["build", "--quiet", "--release", "--package", CRATE, "--bin", "auditor-bpf", "--features", "kernel"])
        .args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir);
    shell::run(&mut cargo)?;

    let linked = target_dir.join(TARGET).join("release/auditor-bpf");
    let stripped = target_dir.join("auditor.bpf.o");
    // DWARF is for debuggers and names this machine's paths; BTF stays, the kernel reads it.
    shell::run(shell::command(toolchain.objcopy()?).arg("--strip-debug").arg(&linked).arg(&stripped))?;
    std::fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

/// Paths that differ between machines, and what stands for them in the object. The last match wins in rustc.
fn remaps(toolchain: &Toolchain) -> Result<Vec<(PathBuf, String)>> {
    let mut remaps = vec![
        (shell::cargo_home(), "/cargo".to_owned()),
        (toolchain.sysroot()?.join("lib/rustlib/src/rust"), "/rust".to_owned()),
        (root(), "/auditor".to_owned()),
    ];
    // The directory of a registry is named after where its index is fetched from.
    let registries = shell::cargo_home().join("registry/src");
    for entry in std::fs::read_dir(&registries).into_iter().flatten().flatten() {
        remaps.push((entry.path(), "/cargo/registry".to_owned()));
    }
    Ok(remaps)
}

/// Digest of everything that decides what the object does: the crate's files, its dependencies' locked versions with
/// their checksums, and the flags.
fn source_digest() -> Result<String> {
    let mut digest = Sha256::new();
    let mut feed = |name: &str, bytes: &[u8]| {
        digest.update(format!("{name}\0{}\0", bytes.len()));
        digest.update(bytes);
    };
    let dir = root().join(CRATE);
    let mut files = vec![dir.join("Cargo.toml")];
    collect_files(&dir.join("src"), &mut files)?;
    files.sort();
    for file in files {
        let name = utf8(file.strip_prefix(&dir)?)?.to_owned();
        feed(&name, &std::fs::read(&file)?);
    }
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).context("no Cargo.lock")?;
    feed("dependencies", locked_dependencies(&lock, CRATE)?.join("\n").as_bytes());
    feed("flags", FLAGS.join("\0").as_bytes());
    Ok(hex(digest.finalize()))
}

fn collect_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// A package of Cargo.lock: what tells it from others, and what it depends on.
#[derive(Default)]
struct Locked {
    name: String,
    version: String,
    checksum: String,
    dependencies: Vec<String>,
}

/// Everything `package` depends on as `name version checksum`, sorted.
fn locked_dependencies(lock: &str, package: &str) -> Result<Vec<String>> {
    let packages = parse_lock(lock);
    let mut by_name: BTreeMap<&str, Vec<&Locked>> = BTreeMap::new();
    for locked in &packages {
        by_name.entry(&locked.name).or_default().push(locked);
    }
    let mut seen = BTreeSet::new();
    let mut open = vec![package.to_owned()];
    while let Some(dependency) = open.pop() {
        // "name", or "name version" where several versions are locked.
        let mut words = dependency.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let candidates = by_name.get(name).with_context(|| format!("{name} is not in Cargo.lock"))?;
        for locked in candidates.iter().filter(|locked| version.is_none_or(|version| version == locked.version)) {
            if seen.insert(format!("{} {} {}", locked.name, locked.version, locked.checksum)) {
                open.extend(locked.dependencies.iter().cloned());
            }
        }
    }
    Ok(seen.into_iter().filter(|line| !line.starts_with(&format!("{package} "))).collect())
}

/// Reads Cargo.lock, whose layout cargo keeps regular: one key a line, one list item a line.
fn parse_lock(lock: &str) -> Vec<Locked> {
    let mut packages: Vec<Locked> = Vec::new();
    for line in lock.lines() {
        if line == "[[package]]" {
            packages.push(Locked::default());
            continue;
        }
        let Some(package) = packages.last_mut() else { continue };
        let value = |line: &str| line.trim().trim_end_matches(',').trim_matches('"').to_owned();
        match line.split_once(" = ") {
            Some(("name", text)) => package.name = value(text),
            Some(("version", text)) => package.version = value(text),
            Some(("checksum", text)) => package.checksum = value(text),
            None if line.starts_with(" \"") => package.dependencies.push(value(line)),
            _ => {}
        }
    }
    packages
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n \"c 2.0.0\",\n]\n\n\
        [[package]]\nname = \"b\"\nversion = \"0.1.0\"\nchecksum = \"bb\"\ndependencies = [\n \"a\",\n]\n\n\
        [[package]]\nname = \"c\"\nversion = \"1.0.0\"\nchecksum = \"c1\"\n\n\
        [[package]]\nname = \"c\"\nversion = \"2.0.0\"\nchecksum = \"c2\"\n\n\
        [[package]]\nname = \"d\"\nversion = \"1.0.0\"\nchecksum = \"dd\"\n";

    #[test]
    fn only_the_locked_dependencies_of_the_package_count() {
        assert_eq!(locked_dependencies(LOCK, "a").unwrap(), ["b 0.1.0 bb", "c 2.0.0 c2"]);
        assert!(locked_dependencies(LOCK, "z").is_err());
    }
}
