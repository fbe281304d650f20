use nephrite_conformance::KitError;
use nephrite_image_core::case::CaseError;
use nephrite_image_core::server::ServeError;
use nephrite_image_core::{CoreError, PathError};
use nephrite_kernel::OperationError;
use nephrite_proto::RemoteError;
use nephrite_server::ProbeError;
use nephrite_types::ErrorCode;
use nephrite_volume::VolumeError;

/// Why a command ends without its result: what is printed, and what the exit code follows from.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Failure {
    /// For what only a command line can say wrongly.
    pub(crate) fn wrong(option: &str, found: &str, expected: &str) -> Self {
        Failure {
            code: ErrorCode::InvalidArgument,
            message: format!("{option} is {found}, expected {expected}"),
        }
    }

    pub(crate) fn new(code: ErrorCode, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Failure { code, message }
    }
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        Failure::new(error.code(), &error)
    }
}

impl From<CaseError> for Failure {
    fn from(fault: CaseError) -> Self {
        Failure::new(fault.code(), &fault)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Failure::new(error.code, &error)
    }
}

impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Self {
        Failure::new(error.code(), &error)
    }
}

impl From<KitError> for Failure {
    fn from(error: KitError) -> Self {
        Failure::new(error.code(), &error)
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        Failure::new(error.code(), &error)
    }
}

impl From<VolumeError> for Failure {
    fn from(error: VolumeError) -> Self {
        Failure::new(error.code(), &error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Failure::new(error.code(), &error)
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Failure::new(error.code(), &error)
    }
}
