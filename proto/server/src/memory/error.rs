//! Why a request does not get the memory that it expects to need.

use nephrite_types::{Cancelled, Coded, ErrorCode};

use super::AllowanceSource;

/// Why a request does not get its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// More than this process may ever have.
    #[error("{what} needs about {needed} bytes of memory, this process may take {available} ({bound})")]
    Over {
        /// What was asked for.
        what: &'static str,
        /// At its peak.
        needed: u64,
        /// For all requests together.
        available: u64,
        /// Who says so.
        bound: AllowanceSource,
    },
    /// A request turned out larger than it looked, and others hold the rest.
    #[error(
        "{what} turned out to need about {needed} bytes of memory, more than the {free} that are free now: try again later"
    )]
    Taken {
        /// What was asked for.
        what: &'static str,
        /// At its peak.
        needed: u64,
        /// Its own reservation and what nobody holds.
        free: u64,
    },
    /// It was told to stop while it waited.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Coded for MemoryError {
    fn code(&self) -> ErrorCode {
        match self {
            MemoryError::Over { .. } => ErrorCode::LimitExceeded,
            MemoryError::Taken { .. } => ErrorCode::Overloaded,
            MemoryError::Cancelled(cancelled) => cancelled.code(),
        }
    }
}
