//! What a command prints and writes.

use std::io::Write as _;

use nephrite_image_core::OutputFile;
use nephrite_volume::write_atomically;

use super::failure::Failure;

/// Prints to standard output; a reader that went away (`| head`) is no error.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Indented, with a line break at the end.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("reports have string keys only");
    text.push('\n');
    text
}

/// Writes a report as JSON, whole or not at all.
pub(super) fn write_report<T: serde::Serialize>(output: &OutputFile, report: &T) -> Result<(), Failure> {
    let text = json(report);
    write_atomically(&output.folder, &output.file_name, |out| {
        out.write_all(text.as_bytes())
    })?;
    Ok(())
}
