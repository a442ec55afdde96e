//! Text that fits a terminal of 80 columns.

use std::fmt::Write as _;

/// The columns there are.
pub(super) const WIDTH: usize = 80;

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Aligned columns, two spaces between them, each as wide as its widest cell. A last column of
/// words that would go beyond 80 columns is cut off with `…`.
pub(super) struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
    indent: usize,
    width: usize,
}

impl Table {
    /// A table with a heading for each column.
    pub(super) fn new(indent: usize, columns: &[(&str, Align)]) -> Self {
        let (heads, aligns): (Vec<String>, Vec<Align>) =
            columns.iter().map(|(head, align)| ((*head).to_owned(), *align)).unzip();
        Self { aligns, rows: vec![heads], indent, width: WIDTH }
    }

    /// The same table for more columns than a terminal surely has.
    pub(super) fn within(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// Adds a row; missing cells are empty.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines.
    pub(super) fn text(&self) -> String {
        let widths: Vec<usize> = (0..self.aligns.len())
            .map(|i| self.rows.iter().filter_map(|row| row.get(i)).map(|c| columns(c)).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (i, (align, width)) in self.aligns.iter().zip(&widths).enumerate() {
                let cell = row.get(i).map_or("", String::as_str);
                let gap = if i > 0 { "  " } else { "" };
                match align {
                    Align::Left => _ = write!(line, "{gap}{cell:<width$}"),
                    Align::Right => _ = write!(line, "{gap}{cell:>width$}"),
                }
            }
            text.push_str(&cut(line.trim_end(), self.width));
            text.push('\n');
        }
        text
    }
}

/// Cut to so many columns.
fn cut(line: &str, width: usize) -> String {
    if columns(line) <= width {
        return line.to_owned();
    }
    let mut kept: String = line.chars().take(width.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    kept + "…"
}

/// Characters stand for columns: the words here are narrow ones.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// `text` as lines of at most 80 columns, with `first` before the first and spaces before the
/// others. Words longer than that stay whole: they may be addresses or commands to copy.
pub(super) fn wrap(first: &str, text: &str) -> String {
    let indent = " ".repeat(columns(first));
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let word = clean(word);
        if !empty && columns(&line) + 1 + columns(&word) > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(&word);
        empty = false;
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}

/// Without anything that a terminal might act upon.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_cut() {
        let mut table =
            Table::new(2, &[("A", Align::Left), ("NUMBER", Align::Right), ("", Align::Left)]);
        table.row(["longer".into(), "7".into(), "x".repeat(100)]);
        table.row(["é".into()]);
        let expected = format!("  A       NUMBER\n  longer       7  {}…\n  é\n", "x".repeat(61));
        assert_eq!(table.text(), expected);
        let wider = table.within(82).text();
        assert!(
            wider.contains(&format!("{}…", "x".repeat(63))) && !wider.contains(&"x".repeat(64))
        );
    }

    #[test]
    fn long_text_is_wrapped() {
        let text = wrap("  - ", &"word ".repeat(30));
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| columns(line) <= WIDTH));
        assert!(text.starts_with("  - word word ") && text.contains("\n    word "));
        assert_eq!(wrap("a ", ""), "a\n");
        assert_eq!(wrap("", &"x".repeat(100)), format!("{}\n", "x".repeat(100)));
        assert_eq!(wrap("", "a\x1b[31mb"), "a[31mb\n");
    }
}
