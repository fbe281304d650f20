//! Why a server does not start.

use nephrite_jobs::JobError;
use nephrite_root::PathError;
use nephrite_server::{ConfigError, MountError, MountFinding, ServerError};
use nephrite_types::{Coded, ErrorCode};

use crate::error::CoreError;

/// Why a server does not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The root folder cannot be opened.
    #[error("root: {0}")]
    Root(#[from] PathError),
    /// What runs the networks does not start, or a configured model cannot be loaded.
    #[error(transparent)]
    Start(#[from] CoreError),
    /// Whether all processes see the same shared volume cannot be found out.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Another process sees another volume.
    #[error("{finding}")]
    OtherVolume {
        /// Which, and what it said.
        finding: MountFinding,
    },
    /// What keeps the jobs cannot be used.
    #[error("jobs: {0}")]
    Jobs(#[from] JobError),
    /// `nephrite worker` without an engine that several processes share.
    #[error(
        "a worker needs [jobs] with engine = \"nats\": with sqlite, the server that has the folder runs its jobs itself"
    )]
    NoSharedEngine,
    /// It cannot listen, or broke down.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Coded for ServeError {
    fn code(&self) -> ErrorCode {
        match self {
            ServeError::Config(error) => error.code(),
            ServeError::Root(error) => error.code(),
            ServeError::Start(error) => error.code(),
            ServeError::Mount(error) => error.code(),
            ServeError::Jobs(error) => error.code(),
            ServeError::NoSharedEngine => ErrorCode::InvalidArgument,
            ServeError::OtherVolume { .. } => ErrorCode::Environment,
            ServeError::Server(error) => error.code(),
        }
    }
}
