//! Why the demo ends early.

use std::path::PathBuf;

use nephrite_dicom::DicomError;
use nephrite_dicom_objects::ObjectError;
use nephrite_kernel::{MaskError, OperationError};
use nephrite_phantom::PhantomError;
use nephrite_root::PathError;
use nephrite_sample::canvas::EncodingError;
use nephrite_types::{Coded, ErrorCode};
use nephrite_volume::VolumeError;

/// Why the demo cannot show its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The output folder cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A scan or the picture could not be written, or a mask not read.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A model could not be written.
    #[error(transparent)]
    Phantom(#[from] PhantomError),
    /// The masks could not be merged, cleaned or sampled.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// A DICOM series or object could not be read.
    #[error(transparent)]
    Dicom(#[from] DicomError),
    /// A series could not be written, or what an object holds not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A label map could not become runs.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// Series are written into a folder that has none.
    #[error("{}: exists already; the demo of DICOM series makes its folder", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A mask lies on another grid than what it is compared with.
    #[error("mask has shape {found:?} (z, y, x), expected {expected:?}")]
    Shape {
        /// Of the scan or the truth.
        expected: [usize; 3],
        /// Of the mask.
        found: [usize; 3],
    },
    /// There is nothing to draw.
    #[error("a picture needs at least one scan")]
    NoScan,
    /// The picture could not be encoded.
    #[error("cannot encode the picture: {0}")]
    Encode(#[from] EncodingError),
}

impl Coded for DemoError {
    fn code(&self) -> ErrorCode {
        match self {
            DemoError::Path(error) => error.code(),
            DemoError::Volume(error) => error.code(),
            DemoError::Phantom(error) => error.code(),
            DemoError::Operation(error) => error.code(),
            DemoError::Dicom(error) => error.code(),
            DemoError::Object(error) => error.code(),
            DemoError::Mask(error) => error.code(),
            DemoError::Exists { .. } => ErrorCode::AlreadyExists,
            DemoError::Shape { .. } | DemoError::NoScan => ErrorCode::InvalidArgument,
            DemoError::Encode(_) => ErrorCode::Internal,
        }
    }
}
