//! The files of a package, where they belong on a node.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};

use super::Release;
use crate::shell::{self, command, output};

/// (in the repository, on the node); those below `/etc` are the administrator's once they are there.
const FILES: [(&str, &str); 7] = [
    ("deploy/systemd/auditor.service", "usr/lib/systemd/system/auditor.service"),
    ("deploy/systemd/sysusers.conf", "usr/lib/sysusers.d/auditor.conf"),
    ("deploy/systemd/default", "etc/default/auditor"),
    ("deploy/auditor.toml", "etc/auditor/auditor.toml"),
    ("deploy/logrotate/auditor", "etc/logrotate.d/auditor"),
    ("deploy/debian/copyright", "usr/share/doc/auditor/copyright"),
    ("README.md", "usr/share/doc/auditor/README.md"),
];

/// (shell, file)
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/auditor"),
    ("zsh", "usr/share/zsh/vendor-completions/_auditor"),
    ("fish", "usr/share/fish/vendor_completions.d/auditor.fish"),
];

/// Lays everything out below `tree` in the output directory.
pub(super) fn stage(binary: &Path, release: &Release) -> Result<PathBuf> {
    let tree = release.out.join("tree");
    copy(binary, &tree.join("usr/bin/auditor"), 0o755)?;
    for (from, to) in FILES {
        let from = shell::root().join(from);
        if from.is_file() {
            copy(&from, &tree.join(to), 0o644)?;
        }
    }
    for (shell, to) in COMPLETIONS {
        write(&tree.join(to), output(command(binary).args(["completions", shell]))?.as_bytes())?;
    }
    let man = tree.join("usr/share/man/man1");
    shell::run(command(binary).args(["man", "--dir"]).arg(&man))?;
    for page in fs::read_dir(&man)? {
        let page = page?.path();
        let compressed = compress(&fs::read(&page)?)?;
        write(&page.with_extension("1.gz"), &compressed)?;
        fs::remove_file(&page)?;
    }
    Ok(tree)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    write(to, &fs::read(from).with_context(|| from.display().to_string())?)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Writes a file that everybody may read, in directories that everybody may enter.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().context("a file is in a directory")?;
    fs::create_dir_all(dir)?;
    fs::write(path, bytes).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

/// As `gzip` does without name and time.
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = command("gzip");
    let mut child = gzip.args(["-9", "--no-name"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("writing to gzip failed"))??;
    Ok(output.stdout)
}
