//! Files that shall be stored at a server: looked at once, opened again when they are sent.

use std::fs::File;
use std::path::{Path, PathBuf};

use nephrite_root::{PathError, Root};
use nephrite_types::FileIdentity;

use crate::at::At;
use crate::error::DicomWebError;
use crate::instance_file::{InstanceFile, has_mark};
use crate::settings::TransferLimits;
use crate::spool::disk;

/// A file that shall be sent.
#[derive(Debug, Clone)]
pub(crate) struct StowFile {
    pub(crate) path: PathBuf,
    pub(crate) uids: InstanceFile,
    identity: FileIdentity,
}

impl StowFile {
    /// Looks at a file: that it is one of DICOM, which instance it holds, how large it is.
    ///
    /// # Errors
    /// [`DicomWebError::Path`], [`DicomWebError::NotTheInstance`], [`DicomWebError::TooLarge`], [`DicomWebError::Disk`].
    pub(crate) fn look(
        root: &Root,
        path: &Path,
        limits: &TransferLimits,
        at: &At,
    ) -> Result<StowFile, DicomWebError> {
        let file = root.open_file(path)?;
        let shown = path.display().to_string();
        let identity = FileIdentity::of(&file).map_err(|source| disk(&shown, source))?;
        if identity.size > limits.max_instance_bytes {
            return Err(DicomWebError::TooLarge {
                at: at.clone(),
                what: "bytes of an instance",
                limit: limits.max_instance_bytes,
                key: "max_instance_bytes",
            });
        }
        let read = InstanceFile::read(&file, limits.max_instance_bytes);
        let read = read.map_err(|reason| DicomWebError::NotTheInstance {
            at: at.clone(),
            what: shown,
            reason,
        })?;
        Ok(StowFile {
            path: path.to_owned(),
            uids: read,
            identity,
        })
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    /// Opens it again; `None` if it is not as it was.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(&self, root: &Root) -> Result<Option<File>, PathError> {
        let file = root.open_file(&self.path)?;
        Ok(self.is_unchanged(&file).then_some(file))
    }

    pub(crate) fn is_unchanged(&self, file: &File) -> bool {
        FileIdentity::of(file).is_ok_and(|identity| identity == self.identity)
    }
}

/// True of a file that begins as DICOM files do, and is no DICOMDIR: for folders, in which other files may lie, too.
///
/// # Errors
/// [`PathError`]
pub fn is_dicom_file(root: &Root, path: &Path) -> Result<bool, PathError> {
    if path
        .file_name()
        .is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"))
    {
        return Ok(false);
    }
    has_mark(&root.open_file(path)?).map_err(|source| PathError::Io {
        path: path.to_owned(),
        source,
    })
}
