//! Folders that the demo writes into.

use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_root::PathError;

/// Where the demo puts its files.
pub(crate) struct Folder {
    pub(crate) dir: Dir,
    pub(crate) path: PathBuf,
}

impl Folder {
    /// Writes a file, in the place of one that is there.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), PathError> {
        self.dir.write(name, bytes).map_err(|source| PathError::Io {
            path: self.path.join(name),
            source,
        })
    }

    /// Makes it, if it is not there.
    pub(crate) fn create(path: &Path) -> Result<Folder, PathError> {
        let failed = |source| PathError::NotWritable {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        Ok(Folder {
            dir,
            path: path.to_owned(),
        })
    }
}
