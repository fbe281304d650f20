//! Why a server cannot listen, or broke down.

use std::io;
use std::net::SocketAddr;

use nephrite_types::{Coded, ErrorCode};

/// Why a server does not start, or ended, whatever it serves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something else that a server needs.
    #[error("starting the server: {0}")]
    System(io::Error),
    /// The transport gave up.
    #[error("serving: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The server panicked outside of any request.
    #[error("the server ended by a bug")]
    Panicked,
}

impl Coded for ServerError {
    fn code(&self) -> ErrorCode {
        match self {
            ServerError::Listen { .. } | ServerError::System(_) | ServerError::Transport(_) => {
                ErrorCode::Environment
            }
            ServerError::Panicked => ErrorCode::Internal,
        }
    }
}
