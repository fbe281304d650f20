//! What a service, and not the request, did wrong.

use std::time::Duration;

use nephrite_types::{Coded, ErrorCode, count};

/// What a service did instead of giving a result. The step fails, alone; nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceFault {
    /// It said why it refuses the request, or that its work failed.
    #[error("{message}")]
    Refused {
        /// How a caller can act on it.
        code: ErrorCode,
        /// In its own words.
        message: String,
    },
    /// Nobody answers at its address, or it went away during the call; trying again did not help.
    #[error("unavailable after {}: {reason}", count(u64::from(*attempts), "attempt"))]
    Unavailable {
        /// Calls that were made.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// It did not answer in time.
    #[error("no answer within {:.1} s", waited.as_secs_f64())]
    DeadlineExceeded {
        /// How long it was waited for.
        waited: Duration,
    },
    /// It sent more than any reply may hold.
    #[error("its reply is over {limit} bytes")]
    ReplyTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// It sent what is no reply, or a mask that is none.
    #[error("malformed reply: {reason}")]
    MalformedReply {
        /// What is wrong with it.
        reason: String,
    },
    /// It gave another thing than its description promises, or named a file where it has no business.
    #[error("it broke its contract: {reason}")]
    Contract {
        /// How.
        reason: String,
    },
    /// It describes itself in a way that contradicts itself.
    #[error("it does not describe itself validly: {reason}")]
    Description {
        /// What is wrong.
        reason: String,
    },
    /// Its address is none.
    #[error("not an address: {reason}")]
    Endpoint {
        /// Why.
        reason: String,
    },
}

impl Coded for ServiceFault {
    fn code(&self) -> ErrorCode {
        match self {
            ServiceFault::Refused { code, .. } => *code,
            ServiceFault::Unavailable { .. } => ErrorCode::Unavailable,
            ServiceFault::DeadlineExceeded { .. } => ErrorCode::DeadlineExceeded,
            ServiceFault::ReplyTooLarge { .. } => ErrorCode::LimitExceeded,
            ServiceFault::Endpoint { .. } => ErrorCode::InvalidArgument,
            // The service must be mended; the request is as it should be.
            ServiceFault::MalformedReply { .. }
            | ServiceFault::Contract { .. }
            | ServiceFault::Description { .. } => ErrorCode::Environment,
        }
    }
}
