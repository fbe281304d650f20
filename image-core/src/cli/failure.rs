//! Why a command ends without its result, in the words of a command line.

use nephrite_types::{Coded, ErrorCode, with_causes};

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
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = with_causes(error.to_string(), error.source());
        if let Some(field) = error.field() {
            message = message.replacen(field, &format!("--{}", field.replace('_', "-")), 1);
        }
        Failure {
            code: error.code(),
            message,
        }
    }
}
