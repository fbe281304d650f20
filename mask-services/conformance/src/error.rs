//! Why a check cannot begin: no service, no such operation, wrong options.

use std::path::PathBuf;

use nephrite_types::{Coded, ErrorCode};

/// Why a check cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// The address of the service is none.
    #[error("{endpoint}: not an address: {reason}")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// Nobody, or no gRPC service, answers at the address.
    #[error("{endpoint}: no gRPC service answers: {reason}")]
    Unavailable {
        /// As given.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The service has no operation of the name that was asked for.
    #[error("operation {name:?} is unknown, known are {}", known.join(", "))]
    UnknownOperation {
        /// As given.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A value was given for a parameter that no operation has.
    #[error("no operation has a parameter {name:?}")]
    UnknownParameter {
        /// As given.
        name: String,
    },
    /// A value that was given is none of its parameter.
    #[error("parameter {name} is {found:?}, expected {expected}")]
    Value {
        /// Of the parameter.
        name: String,
        /// As given.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A folder or file that the cases need cannot be made.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Coded for KitError {
    fn code(&self) -> ErrorCode {
        match self {
            KitError::Endpoint { .. }
            | KitError::UnknownOperation { .. }
            | KitError::UnknownParameter { .. }
            | KitError::Value { .. } => ErrorCode::InvalidArgument,
            KitError::Unavailable { .. } => ErrorCode::Unavailable,
            KitError::Folder { .. } => ErrorCode::Environment,
        }
    }
}
