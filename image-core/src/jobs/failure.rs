//! An error of a case as a job keeps it.

use nephrite_jobs::JobFailure;
use nephrite_types::{Coded, ErrorCode, with_causes};

/// The error, and whether another try may help: what was wrong with a machine may be right on the next one; what is wrong
/// with a request, a scan or a model stays wrong.
pub(super) fn failure(error: &impl Coded) -> (JobFailure, bool) {
    let code = error.code();
    let again = match code {
        ErrorCode::Environment
        | ErrorCode::Unavailable
        | ErrorCode::Overloaded
        | ErrorCode::Internal
        | ErrorCode::Cancelled
        // of a call of a service; a job whose own deadline passed is no failure
        | ErrorCode::DeadlineExceeded => true,
        ErrorCode::InvalidArgument
        | ErrorCode::NotFound
        | ErrorCode::InvalidInput
        | ErrorCode::InvalidModel
        | ErrorCode::LimitExceeded
        | ErrorCode::PermissionDenied
        | ErrorCode::AlreadyExists => false,
    };
    let failure = JobFailure {
        code: code.name().to_owned(),
        message: with_causes(error.to_string(), error.source()),
    };
    (failure, again)
}
