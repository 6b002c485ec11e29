//! cgroup v2 subtrees as the kernel side compares them: id and depth.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A selected subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// cgroup id: the inode number of its directory.
    pub id: u64,
    /// Depth below the root of the hierarchy.
    pub level: u64,
}

/// Where the cgroup v2 hierarchy is mounted (alone, or beside v1).
pub fn mount_point() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        // … mount point is the fifth field; the type follows the separator.
        let (before, after) = line.split_once(" - ")?;
        after.starts_with("cgroup2 ").then(|| before.split(' ').nth(4).map(PathBuf::from)).flatten()
    })
}

/// Resolves `path`, absolute in the file system or relative to the hierarchy.
///
/// # Errors
/// Says what is wrong in words for the user.
pub fn subtree(path: &str) -> Result<Subtree, String> {
    let mount = mount_point().ok_or("no cgroup v2 hierarchy is mounted")?;
    let (directory, level) = below(&mount, path)?;
    let metadata = std::fs::metadata(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(Subtree { id: metadata.ino(), level })
}

/// cgroup id of a process; nothing where there is no v2 hierarchy, or no such process.
pub fn id_of(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(std::fs::metadata(mount_point()?.join(path)).ok()?.ino())
}

/// The directory that `path` names, and its depth below `mount`. Both without `..` and links: the depth is compared
/// with that of tasks.
fn below(mount: &Path, path: &str) -> Result<(PathBuf, u64), String> {
    let canonical = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    let full =
        if Path::new(path).starts_with(mount) { PathBuf::from(path) } else { mount.join(path.trim_start_matches('/')) };
    let (root, directory) = (canonical(mount)?, canonical(&full)?);
    if !directory.is_dir() {
        return Err(format!("{}: not a cgroup directory", full.display()));
    }
    let level = directory
        .strip_prefix(&root)
        .map_err(|_| format!("{}: {} is outside {}", full.display(), directory.display(), root.display()))?
        .components()
        .count();
    Ok((directory, level as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_links_are_resolved_before_the_depth_is_taken() {
        let top = std::env::temp_dir().join(format!("auditor-cgroup-{}", std::process::id()));
        let mount = top.join("mount");
        std::fs::create_dir_all(mount.join("a/b")).expect("temporary directory");
        std::os::unix::fs::symlink(mount.join("a"), mount.join("link")).expect("link");
        let level = |path: &str| below(&mount, path).map(|(_, level)| level);
        assert_eq!(level("/"), Ok(0));
        assert_eq!(level("a/b"), Ok(2));
        assert_eq!(level("/a/b/"), Ok(2));
        assert_eq!(level("a/../a/./b"), Ok(2));
        assert_eq!(level(mount.join("a/../a/b").to_str().expect("UTF-8")), Ok(2));
        assert_eq!(level("link/b"), Ok(2));
        assert!(level("..").is_err_and(|error| error.contains("outside")));
        assert!(level("a/../../..").is_err_and(|error| error.contains("outside")));
        assert!(level("none").is_err());
        std::fs::remove_dir_all(top).expect("removing");
    }
}
