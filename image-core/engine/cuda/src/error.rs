//! What can go wrong on a card.

use nephrite_types::{Coded, ErrorCode};

/// An error of a card, its libraries, or a network on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// A library cannot be loaded, or does not fit.
    #[error("{library} cannot be used: {reason}")]
    Library {
        /// What the library is called.
        library: &'static str,
        /// What was looked for, or why it does not fit.
        reason: String,
    },
    /// There is no such card.
    #[error("there is no cuda:{ordinal}: cards found: {n_cards}")]
    NoCard {
        /// Number that was asked for.
        ordinal: usize,
        /// How many there are.
        n_cards: usize,
    },
    /// The card is older than what the kernels need.
    #[error("{card} has compute capability {major}.{minor}, and {needed} is needed")]
    TooOld {
        /// Name of the card.
        card: String,
        /// Of its compute capability.
        major: i32,
        /// Of its compute capability.
        minor: i32,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// The driver refuses.
    #[error("{doing}: the driver says {status}")]
    Driver {
        /// What was tried.
        doing: &'static str,
        /// Name of the status.
        status: String,
    },
    /// The card, or what it was doing, is broken: nothing more can be run on it in this process.
    #[error("{card} is lost: {doing}: the driver says {status}")]
    Lost {
        /// `cuda:0`
        card: String,
        /// What was tried; what went wrong may have been queued before.
        doing: &'static str,
        /// Name of the status.
        status: String,
    },
    /// cuDNN refuses.
    #[error("{doing}: cuDNN says {status}: {reason}")]
    Dnn {
        /// What was tried.
        doing: &'static str,
        /// Name of the status.
        status: String,
        /// What cuDNN says last.
        reason: String,
    },
    /// The kernels cannot be compiled.
    #[error("the kernels cannot be compiled: {log}")]
    Compile {
        /// What NVRTC says.
        log: String,
    },
    /// No memory on the card.
    #[error("no memory on {card} for {what}: {bytes} bytes")]
    Memory {
        /// `cuda:0`
        card: String,
        /// What it was for.
        what: &'static str,
        /// How much.
        bytes: usize,
    },
    /// A network that cards cannot run.
    #[error("{layer}: {reason}")]
    Unsupported {
        /// Name of the layer.
        layer: String,
        /// Why.
        reason: &'static str,
    },
    /// Something has another length than it should.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// What.
        what: &'static str,
        /// How many there must be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
}

impl Coded for CudaError {
    fn code(&self) -> ErrorCode {
        match self {
            CudaError::Unsupported { .. } => ErrorCode::InvalidModel,
            CudaError::Length { .. } => ErrorCode::Internal,
            _ => ErrorCode::Environment,
        }
    }
}

impl CudaError {
    /// True if nothing more can be run on the card.
    pub fn is_fatal(&self) -> bool {
        matches!(self, CudaError::Lost { .. })
    }
}
