//! Files that shall be stored at a server: looked at once, opened again when they are sent.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nephrite_root::{PathError, Root};
use nephrite_types::FileIdentity;

use crate::at::At;
use crate::error::DicomWebError;
use crate::file_meta::{MAX_META, file_meta};
use crate::settings::TransferLimits;
use crate::spool::disk;
use crate::uid::Uid;

/// The class of a DICOMDIR, which is about files and is none of a study.
const MEDIA_DIRECTORY: &str = "1.2.840.10008.1.3.10";

/// A file that shall be sent.
#[derive(Debug, Clone)]
pub(crate) struct StowFile {
    pub(crate) path: PathBuf,
    pub(crate) instance: Uid,
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
        let mut head = Vec::new();
        let read = file.take(MAX_META as u64).read_to_end(&mut head);
        read.map_err(|source| disk(&shown, source))?;
        let wrong = |reason: &str| DicomWebError::NotTheInstance {
            at: at.clone(),
            what: shown.clone(),
            reason: reason.to_owned(),
        };
        let meta = file_meta(&head).map_err(wrong)?;
        if meta.class.as_str() == MEDIA_DIRECTORY {
            return Err(wrong("a DICOMDIR is no instance of a study"));
        }
        Ok(StowFile {
            path: path.to_owned(),
            instance: meta.instance,
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

/// True of a DICOM file that holds an instance of a study; for folders, in which other files may lie, too.
///
/// # Errors
/// [`PathError`]; what the system says.
pub fn is_instance(root: &Root, path: &Path) -> Result<bool, PathError> {
    let file = root.open_file(path)?;
    let mut head = Vec::new();
    let read = file.take(MAX_META as u64).read_to_end(&mut head);
    read.map_err(|source| PathError::Io {
        path: path.to_owned(),
        source,
    })?;
    // What begins as a DICOM file and is broken is for the errors of sending it.
    Ok(crate::file_meta::is_dicom(&head)
        && file_meta(&head).map_or(true, |meta| meta.class.as_str() != MEDIA_DIRECTORY))
}
