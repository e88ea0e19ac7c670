//! Text in columns.

use std::fmt::Write;
use std::ops::Range;

/// Rows of cells under a heading. Columns of numbers are aligned to the right, the others to the
/// left.
#[derive(Debug)]
pub struct Table {
    heading: Vec<&'static str>,
    numbers: Range<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose columns `numbers`, counted from 0, hold numbers.
    #[must_use]
    pub fn new(heading: &[&'static str], numbers: Range<usize>) -> Self {
        Self { heading: heading.to_vec(), numbers, rows: Vec::new() }
    }

    /// Adds a row, one cell a column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text, each line indented by two columns.
    #[must_use]
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.heading.len()).map(|column| self.width(column)).collect();
        let heading: Vec<String> = self.heading.iter().map(|text| (*text).to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::from("  ");
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                // Writing to a string cannot fail.
                let _ = if self.numbers.contains(&column) {
                    write!(line, "{cell:>width$}  ")
                } else {
                    write!(line, "{cell:<width$}  ")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(self.heading[column].chars().count())
    }
}
