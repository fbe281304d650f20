use std::error::Error;

use nephrite_proto::ConvertError;
use nephrite_proto::status::to_status;
use nephrite_types::{Cancelled, ErrorCode};
use tonic::Status;

/// An error that says how a caller can act on it.
pub trait Coded: Error + Send + Sync + 'static {
    /// How a caller can act on it.
    fn code(&self) -> ErrorCode;
}

impl Coded for ConvertError {
    fn code(&self) -> ErrorCode {
        ConvertError::code(self)
    }
}

/// Why a request gets an error instead of a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The message says what no request may say, or the work failed.
    #[error("{source}")]
    Failed {
        /// How a caller can act on it.
        code: ErrorCode,
        /// What failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server warms up.
    #[error("the server is starting")]
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
    /// The caller went away.
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
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Refusal::Failed { code, .. } => *code,
            Refusal::Starting | Refusal::Stopping => ErrorCode::Unavailable,
            Refusal::Overloaded => ErrorCode::Overloaded,
            Refusal::DeadlineExceeded => ErrorCode::DeadlineExceeded,
            Refusal::CallerGone => ErrorCode::Cancelled,
            Refusal::Timeout => ErrorCode::InvalidArgument,
            Refusal::Panicked => ErrorCode::Internal,
        }
    }
}

impl<E: Coded> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal::Failed {
            code: error.code(),
            source: Box::new(error),
        }
    }
}

impl From<Cancelled> for Refusal {
    fn from(cancelled: Cancelled) -> Self {
        match cancelled {
            Cancelled::ByCaller => Refusal::CallerGone,
            Cancelled::DeadlineExceeded => Refusal::DeadlineExceeded,
        }
    }
}

impl From<Refusal> for Status {
    /// The message and those of its causes that it does not contain already.
    fn from(refusal: Refusal) -> Self {
        let mut message = refusal.to_string();
        let mut cause = refusal.source();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer")]
    struct Outer(#[source] std::io::Error);

    impl Coded for Outer {
        fn code(&self) -> ErrorCode {
            ErrorCode::Environment
        }
    }

    #[test]
    fn a_status_says_the_causes_that_the_message_does_not() {
        let status = Status::from(Refusal::from(Outer(std::io::Error::other("the disk"))));
        assert_eq!(status.message(), "the outer: the disk");
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        assert_eq!(
            Status::from(Refusal::Stopping).message(),
            "the server is shutting down"
        );
    }
}
