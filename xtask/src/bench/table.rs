//! What a group of measurements found, for people and for programs.

use serde::Serialize;
use serde_json::Value;

/// Minimum, median and maximum of the rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of at least one value.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { min: at(0), median: at(values.len() / 2), max: at(values.len().saturating_sub(1)) }
    }
}

/// One group.
pub(super) struct Table {
    title: &'static str,
    rows: Vec<Vec<String>>,
    pub(super) values: Vec<Value>,
}

impl Table {
    pub(super) fn new(title: &'static str, columns: &[&str]) -> Self {
        Self { title, rows: vec![columns.iter().map(|column| (*column).to_owned()).collect()], values: Vec::new() }
    }

    /// A row, and the same for programs.
    pub(super) fn row(&mut self, cells: Vec<String>, values: Value) {
        eprintln!("  {}", cells.join("  "));
        self.rows.push(cells);
        self.values.push(values);
    }

    /// Title and values, for programs.
    pub(super) fn json(&self) -> Value {
        serde_json::json!({ "title": self.title, "rows": self.values })
    }

    /// The first column is text, the others are numbers.
    pub(super) fn print(&self) {
        println!("{}\n", self.title);
        let column = |index: usize| self.rows.iter().filter_map(move |row| row.get(index));
        let columns = self.rows.first().map_or(0, Vec::len);
        let widths: Vec<_> =
            (0..columns).map(|index| column(index).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(index, (cell, width))| match index {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            println!("{}", cells.collect::<Vec<_>>().join("  "));
        }
        println!();
    }
}
