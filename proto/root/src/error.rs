//! Why a path does not become an open file, sorted by what a caller can do.

use std::io;
use std::path::{Path, PathBuf};

use nephrite_types::{Coded, ErrorCode};

/// A path that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing is there.
    #[error("{}: no such file or folder", path.display())]
    NotFound {
        /// As the caller named it.
        path: PathBuf,
    },
    /// A folder, device or pipe where a regular file is needed.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// As the caller named it.
        path: PathBuf,
    },
    /// A file where a folder is needed.
    #[error("{}: not a folder", path.display())]
    NotAFolder {
        /// As the caller named it.
        path: PathBuf,
    },
    /// The path, or a symbolic link on it, leads out of the configured root.
    #[error("{}: leads out of the configured root", path.display())]
    OutsideRoot {
        /// As the caller named it.
        path: PathBuf,
    },
    /// No file can be created in the folder.
    #[error("{}: folder is not writable ({source})", path.display())]
    NotWritable {
        /// As the caller named it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path ends in no usable file name.
    #[error("{path:?}: not a usable file name: it {reason}")]
    FileName {
        /// As the caller named it.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The root folder itself is not there: removed, or not mounted.
    #[error("the root folder {} is gone: {source}", path.display())]
    RootGone {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused for another reason.
    #[error("{}: {source}", path.display())]
    Io {
        /// As the caller named it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PathError {
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => PathError::NotFound { path },
            io::ErrorKind::NotADirectory => PathError::NotAFolder { path },
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => PathError::FileName {
                path,
                reason: "is too long, or has a NUL",
            },
            // cap-std reports an escape without an errno; a real EACCES carries one.
            io::ErrorKind::PermissionDenied if source.raw_os_error().is_none() => {
                PathError::OutsideRoot { path }
            }
            _ => PathError::Io { path, source },
        }
    }
}

impl Coded for PathError {
    fn code(&self) -> ErrorCode {
        match self {
            PathError::NotFound { .. } => ErrorCode::NotFound,
            PathError::NotAFile { .. } | PathError::NotAFolder { .. } => ErrorCode::InvalidInput,
            PathError::OutsideRoot { .. } => ErrorCode::PermissionDenied,
            PathError::FileName { .. } => ErrorCode::InvalidArgument,
            PathError::RootGone { .. } => ErrorCode::Unavailable,
            PathError::NotWritable { .. } | PathError::Io { .. } => ErrorCode::Environment,
        }
    }
}
