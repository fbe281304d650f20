//! How a command ends that waited for a job.

use nephrite_proto::convert::error_code_of;
use nephrite_proto::v1;
use nephrite_types::ErrorCode;

use crate::cli::failure::Failure;

/// True if nothing more happens to a job by itself.
pub(super) fn has_ended(state: v1::JobState) -> bool {
    match state {
        v1::JobState::Unspecified | v1::JobState::Queued | v1::JobState::Running => false,
        v1::JobState::Succeeded
        | v1::JobState::Failed
        | v1::JobState::Cancelled
        | v1::JobState::Expired
        | v1::JobState::Dead => true,
    }
}

/// A job that has ended, as the outcome of the command that waited for it.
///
/// # Errors
/// Why the job did not succeed.
pub(super) fn of(job: &v1::Job) -> Result<(), Failure> {
    let (code, what) = match job.state() {
        v1::JobState::Succeeded => return Ok(()),
        v1::JobState::Failed => (code_of_error(job), "failed"),
        v1::JobState::Dead => (code_of_error(job), "was given up"),
        v1::JobState::Cancelled => (ErrorCode::Cancelled, "was cancelled"),
        v1::JobState::Expired => (ErrorCode::DeadlineExceeded, "did not end before its deadline"),
        v1::JobState::Queued | v1::JobState::Running | v1::JobState::Unspecified => {
            (ErrorCode::Internal, "has not ended")
        }
    };
    let why = job.error.as_ref().map(|error| format!(": {}", error.message));
    Err(Failure {
        code,
        message: format!("job {} {what}{}", job.id, why.unwrap_or_default()),
    })
}

fn code_of_error(job: &v1::Job) -> ErrorCode {
    let known = job.error.as_ref().and_then(|error| error_code_of(error.code));
    known.unwrap_or(ErrorCode::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::jobs::sample;

    fn exit_code(state: v1::JobState, error: Option<v1::ErrorCode>) -> u8 {
        let job = v1::Job {
            state: state.into(),
            error: error.map(|code| v1::JobError {
                code: code.into(),
                message: "why".to_owned(),
            }),
            ..sample::failed()
        };
        of(&job).map_or_else(|failure| failure.code.exit_code(), |()| 0)
    }

    #[test]
    fn exit_codes_follow_the_state_and_its_error() {
        use v1::ErrorCode::{InvalidModel, LimitExceeded};
        use v1::JobState::{Cancelled, Dead, Expired, Failed, Succeeded};
        assert_eq!(exit_code(Succeeded, None), 0);
        assert_eq!(exit_code(Succeeded, Some(InvalidModel)), 0, "of an earlier try");
        assert_eq!(exit_code(Failed, Some(InvalidModel)), 4);
        assert_eq!(exit_code(Dead, Some(LimitExceeded)), 5);
        assert_eq!(exit_code(Failed, None), 6);
        assert_eq!(exit_code(Cancelled, Some(InvalidModel)), 130);
        assert_eq!(exit_code(Expired, None), ErrorCode::DeadlineExceeded.exit_code());
    }

    #[test]
    fn the_message_says_what_became_of_which_job_and_why() {
        let failure = of(&sample::failed()).unwrap_err();
        let expected = "job 0123456789abcdef0123456789abcdef failed: a.nii.gz: truncated";
        assert_eq!(failure.message, expected);
        assert!(has_ended(v1::JobState::Dead) && !has_ended(v1::JobState::Running));
    }
}
