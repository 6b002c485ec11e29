//! A set of words with a value each, walked byte by byte: what a head may hold is looked up while it is under way.

/// A place in a [`Trie`]: the words that begin with the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u16);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Trie<T> {
    /// The first is the root, which is nobody's child: 0 stands for "none".
    nodes: Vec<Node<T>>,
    /// What follows the root, by byte: there most words differ.
    first: Vec<u16>,
}

#[derive(Clone, Debug)]
struct Node<T> {
    byte: u8,
    child: u16,
    sibling: u16,
    value: Option<T>,
    /// Whatever follows belongs to the word.
    open: bool,
}

impl<T: Copy> Trie<T> {
    pub(super) const ROOT: At = At(0);

    pub(super) fn new() -> Self {
        let root = Node { byte: 0, child: 0, sibling: 0, value: None, open: false };
        Self { nodes: vec![root], first: vec![0; 256] }
    }

    /// `open`: words that begin with this one have its value. A trie that is full, at 65,535 bytes, takes no more.
    pub(super) fn insert(&mut self, word: &str, value: T, open: bool) {
        let mut at = Self::ROOT;
        for byte in word.bytes() {
            at = match self.child(at, byte) {
                Some(child) => child,
                None => {
                    let (Ok(new), Some(parent)) = (u16::try_from(self.nodes.len()), self.nodes.get_mut(at.0 as usize))
                    else {
                        return;
                    };
                    let sibling = std::mem::replace(&mut parent.child, new);
                    self.nodes.push(Node { byte, child: 0, sibling, value: None, open: false });
                    if at == Self::ROOT {
                        self.first.iter_mut().skip(byte.into()).take(1).for_each(|first| *first = new);
                    }
                    At(new)
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(at.0 as usize) {
            (node.value, node.open) = (Some(value), open);
        }
    }

    fn child(&self, at: At, byte: u8) -> Option<At> {
        let mut child = self.nodes.get(at.0 as usize)?.child;
        while child != 0 {
            let node = self.nodes.get(child as usize)?;
            if node.byte == byte {
                return Some(At(child));
            }
            child = node.sibling;
        }
        None
    }

    /// After another byte; `None`: no word begins so.
    pub(super) fn step(&self, at: At, byte: u8) -> Option<At> {
        if at == Self::ROOT {
            return self.first.get(usize::from(byte)).filter(|first| **first != 0).map(|first| At(*first));
        }
        if self.nodes.get(at.0 as usize)?.open { Some(at) } else { self.child(at, byte) }
    }

    /// The value of the word that ends here; `None`: none does.
    pub(super) fn value(&self, at: At) -> Option<T> {
        self.nodes.get(at.0 as usize)?.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole_and_open_ones_by_their_beginning() {
        let mut trie = Trie::new();
        for (word, value, open) in [("b3", 1, false), ("b", 2, false), ("ctx-", 3, true), ("cookie", 4, false)] {
            trie.insert(word, value, open);
        }
        let find = |word: &str| {
            let at = word.bytes().try_fold(Trie::<i32>::ROOT, |at, byte| trie.step(at, byte));
            at.map(|at| trie.value(at))
        };
        for (word, value) in [
            ("b", Some(Some(2))),
            ("b3", Some(Some(1))),
            ("ctx-", Some(Some(3))),
            ("ctx-any", Some(Some(3))),
            ("ctx", Some(None)),
            ("", Some(None)),
            ("b4", None),
            ("b33", None),
        ] {
            assert_eq!(find(word), value, "{word}");
        }
    }
}
