//! Every way in which a request can end without a result, as a gRPC status.

use std::error::Error;

use nephrite_proto::status::to_status;
use nephrite_types::{Coded, ErrorCode, with_causes};
use tonic::Status;

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
    /// As many work and wait as may.
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

impl From<Refusal> for Status {
    /// The message and those of its causes that it does not contain already.
    fn from(refusal: Refusal) -> Self {
        to_status(
            refusal.code(),
            &with_causes(refusal.to_string(), refusal.source()),
        )
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
