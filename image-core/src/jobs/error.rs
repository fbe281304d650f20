//! Why a case is not taken in.

use nephrite_jobs::JobError;
use nephrite_types::{Coded, ErrorCode};

use crate::case::CaseError;

/// Why a case is not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    /// It cannot run.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The engine does not take it.
    #[error(transparent)]
    Job(#[from] JobError),
}

impl Coded for SubmitError {
    fn code(&self) -> ErrorCode {
        match self {
            SubmitError::Case(error) => error.code(),
            SubmitError::Job(error) => error.code(),
        }
    }
}
