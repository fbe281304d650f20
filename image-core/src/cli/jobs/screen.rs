//! The terminal at standard output: its size, and lines that are replaced again and again.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// Of a terminal that does not say how large it is.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// What fits on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// The size of the terminal at standard output; `None` if there is none, or it does not say.
fn size() -> Option<Size> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    let (columns, rows) = (size.ws_col.into(), size.ws_row.into());
    (columns > 0 && rows > 0).then_some(Size { columns, rows })
}

/// Columns of the terminal at standard output.
pub(super) fn columns() -> Option<usize> {
    size().map(|size| size.columns)
}

/// The size of the terminal at standard output, or that of most.
pub(super) fn size_or_usual() -> Size {
    size().unwrap_or(USUAL)
}

/// Lines of a terminal that are replaced again and again.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Lines above the cursor that are ours.
    n_lines: usize,
}

impl Screen {
    /// What puts these lines where those before were. Lines that do not fit are counted in the last one. The terminal does not
    /// wrap them: where it did, the cursor would not find back.
    pub(super) fn frame(&mut self, lines: &[String], rows: usize) -> String {
        let room = rows.saturating_sub(1).max(1); // the cursor is on a line of its own
        let n_shown = match lines.len() {
            n if n <= room => n,
            _ => room - 1,
        };
        let mut text = String::new(); // writing to a string cannot fail
        if self.n_lines > 0 {
            let _ = write!(text, "\x1b[{}A", self.n_lines);
        }
        text.push_str("\r\x1b[J\x1b[?7l");
        for line in &lines[..n_shown] {
            let _ = writeln!(text, "{line}");
        }
        if n_shown < lines.len() {
            let _ = writeln!(text, "… and {} more", lines.len() - n_shown);
        }
        text.push_str("\x1b[?7h");
        self.n_lines = lines.len().min(room);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_replaces_the_one_before() {
        let mut screen = Screen::default();
        let lines = ["a", "b", "c"].map(str::to_owned);
        let first = screen.frame(&lines, 24);
        assert_eq!(first, "\r\x1b[J\x1b[?7la\nb\nc\n\x1b[?7h");
        let second = screen.frame(&lines[..1], 24);
        assert_eq!(second, "\x1b[3A\r\x1b[J\x1b[?7la\n\x1b[?7h");
        assert!(screen.frame(&[], 24).starts_with("\x1b[1A"));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut screen = Screen::default();
        let lines: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert!(screen.frame(&lines, 11).contains("\n9\n"));
        let frame = screen.frame(&lines, 5);
        assert!(frame.contains("0\n1\n2\n… and 7 more\n"), "{frame:?}");
        assert!(screen.frame(&lines, 1).starts_with("\x1b[4A"));
        assert!(screen.frame(&lines, 0).contains("… and 10 more"));
    }
}
