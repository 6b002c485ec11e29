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
    let full = if Path::new(path).starts_with(&mount) {
        PathBuf::from(path)
    } else {
        mount.join(path.trim_start_matches('/'))
    };
    let metadata = std::fs::metadata(&full).map_err(|error| format!("{}: {error}", full.display()))?;
    if !metadata.is_dir() {
        return Err(format!("{}: not a cgroup directory", full.display()));
    }
    let below = full.strip_prefix(&mount).map_err(|_| format!("{} is outside {}", full.display(), mount.display()))?;
    Ok(Subtree { id: metadata.ino(), level: below.components().count() as u64 })
}
