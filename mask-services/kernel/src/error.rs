//! Why an operation gives no result, by whose fault it is.

use std::path::PathBuf;

use nephrite_mask_codec::{CodecError, MaskError};
use nephrite_root::PathError;
use nephrite_types::{Cancelled, Coded, ErrorCode};
use nephrite_volume::VolumeError;

use crate::quoted::known_are;
use crate::{ServiceFault, quoted};

/// Why an operation gives an error instead of a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// No operation has this name.
    #[error("unknown operation {}, {}", quoted(name), known_are(known))]
    UnknownOperation {
        /// As asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// This process calls the operation somewhere else, and does not offer it.
    #[error("operation {name} is not offered here: it runs at {place}")]
    Elsewhere {
        /// As asked for.
        name: String,
        /// Name and address.
        place: String,
    },
    /// A required input is not there.
    #[error("input {name} is missing")]
    MissingInput {
        /// Of the input.
        name: String,
    },
    /// The operation has no such input.
    #[error("unknown input {}, {}", quoted(name), known_are(known))]
    UnknownInput {
        /// As given.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// An input that is not a list was given several times.
    #[error("input {name} was given {found} times, expected one mask")]
    RepeatedInput {
        /// Of the input.
        name: String,
        /// How often.
        found: usize,
    },
    /// An input lies on another grid than it must.
    #[error("input {name} lies on another grid than {reference}: {difference}")]
    Geometry {
        /// Of the input.
        name: String,
        /// The input whose grid it must have.
        reference: String,
        /// What differs.
        difference: String,
    },
    /// The operation has no such parameter.
    #[error("unknown parameter {}, {}", quoted(name), known_are(known))]
    UnknownParameter {
        /// As given.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A required parameter was not given.
    #[error("parameter {name} is missing")]
    MissingParameter {
        /// Of the parameter.
        name: String,
    },
    /// A parameter has another type, or lies out of its range.
    #[error("parameter {name} is {found}, expected {expected}")]
    ParameterValue {
        /// Of the parameter.
        name: String,
        /// As given.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// Parameters that each are right make no sense together.
    #[error("parameters {names}: {reason}")]
    ParameterCombination {
        /// Which.
        names: String,
        /// Why not.
        reason: String,
    },
    /// A parameter names a label that the mask does not know.
    #[error("parameter {parameter} names label {}, {}", quoted(label), known_are(known))]
    UnknownLabel {
        /// Of the parameter.
        parameter: String,
        /// As given.
        label: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A text of a parameter names labels in another form than it must.
    #[error("parameter {parameter} has {}: {reason}", quoted(text))]
    LabelText {
        /// Of the parameter.
        parameter: String,
        /// As given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A step on the way needs more than a limit allows.
    #[error("{what} needs {found}, the limit is {limit}")]
    Limit {
        /// What was to be made.
        what: &'static str,
        /// Needed.
        found: u64,
        /// Allowed.
        limit: u64,
    },
    /// Files were asked for without a folder, or of an operation that writes none.
    #[error("artefacts: {reason}")]
    Artefacts {
        /// Why not.
        reason: &'static str,
    },
    /// A file name that leads elsewhere.
    #[error("artefact name {} is not a plain file name", quoted(name))]
    ArtefactName {
        /// As given.
        name: String,
    },
    /// A file cannot be written.
    #[error("{}: {reason}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A mask that cannot be.
    #[error("mask: {0}")]
    Mask(#[from] MaskError),
    /// A message that is no mask.
    #[error("encoded mask: {0}")]
    Codec(#[from] CodecError),
    /// A file that is no label map, or cannot be written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A path that cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The operation gave what its description does not promise.
    #[error("operation {operation} broke its contract: {what}")]
    Contract {
        /// Of the operation.
        operation: String,
        /// What was wrong.
        what: String,
    },
    /// A service answered with an error, not as it must, or not at all.
    #[error("service {service}: {fault}")]
    Service {
        /// Name and address.
        service: String,
        /// What it did.
        fault: ServiceFault,
    },
    /// An operation's own error.
    #[error("{message}")]
    Other {
        /// How a caller can act on it.
        code: ErrorCode,
        /// What went wrong.
        message: String,
    },
    /// A bug.
    #[error("a bug in the operation: {what}")]
    Internal {
        /// Where.
        what: String,
    },
}

impl OperationError {
    /// [`OperationError::Other`] with the code and the words of an error of the operation's own.
    pub fn other(error: impl Coded) -> OperationError {
        OperationError::Other {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

impl Coded for OperationError {
    fn code(&self) -> ErrorCode {
        match self {
            OperationError::UnknownOperation { .. }
            | OperationError::Elsewhere { .. }
            | OperationError::MissingInput { .. }
            | OperationError::UnknownInput { .. }
            | OperationError::RepeatedInput { .. }
            | OperationError::UnknownParameter { .. }
            | OperationError::MissingParameter { .. }
            | OperationError::ParameterValue { .. }
            | OperationError::ParameterCombination { .. }
            | OperationError::UnknownLabel { .. }
            | OperationError::LabelText { .. }
            | OperationError::Artefacts { .. } => ErrorCode::InvalidArgument,
            OperationError::Geometry { .. } => ErrorCode::InvalidInput,
            OperationError::Limit { .. } => ErrorCode::LimitExceeded,
            OperationError::Write { .. } => ErrorCode::Environment,
            OperationError::Mask(error) => error.code(),
            OperationError::Codec(error) => error.code(),
            OperationError::Volume(error) => error.code(),
            OperationError::Path(error) => error.code(),
            OperationError::Cancelled(cancelled) => cancelled.code(),
            OperationError::Service { fault, .. } => fault.code(),
            OperationError::Other { code, .. } => *code,
            OperationError::ArtefactName { .. }
            | OperationError::Contract { .. }
            | OperationError::Internal { .. } => ErrorCode::Internal,
        }
    }
}
