//! Turns places in a text into lines and columns.

/// Where the lines of a text begin.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        // A byte order mark takes no column.
        let first = text.len() - text.trim_start_matches('\u{feff}').len();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines {
            text,
            starts: std::iter::once(first)
                .chain(ends.map(|(idx, _)| idx + 1))
                .collect(),
        }
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(crate) fn place(&self, byte: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let before = self.text.get(self.starts[line - 1]..byte).unwrap_or("");
        (line, before.chars().count() + 1)
    }
}
