//! What a release consists of: a Debian package, an archive, a container's root, and their checksums. The same sources
//! and compiler make the same bytes: times are those of the last commit, or `SOURCE_DATE_EPOCH`.

mod archive;
mod binary;
mod deb;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::shell;

/// Options of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Package this binary instead of building a static one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the files go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What everything is named after, and dated.
struct Release {
    version: String,
    /// Seconds since 1970.
    epoch: u64,
    out: PathBuf,
}

/// Builds and packages.
pub(crate) fn run(args: &Args) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| shell::target_dir().join("dist"));
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| out.display().to_string())?;
    }
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let release = Release { version: env!("CARGO_PKG_VERSION").to_owned(), epoch: epoch()?, out };
    let binary = binary::provide(args.binary.as_deref(), &release.out)?;
    let files = tree::stage(&binary, &release)?;
    let made = [deb::build(&binary, &release)?, archive::build(&files, &release)?];
    container(&binary, &release)?;
    let sums = release.out.join("SHA256SUMS");
    let lines = made.iter().map(|file| checksum(file)).collect::<Result<String>>()?;
    fs::write(&sums, lines)?;
    for file in made.iter().chain([&sums]) {
        println!("{}", file.display());
    }
    Ok(())
}

/// When the sources were last changed.
fn epoch() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => shell::output(shell::command("git").args(["log", "-1", "--format=%ct"]))
            .context("without git, SOURCE_DATE_EPOCH is to say when the sources were last changed")?,
    };
    text.trim().parse().with_context(|| format!("SOURCE_DATE_EPOCH: {text:?}"))
}

/// What the Containerfile copies: the binary with its capabilities.
fn container(binary: &Path, release: &Release) -> Result<()> {
    let dir = release.out.join("container");
    fs::create_dir_all(&dir)?;
    let copy = dir.join("auditor");
    fs::copy(binary, &copy)?;
    if shell::is_root()
        && let Some(setcap) = shell::find("setcap")
    {
        // Permitted, not effective: where fewer are granted it starts all the same, and says which is missing.
        let capabilities = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+p";
        shell::run(shell::command(setcap).arg(capabilities).arg(&copy))
    } else {
        eprintln!("not root, or no setcap (libcap2-bin): {} has no capabilities", copy.display());
        Ok(())
    }
}

/// A line as `sha256sum --check` reads it.
fn checksum(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let name = file.file_name().context("a file has a name")?.to_string_lossy();
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{hex}  {name}\n"))
}
