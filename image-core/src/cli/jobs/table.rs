//! Tables for the terminal.

/// Rows beneath a header; columns are two spaces apart.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(header: [&'static str; N]) -> Self {
        Table {
            header,
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)));
    }

    /// The lines, the header first; cut to so many columns of the terminal.
    pub(super) fn lines(&self, columns: Option<usize>) -> Vec<String> {
        let mut widths = self.header.map(width);
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        let header = line(self.header, &widths);
        let rows = self.rows.iter().map(|row| line(row, &widths));
        let lines = std::iter::once(header).chain(rows);
        lines
            .map(|line| match columns {
                Some(columns) => cut(&line, columns),
                None => line,
            })
            .collect()
    }

    /// The lines as one text.
    pub(super) fn to_text(&self, columns: Option<usize>) -> String {
        let mut text = self.lines(columns).join("\n");
        text.push('\n');
        text
    }
}

fn line(cells: impl IntoIterator<Item = impl AsRef<str>>, widths: &[usize]) -> String {
    let cells = cells.into_iter().zip(widths);
    let padded = cells.map(|(cell, width)| format!("{:width$}", cell.as_ref()));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Text that comes from elsewhere, without what would move the cursor.
pub(super) fn plain(text: &str) -> String {
    let visible = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(visible).collect()
}

/// A line that is not longer than so many columns; it ends in `…` if there is more of it.
fn cut(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let kept = line.chars().take(columns.saturating_sub(1));
    kept.chain((columns > 0).then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new(["id", "worker", "output"]);
        let mut row = |cells: [&str; 3]| table.row(cells.map(str::to_owned));
        row(["a1", "kœrn-1", "results/17"]);
        row(["b22", "", ""]);
        table
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let expected = "id   worker  output\n\
                        a1   kœrn-1  results/17\n\
                        b22\n";
        assert_eq!(table().to_text(None), expected);
        let empty: Table<2> = Table::new(["id", "state"]);
        assert_eq!(empty.to_text(Some(80)), "id  state\n");
    }

    #[test]
    fn lines_are_cut_between_characters() {
        let cut_to = |columns| table().lines(Some(columns))[1].clone();
        assert_eq!(cut_to(8), "a1   kœ…");
        assert_eq!(cut_to(23), "a1   kœrn-1  results/17");
        assert_eq!(cut_to(22), "a1   kœrn-1  results/…");
        assert_eq!((cut_to(1), cut_to(0)), ("…".to_owned(), String::new()));
    }

    #[test]
    fn nothing_in_a_cell_moves_the_cursor() {
        let mut table = Table::new(["path"]);
        table.row(["a\x1b[2J\nb".to_owned()]);
        assert_eq!(table.to_text(None), "path\na\u{FFFD}[2J\u{FFFD}b\n");
    }
}
