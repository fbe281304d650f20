use nephrite_types::{Coded, ErrorCode};

/// Why the demo cannot show its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
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
    Encode(#[from] png::EncodingError),
}

impl Coded for DemoError {
    fn code(&self) -> ErrorCode {
        match self {
            DemoError::Shape { .. } | DemoError::NoScan => ErrorCode::InvalidArgument,
            DemoError::Encode(_) => ErrorCode::Internal,
        }
    }
}
