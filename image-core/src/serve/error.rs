use std::io;
use std::path::PathBuf;

use nephrite_types::ErrorCode;

use super::ConfigFault;
use crate::{CoreError, PathError};

/// Why a server does not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration file cannot be read.
    #[error("configuration {}: {source}", path.display())]
    ConfigRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration file says what cannot be.
    #[error("configuration {}:{}", path.display(), lines(faults))]
    Config {
        /// The file.
        path: PathBuf,
        /// All of them.
        faults: Vec<ConfigFault>,
    },
    /// The root folder cannot be opened.
    #[error("root: {0}")]
    Root(#[from] PathError),
    /// ONNX Runtime does not load, or a configured model cannot be loaded.
    #[error(transparent)]
    Start(#[from] CoreError),
    /// The address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// As configured.
        address: String,
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

impl ServeError {
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            ServeError::ConfigRead { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorCode::NotFound
            }
            ServeError::ConfigRead { .. } | ServeError::Listen { .. } | ServeError::System(_) => {
                ErrorCode::Environment
            }
            ServeError::Config { .. } => ErrorCode::InvalidArgument,
            ServeError::Root(error) => error.code(),
            ServeError::Start(error) => error.code(),
            ServeError::Transport(_) => ErrorCode::Environment,
            ServeError::Panicked => ErrorCode::Internal,
        }
    }
}

fn lines(faults: &[ConfigFault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}
