//! Framing of a chunked body, as far as its bytes are seen.

use super::mask::BLANK;

/// Where in a chunked body the walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In a size line, before any extension.
    Size { value: u64, digits: u8 },
    /// In what follows the size on its line.
    Extension { value: u64 },
    /// So many bytes of data are left.
    Data(u64),
    /// Before the line end that follows the data.
    DataEnd,
    /// In the trailer section; whether the current line has content.
    Trailer { content: bool },
}

/// What the walk knows after a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The body goes on.
    At(Chunked),
    /// The body is complete.
    Complete,
    /// This is no chunked body.
    Broken,
}

impl Chunked {
    pub(super) const BEGIN: Self = Self::Size { value: 0, digits: 0 };

    /// Masks one byte in place. Size lines stay readable, everything else does not.
    pub(super) fn walk(self, byte: &mut u8) -> Next {
        let next = match (self, *byte) {
            (Self::Size { value, digits: 0..16 }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let Self::Size { digits, .. } = self else { return Next::Broken };
                let digit = char::from(*byte).to_digit(16).unwrap_or(0);
                Self::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { value, digits: 1.. } | Self::Extension { value }, b'\n') => match value {
                0 => Self::Trailer { content: false },
                left => Self::Data(left),
            },
            (Self::Size { value, digits: 1.. }, b';' | b' ' | b'\t' | b'\r') => Self::Extension { value },
            (Self::Extension { .. }, b';' | b' ' | b'\t' | b'\r') => self,
            (Self::Extension { .. }, _) => {
                *byte = b'x';
                self
            }
            (Self::Data(left), _) => {
                *byte = BLANK;
                match left {
                    0 | 1 => Self::DataEnd,
                    _ => Self::Data(left - 1),
                }
            }
            (Self::DataEnd, b'\r') => self,
            (Self::DataEnd, b'\n') => Self::BEGIN,
            (Self::Trailer { content: false }, b'\n') => return Next::Complete,
            (Self::Trailer { content: true }, b'\n') => Self::Trailer { content: false },
            (Self::Trailer { .. }, b'\r') => self,
            (Self::Trailer { .. }, _) => {
                *byte = b'x';
                Self::Trailer { content: true }
            }
            _ => {
                *byte = BLANK;
                return Next::Broken;
            }
        };
        Next::At(next)
    }
}
