//! Text from strangers, made harmless: nothing is left in it that moves a cursor, reorders what stands beside it or hides.

use unicode_width::UnicodeWidthChar;

/// Longest text that is kept, in characters.
pub const CAP: usize = 512;
/// Marks on one letter; more of them climb into the lines above.
const MARKS: usize = 2;

/// Without control characters, without what changes the direction of text or has no width, and not longer than [`CAP`].
/// What is replaced is seen: it becomes `�`.
pub fn clean(text: &str) -> String {
    let mut marks = 0;
    let mut out = String::with_capacity(text.len().min(CAP));
    for (index, c) in text.chars().enumerate() {
        if index == CAP {
            out.push('…');
            break;
        }
        marks = if width_of(c) == 0 { marks + 1 } else { 0 };
        match c {
            _ if is_harmful(c) => out.push('\u{fffd}'),
            _ if marks > MARKS || (marks > 0 && out.is_empty()) => {}
            c => out.push(c),
        }
    }
    out
}

/// Controls, separators of lines, marks of direction, and characters that cannot be seen.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        // Private use: a terminal's font may show anything there.
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

fn width_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Cells that clean text takes in a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Clean text in at most so many cells: the middle is left out, for beginnings and ends tell names apart.
pub fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let Some(room) = cells.checked_sub(1) else { return String::new() };
    let head = take(text.chars(), room.div_ceil(2));
    let tail: Vec<char> = take(text.chars().rev(), room / 2).chars().rev().collect();
    // A mark without its letter would join the ellipsis.
    let tail = tail.into_iter().skip_while(|c| width_of(*c) == 0);
    head.chars().chain(['…']).chain(tail).collect()
}

fn take(chars: impl Iterator<Item = char>, cells: usize) -> String {
    let mut left = cells;
    let mut taken = String::new();
    for c in chars {
        let Some(rest) = left.checked_sub(width_of(c)) else { break };
        (left, taken) = (rest, taken + c.encode_utf8(&mut [0; 4]));
    }
    taken
}

/// Clean text, cut and filled up to exactly so many cells.
pub fn fit(text: &str, cells: usize) -> String {
    let text = cut(text, cells);
    let space = cells.saturating_sub(width(&text));
    text + &" ".repeat(space)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_replaced() {
        assert_eq!(clean("a\x1b[2Jb\x07\r\nc"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c");
        assert_eq!(clean("\u{9b}31m\u{7f}"), "\u{fffd}31m\u{fffd}");
        assert_eq!(clean("abc\u{202e}cba"), "abc\u{fffd}cba");
        assert_eq!(clean("a\u{200b}b\u{feff}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(clean("Zürich 東京 ελλ"), "Zürich 東京 ελλ");
    }

    #[test]
    fn marks_do_not_pile_up() {
        assert_eq!(clean(&format!("e{}x", "\u{301}".repeat(50))), "e\u{301}\u{301}x");
        assert_eq!(clean("\u{301}a"), "a");
        assert_eq!(clean(&"x".repeat(600)).chars().count(), CAP + 1);
    }

    #[test]
    fn the_middle_is_left_out() {
        assert_eq!(cut("checkout-service-eu-1", 10), "check…eu-1");
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("abc", 1), "…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut("東京東京東京", 7), "東…京");
        assert_eq!(fit("東京", 6), "東京  ");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_its_place(text in "\\PC*|[\\x00-\\u{3000}]*", cells in 0usize..40) {
            let text = clean(&text);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(width(&cut(&text, cells)) <= cells);
            prop_assert_eq!(width(&fit(&text, cells)), cells);
            prop_assert_eq!(clean(&text), text);
        }
    }
}
