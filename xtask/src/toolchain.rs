//! Finds or installs what builds BPF: a rustc that may use unstable features with its library sources, and a
//! `bpf-linker` that is linked to the same LLVM. Two routes: rustup's nightly, and Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, command, output, scrub_toolchain};

/// The release of bpf-linker that is installed where none is found.
const BPF_LINKER: &str = "0.13.0";

/// A toolchain that builds the BPF object.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// `cargo` of it, and the arguments that select it.
    cargo: PathBuf,
    /// `rustc` of it.
    rustc: PathBuf,
    /// Directory of bpf-linker.
    linker_dir: PathBuf,
    /// First line of `rustc -V`.
    pub(crate) rustc_version: String,
    /// LLVM version that rustc names.
    pub(crate) llvm_version: String,
    /// `bpf-linker --version`.
    pub(crate) linker_version: String,
}

/// A rustc with its cargo; the linker may still be missing.
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    version: String,
    llvm: String,
}

impl Compiler {
    /// Asks a rustc what it is; `None` when it does not run or has no library sources.
    fn probe(cargo: PathBuf, rustc: PathBuf) -> Option<Self> {
        let mut verbose = command(&rustc);
        scrub_toolchain(&mut verbose);
        let text = output(verbose.arg("-vV")).ok()?;
        let version = text.lines().next()?.to_owned();
        let llvm = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.to_owned();
        let mut sysroot = command(&rustc);
        scrub_toolchain(&mut sysroot);
        let sysroot = output(sysroot.args(["--print", "sysroot"])).ok()?;
        let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
        (sources.is_file() && cargo.is_file()).then_some(Self { cargo, rustc, version, llvm })
    }

    fn debian() -> Option<Self> {
        Self::probe("/usr/bin/cargo".into(), "/usr/bin/rustc".into())
    }

    fn nightly() -> Option<Self> {
        let which = |tool: &str| {
            let mut which = command("rustup");
            scrub_toolchain(&mut which);
            which.env("RUSTUP_AUTO_INSTALL", "0");
            output(which.args(["which", "--toolchain", "nightly", tool])).ok().map(|path| PathBuf::from(path.trim()))
        };
        Self::probe(which("cargo")?, which("rustc")?)
    }

    fn llvm_major(&self) -> &str {
        self.llvm.split('.').next().unwrap_or(&self.llvm)
    }

    /// A bpf-linker for this compiler's LLVM.
    fn linker(&self) -> Option<(PathBuf, String)> {
        [own_tools().join("bin/bpf-linker")]
            .into_iter()
            .chain(shell::find("bpf-linker"))
            .filter(|path| path.is_file())
            .find(|path| linked_llvm(path).is_none_or(|major| major == self.llvm_major()))
            .and_then(|path| {
                let version = output(command(&path).arg("--version")).ok()?;
                Some((path, version.trim().to_owned()))
            })
    }

    fn with_linker(self) -> Option<Toolchain> {
        let (linker, linker_version) = self.linker()?;
        Some(Toolchain {
            cargo: self.cargo,
            rustc: self.rustc,
            linker_dir: linker.parent()?.to_path_buf(),
            rustc_version: self.version,
            llvm_version: self.llvm,
            linker_version,
        })
    }
}

impl Toolchain {
    /// Finds a toolchain, one of version `preferred` if there is one, or installs Debian's.
    pub(crate) fn find_or_install(preferred: Option<&str>) -> Result<Self> {
        let mut found: Vec<Self> =
            [Compiler::nightly(), Compiler::debian()].into_iter().flatten().filter_map(Compiler::with_linker).collect();
        found.sort_by_key(|toolchain| preferred != Some(toolchain.rustc_version.as_str()));
        match found.into_iter().next() {
            Some(toolchain) => Ok(toolchain),
            None => Self::install(),
        }
    }

    fn install() -> Result<Self> {
        const HOW: &str = "to build BPF, either install rustup's nightly with rust-src and a bpf-linker \
            (`rustup toolchain install nightly --component rust-src && cargo install bpf-linker`), \
            or be root on Debian, where this command installs its packages";
        let compiler = match Compiler::nightly().or_else(Compiler::debian) {
            Some(compiler) => compiler,
            None => {
                shell::apt_install(&["rustc-web", "cargo-web", "rust-web-src"], "the BPF build").context(HOW)?;
                Compiler::debian().context("Debian's rustc-web was installed, but /usr/bin/rustc does not work")?
            }
        };
        if compiler.linker().is_none() {
            install_linker(&compiler).context(HOW)?;
        }
        compiler.with_linker().context("bpf-linker was installed, but does not run")
    }

    /// A cargo command of this toolchain with nothing of any other in its environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = command(&self.cargo);
        scrub_toolchain(&mut cargo);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.linker_dir.clone()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(path) {
            cargo.env("PATH", path);
        }
        // `bpfel-unknown-none` is a tier 3 target: its `core` is built from source, which is unstable.
        cargo.env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1");
        cargo
    }

    /// Where this rustc lives.
    pub(crate) fn sysroot(&self) -> Result<PathBuf> {
        let mut rustc = command(&self.rustc);
        scrub_toolchain(&mut rustc);
        Ok(PathBuf::from(output(rustc.args(["--print", "sysroot"]))?.trim()))
    }

    /// An objcopy that knows BPF.
    pub(crate) fn objcopy(&self) -> Result<PathBuf> {
        let sysroot = self.sysroot()?;
        let major = self.llvm_version.split('.').next().unwrap_or_default();
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let candidates = [
            PathBuf::from(format!("/usr/lib/llvm-{major}/bin/llvm-objcopy")),
            sysroot.join(format!("lib/rustlib/{host}/bin/llvm-objcopy")),
            sysroot.join(format!("lib/rustlib/{host}/bin/rust-objcopy")),
        ];
        candidates
            .into_iter()
            .find(|path| path.is_file())
            .or_else(|| shell::find("llvm-objcopy"))
            .with_context(|| format!("no llvm-objcopy found: install llvm-{major} or rustup's llvm-tools"))
    }
}

/// Tools that are installed for this workspace alone.
pub(crate) fn own_tools() -> PathBuf {
    shell::target_dir().join("tools")
}

fn install_linker(compiler: &Compiler) -> Result<()> {
    let major = compiler.llvm_major();
    let prefix = format!("/usr/lib/llvm-{major}");
    if !Path::new(&prefix).join("include/llvm-c").is_dir() {
        let dev = format!("llvm-{major}-dev");
        shell::apt_install(&[&dev, "zlib1g-dev", "libzstd-dev"], "bpf-linker")?;
    }
    let mut install = shell::cargo();
    install.env("LLVM_PREFIX", &prefix).args(["install", &format!("bpf-linker@{BPF_LINKER}"), "--locked"]);
    install.args(["--no-default-features", "--features", &format!("llvm-{major}")]);
    if shell::find("bpf-linker").is_some() {
        // Somebody's linker for another LLVM: leave it alone.
        install.arg("--root").arg(own_tools());
    }
    eprintln!("installing bpf-linker {BPF_LINKER} for LLVM {major} (about a minute):");
    shell::run(&mut install).with_context(|| format!("cannot install bpf-linker for LLVM {major}"))
}

/// Major version of the LLVM library that a program is linked to dynamically; `None` when it carries its own.
fn linked_llvm(program: &Path) -> Option<String> {
    let listed = output(command("ldd").arg(program)).ok()?;
    let (_, rest) = listed.split_once("libLLVM")?;
    let digits: String = rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// Fails with a readable word when a path is not UTF-8.
pub(crate) fn utf8(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => bail!("{} is not UTF-8", path.display()),
    }
}
