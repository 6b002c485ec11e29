//! Numbers as headers spell them.

/// 1 to 32 hex digits of either case.
pub(super) fn hex128(digits: &[u8]) -> Option<u128> {
    if !(1..=32).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0, |value: u128, &digit| Some(value << 4 | u128::from(char::from(digit).to_digit(16)?)))
}

/// 1 to 16 hex digits of either case.
pub(super) fn hex64(digits: &[u8]) -> Option<u64> {
    u64::try_from(hex128(digits)?).ok().filter(|_| digits.len() <= 16)
}

/// At least one decimal digit and nothing else. A number above 64 bits is none.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // Rust's own parser would let a sign pass.
    str::from_utf8(digits).ok().filter(|_| all)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_number() {
        for text in ["", "g", "+1", "-1", " 1", "0x1", "111111111111111111111111111111111"] {
            assert_eq!(hex128(text.as_bytes()), None, "{text}");
        }
        assert_eq!(hex64(b"00000000000000001"), None);
        for text in ["", "a", "+1", "-1", " 1", "1.0", "18446744073709551616"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back(wide: u128, narrow: u64) {
            prop_assert_eq!(hex128(format!("{wide:x}").as_bytes()), Some(wide));
            prop_assert_eq!(hex128(format!("{wide:032X}").as_bytes()), Some(wide));
            prop_assert_eq!(hex64(format!("{narrow:x}").as_bytes()), Some(narrow));
            prop_assert_eq!(decimal(narrow.to_string().as_bytes()), Some(narrow));
        }

        #[test]
        fn any_bytes_will_do(bytes: Vec<u8>) {
            let _ = (hex128(&bytes), hex64(&bytes), decimal(&bytes));
        }
    }
}
