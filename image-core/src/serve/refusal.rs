use nephrite_proto::ConvertError;
use nephrite_proto::status::to_status;
use nephrite_types::ErrorCode;
use tonic::Status;

use crate::CoreError;

/// Why a request gets an error instead of a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The message says what no request may say.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The work failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// Models are still loading.
    #[error("the server is starting: its models are not loaded yet")]
    Starting,
    /// The server drains.
    #[error("the server is shutting down")]
    Stopping,
    /// All places are taken.
    #[error("too many requests run and wait already, try again later")]
    Overloaded,
    /// The deadline passed.
    #[error("the deadline passed")]
    DeadlineExceeded,
    /// The caller went away while the request waited.
    #[error("cancelled by the caller")]
    CallerGone,
    /// The `grpc-timeout` header is not one.
    #[error("grpc-timeout is malformed")]
    Timeout,
    /// The work panicked; the panic is in the log.
    #[error("a bug in nephrite: the request panicked")]
    Panicked,
}

impl Refusal {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Refusal::Convert(error) => error.code(),
            Refusal::Core(error) => error.code(),
            Refusal::Starting | Refusal::Stopping => ErrorCode::Unavailable,
            Refusal::Overloaded => ErrorCode::Overloaded,
            Refusal::DeadlineExceeded => ErrorCode::DeadlineExceeded,
            Refusal::CallerGone => ErrorCode::Cancelled,
            Refusal::Timeout => ErrorCode::InvalidArgument,
            Refusal::Panicked => ErrorCode::Internal,
        }
    }
}

impl From<Refusal> for Status {
    /// The message and those of its causes that it does not contain already.
    fn from(refusal: Refusal) -> Self {
        let mut message = refusal.to_string();
        let mut cause = std::error::Error::source(&refusal);
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        to_status(refusal.code(), &message)
    }
}
