//! The grammar of `traceparent`: `version "-" trace-id "-" parent-id "-" flags`, lower-case hex. A version
//! above 00 may be longer if a `-` follows.

use super::mutation::SAMPLED;

/// Length of a version 00 value.
const LEN: usize = 55;

/// Why a `traceparent` value is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Too short, or longer than its version allows.
    Length,
    /// A `-` is not where it belongs.
    Delimiter,
    /// Something else than hex digits in version, trace-id or parent-id.
    NonHex,
    /// Upper-case hex digits.
    UppercaseHex,
    /// Version `ff` is forbidden.
    VersionFf,
    /// A trace-id of zeroes.
    ZeroTraceId,
    /// A parent-id of zeroes.
    ZeroParentId,
    /// Version 00 ends after the flags.
    TrailingDataV00,
    /// The flags are not two hex digits.
    Flags,
}

impl Reason {
    /// As the output names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Delimiter => "delimiter",
            Self::NonHex => "non_hex",
            Self::UppercaseHex => "uppercase_hex",
            Self::VersionFf => "version_ff",
            Self::ZeroTraceId => "zero_trace_id",
            Self::ZeroParentId => "zero_parent_id",
            Self::TrailingDataV00 => "trailing_data_v00",
            Self::Flags => "flags",
        }
    }
}

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Version, never 0xff.
    pub version: u8,
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub parent_id: u64,
    /// All eight bits, reserved ones included.
    pub flags: u8,
}

impl TraceParent {
    /// The sampled flag.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Parses a field value; surrounding optional whitespace is not part of it.
    ///
    /// # Errors
    /// The first thing that is wrong, from the outside in: length, delimiters, then the fields from the left.
    pub fn parse(value: &[u8]) -> Result<Self, Reason> {
        let value = trim(value);
        let (Some(version), Some(trace_id), Some(parent_id), Some(flags)) =
            (value.get(0..2), value.get(3..35), value.get(36..52), value.get(53..LEN))
        else {
            return Err(Reason::Length);
        };
        if [2, 35, 52].iter().any(|&at| value.get(at) != Some(&b'-')) {
            return Err(Reason::Delimiter);
        }
        let version = u8::try_from(hex(version)?).map_err(|_| Reason::NonHex)?;
        if version == 0xff {
            return Err(Reason::VersionFf);
        }
        let trace_id = hex(trace_id)?;
        let parent_id = u64::try_from(hex(parent_id)?).map_err(|_| Reason::NonHex)?;
        let flags = match hex(flags) {
            Ok(flags) => u8::try_from(flags).map_err(|_| Reason::Flags)?,
            Err(Reason::NonHex) => return Err(Reason::Flags),
            Err(other) => return Err(other),
        };
        if trace_id == 0 {
            return Err(Reason::ZeroTraceId);
        }
        if parent_id == 0 {
            return Err(Reason::ZeroParentId);
        }
        match value.get(LEN) {
            None => {}
            Some(_) if version == 0 => return Err(Reason::TrailingDataV00),
            Some(b'-') => {}
            Some(_) => return Err(Reason::Length),
        }
        Ok(Self { version, trace_id, parent_id, flags })
    }
}

/// The trace-id somebody who does not validate would take from `value`: the first run of exactly 32 hex digits of
/// either case that stands between delimiters and is not all zeroes.
pub fn lenient_trace_id(value: &[u8]) -> Option<u128> {
    value
        .split(|b| !b.is_ascii_hexdigit())
        .filter(|run| run.len() == 32)
        .find_map(|run| hex(&run.to_ascii_lowercase()).ok().filter(|id| *id != 0))
}

/// At most 32 lower-case hex digits.
fn hex(digits: &[u8]) -> Result<u128, Reason> {
    if let Some(value) = lower_case(digits) {
        return Ok(value);
    }
    // Two halves: the compiler has no instructions for 128 bits.
    let (high, low) = digits.split_at(digits.len().saturating_sub(16));
    let (high, upper) = half(high)?;
    let (low, also) = half(low)?;
    if upper || also { Err(Reason::UppercaseHex) } else { Ok(u128::from(high) << 64 | u128::from(low)) }
}

/// A multiple of eight lower-case hex digits, eight at once.
fn lower_case(digits: &[u8]) -> Option<u128> {
    let (eights, []) = digits.as_chunks::<8>() else { return None };
    eights.iter().try_fold(0, |value, eight| Some(value << 32 | u128::from(eight_digits(*eight)?)))
}

/// The value of eight lower-case hex digits.
fn eight_digits(digits: [u8; 8]) -> Option<u32> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let digits = u64::from_be_bytes(digits);
    let (high, low) = (digits & (0xf0 * EACH), digits & (0xf * EACH));
    // A digit is 0x30 to 0x39, a letter 0x61 to 0x66.
    let letter = (digits >> 6) & EACH;
    let other = high ^ (0x30 * EACH + letter * 0x30);
    let above = (low + 6 * EACH + letter * 3) & (0x10 * EACH);
    let below = (low + letter * 15) & (0x10 * EACH) ^ (letter << 4);
    if other | above | below != 0 {
        return None;
    }
    // Four bits in each of eight bytes become 32 in a row.
    let nibbles = low + letter * 9;
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let words = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    Some((words | words >> 16) as u32)
}

/// At most 16 hex digits, and whether one of them is in upper case.
fn half(digits: &[u8]) -> Result<(u64, bool), Reason> {
    let (mut value, mut all) = (0, 0);
    for digit in digits {
        let nibble = NIBBLES.get(usize::from(*digit)).copied().unwrap_or(NO_HEX);
        value = value << 4 | u64::from(nibble & 0xf);
        all |= nibble;
    }
    if all & NO_HEX != 0 { Err(Reason::NonHex) } else { Ok((value, all & UPPERCASE != 0)) }
}

const NO_HEX: u8 = 0x80;
const UPPERCASE: u8 = 0x40;
/// The value of each hex digit.
#[allow(clippy::indexing_slicing, reason = "the compiler does it")]
static NIBBLES: [u8; 256] = {
    let (mut nibbles, mut byte) = ([NO_HEX; 256], 0);
    while byte < nibbles.len() {
        match byte as u8 {
            digit @ b'0'..=b'9' => nibbles[byte] = digit - b'0',
            digit @ b'a'..=b'f' => nibbles[byte] = digit - b'a' + 10,
            digit @ b'A'..=b'F' => nibbles[byte] = (digit - b'A' + 10) | UPPERCASE,
            _ => {}
        }
        byte += 1;
    }
    nibbles
};

/// Without the optional whitespace around it.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    proptest! {
        #[test]
        fn eight_digits_at_once_are_the_same(digits in "[0-9a-f]{8}", at in 0..8_usize, byte: u8) {
            let mut digits: [u8; 8] = digits.into_bytes().try_into().unwrap();
            digits[at] = byte;
            let (value, upper) = half(&digits).unwrap_or((0, true));
            prop_assert_eq!(eight_digits(digits), (!upper).then_some(value as u32));
        }
    }

    #[test]
    fn accepts_what_the_grammar_allows() {
        let parsed = TraceParent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(parsed.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parsed.parent_id, 0x00f0_67aa_0ba9_02b7);
        assert_eq!((parsed.version, parsed.flags), (0, 1));
        assert_eq!(TraceParent::parse(format!(" \t{GOOD}\t ").as_bytes()), Ok(parsed));
        assert!(TraceParent::parse(GOOD.replace("00-4", "cc-4").as_bytes()).is_ok());
        assert!(
            TraceParent::parse(format!("{}-what-the-future-brings", GOOD.replace("00-4", "01-4")).as_bytes()).is_ok()
        );
        assert!(TraceParent::parse(GOOD.replace("-01", "-ff").as_bytes()).is_ok());
    }

    #[test]
    fn names_what_is_wrong() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (value, reason) in [
            ("", Reason::Length),
            ("00", Reason::Length),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", Reason::Length),
            ("00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01", Reason::Delimiter),
            ("00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", Reason::NonHex),
            ("0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Reason::NonHex),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", Reason::UppercaseHex),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01", Reason::UppercaseHex),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Reason::VersionFf),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", Reason::ZeroTraceId),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", Reason::ZeroParentId),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", Reason::TrailingDataV00),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011", Reason::TrailingDataV00),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", Reason::Length),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x", Reason::Flags),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A", Reason::UppercaseHex),
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()), Err(reason), "{value}");
        }
        assert_eq!(lenient_trace_id(GOOD.to_uppercase().as_bytes()), u128::from_str_radix(id, 16).ok());
        assert_eq!(lenient_trace_id(b"00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
    }
}
