//! Why a mask service does not start, or has ended.

use nephrite_root::PathError;
use nephrite_server::{ConfigError, ProbeError, ServerError};
use nephrite_types::{Coded, ErrorCode};

use crate::RegistryError;

/// Why a service does not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The configuration file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The root folder cannot be opened.
    #[error("root: {0}")]
    Root(#[from] PathError),
    /// An operation cannot be registered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The configuration names an operation that this program does not have.
    #[error("operations: {name:?} is unknown, known are {}", known.join(", "))]
    UnknownOperation {
        /// As configured.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It cannot listen, or broke down.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A running one does not serve.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl Coded for ServiceError {
    fn code(&self) -> ErrorCode {
        match self {
            ServiceError::Config(error) => error.code(),
            ServiceError::Root(error) => error.code(),
            ServiceError::Registry(_) => ErrorCode::Internal,
            ServiceError::UnknownOperation { .. } => ErrorCode::InvalidArgument,
            ServiceError::Server(error) => error.code(),
            ServiceError::Probe(error) => error.code(),
        }
    }
}
