//! Replaces bytes in place, many at once.
//!
//! What stays is said without a branch, by a mask: 0xff for a byte that stays, 0 for one that is replaced. So the compiler
//! finds the instructions that do it for many bytes; with `bool` it does not.

/// Bytes that are looked at at once.
const WIDTH: usize = 16;
/// And of fewer.
const HALF: usize = WIDTH / 2;

/// The mask of whether a byte is this one.
pub(super) fn is(byte: u8, this: u8) -> u8 {
    u8::from(byte == this).wrapping_neg()
}

/// The mask of whether a byte is one of so many from this one on.
pub(super) fn is_within(byte: u8, begin: u8, count: u8) -> u8 {
    u8::from(byte.wrapping_sub(begin) < count).wrapping_neg()
}

/// Replaces the bytes that do not stay. The last bytes are looked at together with some before them, once more: what stands
/// for a byte stays, or is replaced by itself.
pub(super) fn others(bytes: &mut [u8], by: u8, stays: impl Fn(u8) -> u8 + Copy) {
    let (chunks, rest) = bytes.as_chunks_mut::<WIDTH>();
    chunks.iter_mut().for_each(|chunk| those_of(chunk, by, stays));
    if rest.is_empty() {
        return;
    }
    if let Some(chunk) = bytes.last_chunk_mut::<WIDTH>() {
        return those_of(chunk, by, stays);
    }
    if let Some(chunk) = bytes.first_chunk_mut::<HALF>() {
        those_of(chunk, by, stays);
    }
    match bytes.last_chunk_mut::<HALF>() {
        Some(chunk) => those_of(chunk, by, stays),
        None => bytes.iter_mut().for_each(|byte| those_of(std::array::from_mut(byte), by, stays)),
    }
}

fn those_of<const N: usize>(bytes: &mut [u8; N], by: u8, stays: impl Fn(u8) -> u8) {
    for byte in bytes {
        let stays = stays(*byte);
        *byte = *byte & stays | by & !stays;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_others_are_replaced(bytes: Vec<u8>) {
            let mut replaced = bytes.clone();
            others(&mut replaced, b'?', |byte| is_within(byte, 100, 100) | is(byte, b'?') | is(byte, 7));
            let by_one = |byte| if matches!(byte, 100..200 | 7) { byte } else { b'?' };
            prop_assert_eq!(replaced, bytes.into_iter().map(by_one).collect::<Vec<_>>());
        }
    }
}
