//! Reads a server's configuration file and tells all of its faults at once.

use std::io;
use std::path::{Path, PathBuf};

use nephrite_types::{Coded, ErrorCode};
use toml::Table;

use crate::{ConfigFault, Section};

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
        faults: Vec<ConfigFault>,
    },
}

impl Coded for ConfigError {
    fn code(&self) -> ErrorCode {
        match self {
            ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorCode::NotFound
            }
            ConfigError::Read { .. } => ErrorCode::Environment,
            ConfigError::Faults { .. } => ErrorCode::InvalidArgument,
        }
    }
}

fn lines(faults: &[ConfigFault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

/// Reads a configuration file; `from_toml` gets its text and the folder that relative paths start at.
///
/// # Errors
/// [`ConfigError`], with all faults at once.
pub fn read_config<T>(
    path: &Path,
    from_toml: impl FnOnce(&str, &Path) -> Result<T, Vec<ConfigFault>>,
) -> Result<T, ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let absolute = std::path::absolute(path).map_err(read)?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    from_toml(&text, folder).map_err(|faults| ConfigError::Faults {
        path: path.to_owned(),
        faults,
    })
}

impl Section<'_> {
    /// Reads the top table of configuration text with `read`, which takes the keys that it knows.
    ///
    /// # Errors
    /// Every fault: unknown keys, missing ones, values that cannot be. Of a text that is no TOML, the first.
    pub fn parse<T>(text: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> Result<T, Vec<ConfigFault>> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let reason = error.to_string();
            vec![ConfigFault::Syntax { reason }]
        })?;
        let mut faults = Vec::new();
        let config = read(&mut Section::new("", table, &mut faults));
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(faults)
        }
    }
}
