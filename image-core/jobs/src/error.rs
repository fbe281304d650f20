//! What can go wrong with jobs.

use std::path::PathBuf;

use nephrite_job_state::{JobId, ListFault, Refused};
use nephrite_types::{Coded, ErrorCode};

/// What can go wrong with jobs.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// There is none of this id, or it was purged.
    #[error("no job is called {id}")]
    Unknown {
        /// As asked for.
        id: JobId,
    },
    /// The key is that of another request.
    #[error("key {key:?} is that of job {id}, which has another request")]
    KeyTaken {
        /// As given.
        key: String,
        /// The job that has it.
        id: JobId,
    },
    /// Another job will write the same result folder.
    #[error("job {id} has the result folder {output}, and has not ended")]
    OutputTaken {
        /// The folder.
        output: String,
        /// The job that has it.
        id: JobId,
    },
    /// So many jobs wait that no more are taken.
    #[error("{limit} jobs wait already; try again later")]
    Full {
        /// How many may.
        limit: usize,
    },
    /// The job is not in the state for that.
    #[error("job {id}: {source}")]
    Refused {
        /// Its id.
        id: JobId,
        /// Why not.
        source: Refused,
    },
    /// A list that cannot be made.
    #[error(transparent)]
    List(#[from] ListFault),
    /// A part of a new job is wrong.
    #[error("{field} {reason}")]
    New {
        /// Which part.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// What keeps the jobs failed: a disk that is full, a folder that cannot be written.
    #[error("{}: {reason}", path.display())]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A file of a newer version.
    #[error("{}: its schema is {found}, this version knows those up to {known}: a newer nephrite wrote it", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// As found.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// Another process has the file.
    #[error("{}: another server keeps its jobs there", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is not on a disk of this machine.
    #[error("{}: the state folder lies on a network file system ({kind}), where SQLite loses what it writes; it needs a local disk", path.display())]
    NetworkFileSystem {
        /// The folder.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// What another server made there is not as this one needs it.
    #[error("{what}: {reason}; another configuration made it")]
    OtherConfiguration {
        /// The stream or consumer.
        what: String,
        /// How it differs.
        reason: String,
    },
    /// Whoever keeps the jobs does not let this process in.
    #[error("{address}: {reason}")]
    NotAllowed {
        /// Where.
        address: String,
        /// What it says.
        reason: String,
    },
    /// Whoever keeps the jobs does not answer now.
    #[error("{address}: {reason}")]
    Unavailable {
        /// Where.
        address: String,
        /// What happened.
        reason: String,
    },
    /// What was read is nothing that nephrite writes.
    #[error("{what}: {reason}")]
    Corrupt {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl JobError {
    /// True if the same call may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(self, JobError::Unavailable { .. } | JobError::Store { .. })
    }

    /// True if a worker has lost its lease.
    pub fn is_lease_over(&self) -> bool {
        matches!(
            self,
            JobError::Unknown { .. }
                | JobError::Refused {
                    source: Refused::LeaseOver { .. },
                    ..
                }
        )
    }
}

impl Coded for JobError {
    fn code(&self) -> ErrorCode {
        match self {
            JobError::Unknown { .. } => ErrorCode::NotFound,
            JobError::KeyTaken { .. } | JobError::OutputTaken { .. } => ErrorCode::AlreadyExists,
            JobError::Full { .. } => ErrorCode::Overloaded,
            JobError::Refused { .. } | JobError::List(_) | JobError::New { .. } => ErrorCode::InvalidArgument,
            JobError::Store { .. }
            | JobError::NewerSchema { .. }
            | JobError::Locked { .. }
            | JobError::NetworkFileSystem { .. }
            | JobError::OtherConfiguration { .. }
            | JobError::NotAllowed { .. }
            | JobError::Corrupt { .. } => ErrorCode::Environment,
            JobError::Unavailable { .. } => ErrorCode::Unavailable,
        }
    }
}
