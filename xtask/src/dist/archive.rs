//! The archive for everybody else: unpack it over `/`, or take the binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Release, tree};
use crate::shell::{command, output};

/// Everything below `files` in one directory.
pub(super) fn build(files: &Path, release: &Release) -> Result<PathBuf> {
    let name = format!("auditor-{}-{}-linux", release.version, std::env::consts::ARCH);
    let unpacked = release.out.join(format!("{name}.tar"));
    let mut tar = command("tar");
    tar.args(["--create", "--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{}", release.epoch)).arg("--mode=u+rwX,go+rX,go-w");
    tar.arg("--file").arg(&unpacked).arg("--directory").arg(files);
    output(tar.arg(format!("--transform=s,^\\.,{name},S")).arg("."))?;
    let archive = release.out.join(format!("{name}.tar.gz"));
    fs::write(&archive, tree::compress(&fs::read(&unpacked)?)?)?;
    fs::remove_file(unpacked)?;
    Ok(archive)
}
