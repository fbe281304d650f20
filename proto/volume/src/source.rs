//! What the bytes of a volume come from: one file, or a header and the file that it names.

use std::fs::File;
use std::io::Read;

/// Bytes of a file, from its start.
pub(crate) trait Source: Read {
    /// What follows is decompressed, so that a reader which does more than read has time beside that.
    fn decompressed_from_here(&mut self) {}
}

impl Source for &File {}
impl Source for &[u8] {}

impl<S: Source> Source for &mut S {
    fn decompressed_from_here(&mut self) {
        (**self).decompressed_from_here();
    }
}

/// The files of a volume as its decoder takes them.
pub(crate) struct Sources<'a, S> {
    pub(crate) header: S,
    /// Of the header's file, bytes.
    pub(crate) size: u64,
    /// What the header names, if it names one.
    pub(crate) data: Option<DataSource<'a, S>>,
}

/// The file with the voxels.
pub(crate) struct DataSource<'a, S> {
    /// As the header called it when the file was opened.
    pub(crate) name: &'a str,
    pub(crate) source: S,
    /// Bytes.
    pub(crate) size: u64,
}

impl<S> Sources<'_, S> {
    /// A file that holds all.
    pub(crate) fn one(source: S, size: u64) -> Self {
        Sources {
            header: source,
            size,
            data: None,
        }
    }
}
