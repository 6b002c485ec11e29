//! What is drawn, and what keys do.

use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use auditor::view::clean::{clean, cut};
use auditor::view::text::{Style, headline, table};
use auditor::view::{Lines, Report, Row};

use super::terminal::Terminal;
use super::{Event, Events};

/// How often keys are looked for.
const LOOK: Duration = Duration::from_millis(50);
/// Least time between two pictures, unless a key was pressed.
const PICTURE: Duration = Duration::from_millis(250);
/// Lines around the rows: headline, state, titles, keys.
const AROUND: usize = 5;

/// Draws until `q`, a signal, or the end of the run.
///
/// # Errors
/// When the terminal is gone, or the input fails.
pub(super) fn run(mut terminal: Terminal, title: &str, events: &Events) -> io::Result<()> {
    let mut screen = Screen::new(title);
    let mut drawn: Option<Instant> = None;
    loop {
        match events.recv_timeout(LOOK) {
            Ok(Event::Bytes(bytes)) => {
                screen.lines.push(&bytes, &mut screen.report);
                screen.changed = true;
            }
            Ok(Event::End) => screen.ended = true,
            Ok(Event::Failed(error)) => return Err(error),
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let keys = terminal.keys()?;
        if screen.keys(&keys) == Then::Quit {
            return Ok(());
        }
        let size = terminal.size();
        let resized = std::mem::replace(&mut screen.size, size) != size;
        let due = drawn.is_none_or(|drawn| drawn.elapsed() >= PICTURE);
        if !keys.is_empty() || resized || (due && (screen.changed || drawn.is_none())) {
            terminal.draw(&screen.picture())?;
            drawn = Some(Instant::now());
            screen.changed = false;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    Quit,
}

/// The order of the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Worst,
    Lost,
    Calls,
    Service,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Worst => Self::Lost,
            Self::Lost => Self::Calls,
            Self::Calls => Self::Service,
            Self::Service => Self::Worst,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Worst => "worst first",
            Self::Lost => "most lost traces first",
            Self::Calls => "most calls first",
            Self::Service => "by service",
        }
    }
}

struct Screen {
    title: String,
    report: Report,
    lines: Lines,
    changed: bool,
    ended: bool,
    sort: Sort,
    filter: String,
    /// Keys go to the filter.
    editing: bool,
    offset: usize,
    size: (usize, usize),
}

impl Screen {
    fn new(title: &str) -> Self {
        Self {
            title: clean(title),
            report: Report::default(),
            lines: Lines::new(),
            changed: true,
            ended: false,
            sort: Sort::Worst,
            filter: String::new(),
            editing: false,
            offset: 0,
            size: (80, 24),
        }
    }

    fn room(&self) -> usize {
        self.size.1.saturating_sub(AROUND).max(1)
    }

    fn keys(&mut self, bytes: &[u8]) -> Then {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = &*text;
        while let Some(key) = rest.chars().next() {
            // Of a sequence that begins with Escape all is one key.
            let arrow = ["\x1b[A", "\x1bOA", "\x1b[B", "\x1bOB", "\x1b[5~", "\x1b[6~"]
                .into_iter()
                .find(|key| rest.starts_with(key));
            rest = &rest[arrow.map_or(key.len_utf8(), str::len)..];
            if self.editing && arrow.is_none() {
                self.edit(key);
                continue;
            }
            match (key, arrow) {
                ('q' | 'Q', _) => return Then::Quit,
                ('s', _) => self.sort = self.sort.next(),
                ('/', _) => self.editing = true,
                ('k', _) | (_, Some("\x1b[A" | "\x1bOA")) => self.offset = self.offset.saturating_sub(1),
                ('j', _) | (_, Some("\x1b[B" | "\x1bOB")) => self.offset += 1,
                (_, Some("\x1b[5~")) => self.offset = self.offset.saturating_sub(self.room()),
                (' ', _) | (_, Some("\x1b[6~")) => self.offset += self.room(),
                ('g', _) => self.offset = 0,
                ('\x1b', None) => self.filter.clear(),
                _ => {}
            }
        }
        Then::GoOn
    }

    fn edit(&mut self, key: char) {
        match key {
            '\r' | '\n' => self.editing = false,
            '\x1b' => {
                self.filter.clear();
                self.editing = false;
            }
            '\x7f' | '\x08' => _ = self.filter.pop(),
            '\x15' => self.filter.clear(),
            key if !key.is_control() => self.filter.push(key),
            _ => {}
        }
        self.offset = 0;
    }

    /// Everything, from the upper left corner.
    fn picture(&mut self) -> String {
        let (width, _) = self.size;
        let room = self.room();
        let style = Style { width: Some(width), colour: crate::commands::report::style().colour };
        let all = self.report.rows();
        let head = headline(&self.report, &all);
        let total = all.len();
        let mut rows: Vec<Row<'_>> = all.into_iter().filter(|row| shown(row, &self.filter)).collect();
        match self.sort {
            Sort::Worst => {}
            Sort::Lost => rows.sort_by_key(|row| std::cmp::Reverse(row.tally.lost())),
            Sort::Calls => rows.sort_by_key(|row| std::cmp::Reverse(row.tally.calls)),
            Sort::Service => rows.sort_by(|a, b| a.key.cmp(b.key)),
        }
        self.offset = self.offset.min(rows.len().saturating_sub(room));
        let last = (self.offset + room).min(rows.len());
        let visible = rows.get(self.offset..last).unwrap_or_default();
        let ended = if self.ended { ", end of input" } else { "" };
        let broken = match self.lines.read().broken {
            0 => String::new(),
            broken => format!(", {broken} lines are no records"),
        };
        let state = format!("{}: {} of {total} hops, {}{ended}{broken}", self.title, rows.len(), self.sort.as_str());
        let filter = clean(&self.filter);
        let foot = match (self.editing, filter.is_empty()) {
            (true, _) => format!("filter: {filter}_   Enter keeps it, Esc clears it"),
            (false, true) => "q quits   s sorts   / filters   ↑ ↓ scroll".to_owned(),
            (false, false) => format!("filter: {filter}   Esc clears it   q quits   s sorts   / filters"),
        };
        let mut lines = vec![cut(&head, width), style.paint(&cut(&state, width), "2")];
        lines.extend(table(visible, style).lines().map(str::to_owned));
        lines.resize(self.size.1.saturating_sub(1).max(lines.len()), String::new());
        lines.push(style.paint(&cut(&foot, width), "2"));
        format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"))
    }
}

/// Whether all words of the filter stand in the row.
fn shown(row: &Row<'_>, filter: &str) -> bool {
    if filter.is_empty() {
        return true;
    }
    let codes: Vec<_> = row.codes.keys().map(String::as_str).collect();
    let text =
        [&row.key.service, &row.hop(), &row.verdict.text(), &codes.join(" ")].map(|text| text.to_lowercase()).join(" ");
    filter.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        let mut screen = Screen::new("a\x1b[2Jfile");
        for (service, outcome, calls) in
            [("legacy", "dropped", 3), ("shop", "continued", 50), ("\x1b]0;x", "continued", 9)]
        {
            let line = serde_json::json!({"record_type": "summary", "edge": {"calls": calls, outcome: calls},
                "resource": {"service.name": service}});
            screen.lines.push(format!("{line}\n").as_bytes(), &mut screen.report);
        }
        screen
    }

    #[test]
    fn keys_sort_and_filter() {
        let mut screen = screen();
        let first = |screen: &mut Screen| {
            let picture = screen.picture();
            picture.lines().nth(3).map(|line| line.chars().take(6).collect::<String>())
        };
        assert_eq!(first(&mut screen).as_deref(), Some("legacy"));
        assert!(screen.keys(b"ss") == Then::GoOn);
        assert_eq!(first(&mut screen).as_deref(), Some("shop  "));
        assert!(screen.keys(b"/LEGq\x7f\r") == Then::GoOn, "q is a letter there");
        let picture = screen.picture();
        assert!(picture.contains("1 of 3 hops") && !picture.contains("shop"), "{picture}");
        assert!(screen.keys("\x1b[B\x1b[A\x1b[6~ü\u{fffd}\x1b".as_bytes()) == Then::GoOn);
        assert_eq!(screen.filter, "");
        assert!(screen.keys(b"xq") == Then::Quit);
    }

    #[test]
    fn a_picture_has_the_size_of_the_terminal() {
        let mut screen = screen();
        for size in [(80, 24), (20, 6), (1, 1), (0, 0), (300, 90)] {
            screen.size = size;
            screen.keys(b"jjjjj");
            let picture = screen.picture();
            assert!(picture.lines().count() <= size.1.max(AROUND + 1), "{size:?}");
            let strange = picture.replace("\x1b[H", "").replace("\x1b[K", "").replace("\x1b[J", "").replace("\r\n", "");
            assert!(!strange.contains(char::is_control), "{strange:?}");
        }
    }
}
