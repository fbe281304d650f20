//! What every error type of ours has in common: a code, and one line for a person.

use std::error::Error;

use crate::{Cancelled, ErrorCode};

/// An error that says how a caller can act on it.
pub trait Coded: Error + Send + Sync + 'static {
    /// How a caller can act on it.
    fn code(&self) -> ErrorCode;

    /// The field of a request that the message names, such as `tile_step_size`, for edges where it has another name.
    fn field(&self) -> Option<&'static str> {
        None
    }
}

impl Coded for Cancelled {
    fn code(&self) -> ErrorCode {
        match self {
            Cancelled::ByCaller => ErrorCode::Cancelled,
            Cancelled::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        }
    }
}

/// A message and those of its causes that it does not contain already, separated by colons.
pub fn with_causes(mut message: String, mut cause: Option<&(dyn Error + 'static)>) -> String {
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}
