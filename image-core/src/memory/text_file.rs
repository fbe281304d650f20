//! A small text file that goes into the record of whoever read it.

use std::path::{Path, PathBuf};

use nephrite_volume::FileHash;

/// A text file as it was read.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Hexadecimal.
    pub(crate) sha256: String,
}

impl TextFile {
    /// Of the bytes of a file; `None` if these are no UTF-8.
    pub(crate) fn new(path: &Path, bytes: Vec<u8>) -> Option<TextFile> {
        let sha256 = FileHash::of(&bytes).to_string();
        let text = String::from_utf8(bytes).ok()?;
        Some(TextFile {
            path: path.to_owned(),
            text,
            sha256,
        })
    }
}
