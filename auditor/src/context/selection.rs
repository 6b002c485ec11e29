//! What the user wants to be audited.

use std::fmt;
use std::sync::Arc;

use super::FORMATS;
use super::format::{Format, Level};

/// The formats that are audited, and against which level of W3C Trace Context.
#[derive(Clone)]
pub struct Selection {
    /// In the order of [`FORMATS`].
    pub formats: Arc<[&'static dyn Format]>,
    /// Level.
    pub level: Level,
}

impl Default for Selection {
    fn default() -> Self {
        Self { formats: FORMATS.into(), level: Level::default() }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.formats.iter().map(|format| format.name()).collect();
        f.debug_struct("Selection").field("formats", &names).field("level", &self.level).finish()
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        let names = |selection: &Self| selection.formats.iter().map(|format| format.name()).collect::<Vec<_>>();
        self.level == other.level && names(self) == names(other)
    }
}
