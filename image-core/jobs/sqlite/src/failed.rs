//! What SQLite says, as an error of jobs.

use std::path::Path;

use nephrite_jobs::JobError;

/// The error, with the file that it is about.
pub(crate) fn failed(path: &Path, error: rusqlite::Error) -> JobError {
    JobError::Store {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
