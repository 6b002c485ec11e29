//! The header that a load balancer may put in front of the first request of a connection: HAProxy's PROXY protocol,
//! versions 1 and 2. It is passed over, and the addresses in it do not travel on.

use super::mask::BLANK;
use super::masking::MASKED;

const VERSION_1: &[u8] = b"PROXY ";
/// Longest header of version 1, with the end of its line.
const LONGEST_1: usize = 107;
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes in front of the addresses in version 2; the last two of them are the length of what follows.
const FIXED: usize = 16;

/// Masks the header that `bytes` begin with, and says how long it is; 0: there is none, or not all of one. What is masked is
/// a header of the same length.
pub(crate) fn mask(bytes: &mut [u8]) -> usize {
    let (kept, length, end) = if bytes.starts_with(VERSION_1) {
        let ends = bytes.iter().take(LONGEST_1).position(|byte| *byte == b'\n').and_then(|end| end.checked_sub(1));
        let Some(end) = ends.filter(|end| bytes.get(*end) == Some(&b'\r')) else { return 0 };
        (VERSION_1.len(), end + 2, end)
    } else if bytes.starts_with(VERSION_2) {
        let Some([.., high, low]) = bytes.get(..FIXED) else { return 0 };
        let length = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
        (FIXED, length, length)
    } else {
        return 0;
    };
    let Some(addresses) = bytes.get_mut(kept..end) else { return 0 };
    addresses.fill(if kept == FIXED { BLANK } else { MASKED });
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(bytes: &[u8]) -> (usize, Vec<u8>) {
        let mut bytes = bytes.to_vec();
        let length = mask(&mut bytes);
        let once = bytes.clone();
        assert_eq!((mask(&mut bytes), &bytes), (length, &once), "masked again it stays the same");
        (length, once)
    }

    #[test]
    fn addresses_are_masked_and_the_request_is_not() {
        let (length, bytes) = masked(b"PROXY TCP4 10.1.2.3 10.1.2.4 5 80\r\nGET / HTTP/1.1\r\n");
        assert_eq!(&bytes[..length], b"PROXY xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
        assert_eq!(&bytes[length..], b"GET / HTTP/1.1\r\n");
        assert_eq!(masked(b"PROXY UNKNOWN\r\n").0, 15);
        let mut second = [VERSION_2, &[0x21, 0x11, 0, 12]].concat();
        second.extend([10; 12]);
        second.extend(b"GET /");
        let (length, bytes) = masked(&second);
        assert_eq!(length, 28);
        assert_eq!((&bytes[..16], &bytes[16..28], &bytes[28..]), (&second[..16], &[0; 12][..], &b"GET /"[..]));
        // LOCAL: the load balancer's own, without addresses.
        assert_eq!(masked(&[VERSION_2, &[0x20, 0, 0, 0], b"GET /"].concat()).0, 16);
    }

    #[test]
    fn what_is_none_or_not_all_of_one_is_left_alone() {
        let long = [b"PROXY TCP6 ", &[b'1'; 100][..], b"\r\n"].concat();
        let short = [VERSION_2, &[0x21, 0x11, 0, 12], &[1; 11]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"",
            b"PROXY ",
            b"PROXY TCP4",
            b"PROXY TCP4\n",
            b"PROXY a\nGET / HTTP/1.1\r\n",
            b"PROXY TCP4\r",
            &long,
            &short,
            VERSION_2,
        ] {
            assert_eq!(masked(bytes), (0, bytes.to_vec()));
        }
    }
}
