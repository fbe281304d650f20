//! Why a folder gave no scan.

use std::io;

use nephrite_types::{Cancelled, Coded, ErrorCode, OutOfMemory};
use nephrite_volume::VolumeError;

use crate::file_error::FileError;
use crate::series_fault::{SeriesFault, some};

/// What can go wrong while a folder is listed or a series is read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DicomError {
    /// One file is at fault.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder cannot be listed.
    #[error("{name} cannot be listed: {source}")]
    Folder {
        /// As named by the caller.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder is over a limit.
    #[error("{name} has more than {limit} {what}")]
    FolderTooLarge {
        /// As named by the caller.
        name: String,
        /// Files, bytes, folders within folders.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// No image of a scan lies in the folder.
    #[error(
        "{name} holds no DICOM series that can be read, in {n_files} files{}",
        and_broken(broken)
    )]
    NoImages {
        /// As named by the caller.
        name: String,
        /// Files that lie there.
        n_files: usize,
        /// Those that begin as DICOM files do, and cannot be read.
        broken: Vec<String>,
    },
    /// Which series is meant?
    #[error("{name} holds {} series; name one of {}", ids.len(), ids.join(", "))]
    SeveralSeries {
        /// As named by the caller.
        name: String,
        /// What they are called.
        ids: Vec<String>,
    },
    /// No series has this name.
    #[error("{name} holds no series {id}; there are {}", ids.join(", "))]
    UnknownSeries {
        /// As named by the caller.
        name: String,
        /// As asked for.
        id: String,
        /// What there is.
        ids: Vec<String>,
    },
    /// The series is not read.
    #[error("series {series}: {fault}")]
    Series {
        /// What it is called.
        series: String,
        /// Why.
        #[source]
        fault: SeriesFault,
    },
    /// The scan is over a limit, or cannot be placed.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// There is no memory for the scan.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Behind what is said of all files.
fn and_broken(broken: &[String]) -> String {
    match broken {
        [] => String::new(),
        broken => format!("; broken: {}", some(broken)),
    }
}

impl Coded for DicomError {
    /// Which series is meant is for the caller to say: [`ErrorCode::InvalidArgument`].
    fn code(&self) -> ErrorCode {
        match self {
            DicomError::File(error) => error.code(),
            DicomError::Folder { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorCode::NotFound
            }
            DicomError::Folder { .. } => ErrorCode::Environment,
            DicomError::FolderTooLarge { .. } => ErrorCode::LimitExceeded,
            DicomError::NoImages { .. } => ErrorCode::InvalidInput,
            DicomError::SeveralSeries { .. } => ErrorCode::InvalidArgument,
            DicomError::UnknownSeries { .. } => ErrorCode::NotFound,
            DicomError::Series { fault, .. } => match fault {
                SeriesFault::File { fault, .. } => fault.code(),
                _ => ErrorCode::InvalidInput,
            },
            DicomError::Volume(error) => error.code(),
            DicomError::OutOfMemory(error) => error.code(),
            DicomError::Cancelled(cancelled) => cancelled.code(),
        }
    }
}
