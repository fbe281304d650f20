//! A file whose header has been read.

use std::path::PathBuf;

use nephrite_types::FileIdentity;

use super::record::ImageFile;
use crate::file_error::FileFault;

/// A file with its header.
pub(super) struct Headed {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) identity: FileIdentity,
    pub(super) syntax: String,
    /// If it is not decoded.
    pub(super) unsupported: Option<FileFault>,
    pub(super) image: ImageFile,
}
