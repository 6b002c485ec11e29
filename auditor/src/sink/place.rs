//! Where an output ends up, however it is spelled: two ways to one file would write into each other's lines.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::outputs::OutputsError;
use super::spec::Spec;
use super::target::Target;

/// Equal for outputs that end up in the same place.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Place<'a> {
    /// Device and inode.
    There(u64, u64),
    /// Device and inode of the directory in which it is going to be, and its name.
    New(u64, u64, OsString),
    /// No file, or one that cannot be.
    Other(&'a Target),
}

impl<'a> Place<'a> {
    fn of(target: &'a Target) -> Self {
        let place = match target {
            Target::File(path) => of_path(path),
            // A terminal, or a pipe, may be what several are meant to go to.
            Target::Stdout => of_descriptor(io::stdout()).filter(Metadata::is_file).map(|file| there(&file)),
            _ => None,
        };
        place.unwrap_or(Self::Other(target))
    }
}

fn there<'a>(file: &Metadata) -> Place<'a> {
    Place::There(file.dev(), file.ino())
}

fn of_path<'a>(path: &Path) -> Option<Place<'a>> {
    if let Ok(file) = fs::metadata(path) {
        return Some(there(&file));
    }
    let directory = path.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."));
    let directory = fs::metadata(directory).ok()?;
    Some(Place::New(directory.dev(), directory.ino(), path.file_name()?.to_owned()))
}

fn of_descriptor(descriptor: impl AsFd) -> Option<Metadata> {
    File::from(descriptor.as_fd().try_clone_to_owned().ok()?).metadata().ok()
}

/// Whether no two go to the same place.
pub(super) fn distinct(specs: &[Spec]) -> Result<(), OutputsError> {
    let mut places = HashSet::new();
    match specs.iter().find(|spec| !places.insert(Place::of(&spec.to))) {
        Some(twice) => Err(OutputsError::Twice(twice.to.to_string())),
        None => Ok(()),
    }
}

/// Whether none goes into what is read.
///
/// # Errors
/// Which one does.
pub fn not_read(specs: &[Spec], input: impl AsFd) -> Result<(), OutputsError> {
    let Some(input) = of_descriptor(input).filter(Metadata::is_file) else { return Ok(()) };
    match specs.iter().find(|spec| Place::of(&spec.to) == there(&input)) {
        Some(read) => Err(OutputsError::Read(read.to.name())),
        None => Ok(()),
    }
}
