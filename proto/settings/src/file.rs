//! Settings from a file on disk.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nephrite_types::ErrorCode;

use crate::{Fault, MAX_BYTES};

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It says what cannot be.
    #[error("configuration {}:{}", path.display(), lines(faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// All of them.
        faults: Vec<Fault>,
    },
}

impl ConfigError {
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorCode::NotFound
            }
            ConfigError::Read { .. } => ErrorCode::Environment,
            ConfigError::Faults { .. } => ErrorCode::InvalidArgument,
        }
    }
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

/// Reads a configuration file, no more than [`MAX_BYTES`] and one byte; `from_toml` gets these and the folder that relative
/// paths start at.
///
/// # Errors
/// [`ConfigError`], with all faults at once.
pub fn read_config<T>(
    path: &Path,
    from_toml: impl FnOnce(&[u8], &Path) -> Result<T, Vec<Fault>>,
) -> Result<T, ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    let absolute = std::path::absolute(path).map_err(read)?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    from_toml(&bytes, folder).map_err(|faults| ConfigError::Faults {
        path: path.to_owned(),
        faults,
    })
}
