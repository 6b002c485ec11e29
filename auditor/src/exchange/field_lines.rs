//! The audited fields of a head.

use std::sync::Arc;

/// Bytes of the two lengths before a line.
const LENGTHS: usize = 4;

/// Field lines in order: names as sent, values without white space around them. All in one piece of memory, which copies
/// share: many requests are held.
///
/// Of a name or value of more than 65,535 bytes only so many are kept; no head is as long.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldLines(Arc<[u8]>);

impl FieldLines {
    /// Names and values.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of these names and values; what `mend` makes of a value is kept.
    pub(crate) fn gather<'a>(
        lines: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        mend: impl Fn(&mut [u8]),
    ) -> Self {
        let lines = lines.map(|(name, value)| (cut(name), cut(value)));
        let size = lines.clone().map(|(name, value)| LENGTHS + name.len() + value.len()).sum();
        // Many heads have none, and then there is nothing to allocate.
        if size == 0 {
            return Self::default();
        }
        let mut all: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
        let mut room = Arc::get_mut(&mut all).unwrap_or_default();
        for (name, value) in lines {
            put(&mut room, &(name.len() as u16).to_ne_bytes());
            put(&mut room, &(value.len() as u16).to_ne_bytes());
            put(&mut room, name);
            mend(put(&mut room, value));
        }
        Self(all)
    }
}

/// Writes these bytes at the beginning of the room, which shrinks by them; says where they are.
fn put<'a>(room: &mut &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let Some(place) = room.split_off_mut(..bytes.len()) else { return Default::default() };
    place.copy_from_slice(bytes);
    place
}

/// As much as is kept of a name or value.
fn cut(text: &[u8]) -> &[u8] {
    text.get(..usize::from(u16::MAX)).unwrap_or(text)
}

/// See [`FieldLines::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([a, b, c, d], rest) = self.0.split_first_chunk::<LENGTHS>()?;
        let length = |a: &u8, b: &u8| usize::from(u16::from_ne_bytes([*a, *b]));
        let (name, rest) = rest.split_at_checked(length(a, b))?;
        let (value, rest) = rest.split_at_checked(length(c, d))?;
        self.0 = rest;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a FieldLines {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for FieldLines {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let fields: Vec<(N, V)> = fields.into_iter().collect();
        Self::gather(fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())), |_| ())
    }
}

impl std::fmt::Debug for FieldLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(n, v)| (n.escape_ascii().to_string(), v.escape_ascii().to_string())))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_too_long_is_cut() {
        let long = vec![b'a'; 70_000];
        let lines = FieldLines::from_iter([(&long, &long), (&vec![b'b'], &Vec::new())]);
        let lengths: Vec<_> = lines.iter().map(|(name, value)| (name.len(), value.len())).collect();
        assert_eq!(lengths, [(65_535, 65_535), (1, 0)]);
    }

    proptest! {
        #[test]
        fn lines_come_back(fields: Vec<(Vec<u8>, Vec<u8>)>) {
            let lines: FieldLines = fields.iter().map(|(name, value)| (name, value)).collect();
            let back: Vec<_> = lines.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            prop_assert_eq!((lines.len(), lines.is_empty()), (fields.len(), fields.is_empty()));
            prop_assert_eq!(back, fields);
        }
    }
}
