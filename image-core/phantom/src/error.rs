//! Why a phantom is not written.

use std::io;

use nephrite_types::{Coded, ErrorCode};

/// Why a demo model could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhantomError {
    /// A folder could not be made or a file not written.
    #[error("demo model: cannot write {file}: {source}")]
    Write {
        /// Path beneath the folder given.
        file: String,
        /// As the system says it.
        source: io::Error,
    },
}

impl Coded for PhantomError {
    fn code(&self) -> ErrorCode {
        match self {
            PhantomError::Write { .. } => ErrorCode::Environment,
        }
    }
}
