//! Text in columns.

use std::fmt::Write;

/// Rows of cells under a heading. The last column is as wide as its text; the others are aligned:
/// the columns named as numbers to the right, the others to the left.
#[derive(Debug)]
pub struct Table {
    heading: Vec<&'static str>,
    numbers: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose first `numbers` columns hold numbers.
    #[must_use]
    pub fn new(heading: &[&'static str], numbers: usize) -> Self {
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
                let _ = if column < self.numbers {
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
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(self.heading[column].len())
    }
}
