//! Standard output of commands that go on for long: each piece is there at once, and a reader that went away ends the command.

use std::io::Write as _;

/// Prints to standard output at once; false if its reader went away.
pub(super) fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
