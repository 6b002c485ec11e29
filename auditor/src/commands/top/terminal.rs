//! The terminal, taken and given back: whatever ends the program, but for SIGKILL, leaves it as it was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// The other screen, without a cursor, lines that do not wrap.
const TAKE: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const GIVE_BACK: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What is to be restored, and where.
static BEFORE: Mutex<Option<(File, Termios)>> = Mutex::new(None);
static PANICS: Once = Once::new();

/// The terminal while it is drawn on.
pub(super) struct Terminal {
    keys: File,
}

impl Terminal {
    /// Takes the terminal of this process, whatever stdin is.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn enter() -> io::Result<Self> {
        let keys = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&keys)?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        // Reading returns at once. Ctrl-C stays a signal; the ones that would leave the terminal like this do not.
        for (code, value) in [
            (SpecialCodeIndex::VMIN, 0),
            (SpecialCodeIndex::VTIME, 0),
            (SpecialCodeIndex::VSUSP, 0),
            (SpecialCodeIndex::VQUIT, 0),
        ] {
            modes.special_codes[code] = value;
        }
        PANICS.call_once(|| {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                hook(panic);
            }));
        });
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some((keys.try_clone()?, before));
        let terminal = Self { keys };
        tcsetattr(&terminal.keys, OptionalActions::Now, &modes)?;
        terminal.draw(TAKE)?;
        Ok(terminal)
    }

    /// # Errors
    /// When the terminal is gone.
    pub(super) fn draw(&self, text: &str) -> io::Result<()> {
        (&self.keys).write_all(text.as_bytes())
    }

    /// Keys that were pressed since.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn keys(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 64];
        match self.keys.read(&mut bytes) {
            Ok(count) => Ok(bytes[..count].to_vec()),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = terminal_size::terminal_size_of(&self.keys);
        size.map_or((80, 24), |(columns, lines)| (columns.0.into(), lines.0.into()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Once; it may be called from a panic anywhere.
fn restore() {
    // A panic while it is locked is one in here.
    let Ok(mut before) = BEFORE.try_lock() else { return };
    if let Some((mut terminal, modes)) = before.take() {
        let _ = terminal.write_all(GIVE_BACK.as_bytes());
        let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
    }
}
