//! The Debian package, made with `dpkg-deb` from the staged tree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Release, binary, tree};
use crate::shell::{self, command, output};

/// Scripts of the maintainer, in `deploy/debian`.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What lintian is right about in general and not here, in `deploy/debian`.
const OVERRIDES: &str = "usr/share/lintian/overrides/auditor";

/// Builds the package of the staged tree.
pub(super) fn build(program: &Path, release: &Release) -> Result<PathBuf> {
    let staged = release.out.join("tree");
    let root = release.out.join("deb");
    output(command("cp").args(["--archive"]).arg(&staged).arg(&root))?;
    let deploy = shell::root().join("deploy/debian");
    tree::write(&root.join(OVERRIDES), &fs::read(deploy.join("lintian-overrides"))?)?;
    let date = output(command("date").args(["-u", "-R", "-d", &format!("@{}", release.epoch)]))?;
    tree::write(
        &root.join("usr/share/doc/auditor/changelog.gz"),
        &tree::compress(changelog(release, &date).as_bytes())?,
    )?;
    let control = root.join("DEBIAN");
    let conffiles = below(&root, &root.join("etc"))?;
    tree::write(&control.join("conffiles"), lines(conffiles.iter().map(|path| format!("/{path}"))).as_bytes())?;
    let sums = below(&root, &root.join("usr"))?;
    let sums = output(command("md5sum").args(&sums).current_dir(&root))?;
    tree::write(&control.join("md5sums"), sums.as_bytes())?;
    for script in SCRIPTS {
        let to = control.join(script);
        tree::write(&to, &fs::read(deploy.join(script)).with_context(|| script.to_owned())?)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    let size = output(command("du").args(["--apparent-size", "-sk", "--exclude=DEBIAN"]).arg(&root))?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    tree::write(&control.join("control"), fields(release, &binary::depends(program)?, &size)?.as_bytes())?;
    let package = release.out.join(format!("auditor_{}_{}.deb", release.version, architecture()?));
    let mut build = command("dpkg-deb");
    build.args(["--root-owner-group", "-Zxz", "--build"]).arg(&root).arg(&package);
    output(build.env("SOURCE_DATE_EPOCH", release.epoch.to_string()))?;
    fs::remove_dir_all(root)?;
    Ok(package)
}

fn architecture() -> Result<String> {
    Ok(output(command("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

fn fields(release: &Release, depends: &str, size: &str) -> Result<String> {
    let control = fs::read_to_string(shell::root().join("deploy/debian/control"))?;
    let (version, architecture) = (&release.version, architecture()?);
    let depends = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
    let (first, rest) = control.split_once('\n').context("deploy/debian/control")?;
    Ok(format!("{first}\nVersion: {version}\nArchitecture: {architecture}\nInstalled-Size: {size}\n{depends}{rest}"))
}

fn changelog(release: &Release, date: &str) -> String {
    let version = &release.version;
    format!(
        "auditor ({version}) unstable; urgency=medium\n\n  * Release {version}; see CHANGELOG.md of the sources.\n\n \
         -- The auditor contributors <auditor@localhost>  {}\n",
        date.trim()
    )
}

/// Paths of the files in `dir`, relative to `root`, in order.
fn below(root: &Path, dir: &Path) -> Result<Vec<String>> {
    let listed = output(command("find").arg(dir).args(["-type", "f"]))?;
    let prefix = format!("{}/", root.display());
    let mut paths: Vec<String> =
        listed.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect();
    paths.sort();
    Ok(paths)
}

fn lines(of: impl Iterator<Item = String>) -> String {
    of.map(|line| line + "\n").collect()
}
