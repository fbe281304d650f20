//! What a call to another process ended with, told apart from what the transport makes up.

use std::error::Error as _;

use nephrite_types::{Coded, ErrorCode, with_causes};
use tonic::{Code, Status, TimeoutExpired};

use crate::status::{ERROR_CODE_KEY, error_code};

/// Bytes of a message; it comes from outside.
const MAX_MESSAGE_CHARS: usize = 4096;

/// What the other side refused, or why it could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    /// How a caller can act on it. [`ErrorCode::Unavailable`] if nobody is there, or the connection broke during the
    /// call, or the other side hangs.
    pub code: ErrorCode,
    /// What the other side said, or the transport.
    pub message: String,
}

impl Coded for RemoteError {
    fn code(&self) -> ErrorCode {
        self.code
    }
}

impl From<Status> for RemoteError {
    fn from(status: Status) -> Self {
        // tonic's own timer of a deadline, on this side, speaks of a cancel.
        let timer = status.code() == Code::Cancelled && status.message() == TimeoutExpired(()).to_string();
        let named = status.metadata().contains_key(ERROR_CODE_KEY);
        let code = match error_code(&status) {
            _ if timer => ErrorCode::DeadlineExceeded,
            // Made by the transport on this side; a code of ours would stand in it.
            ErrorCode::Internal | ErrorCode::Cancelled if !named && status.source().is_some() => {
                ErrorCode::Unavailable
            }
            code => code,
        };
        RemoteError {
            code,
            message: words(&status),
        }
    }
}

/// The message and its causes.
fn words(status: &Status) -> String {
    let mut text = with_causes(status.message().to_owned(), status.source());
    if text.is_empty() {
        text = format!("{:?}", status.code());
    }
    text.chars().take(MAX_MESSAGE_CHARS).collect()
}
