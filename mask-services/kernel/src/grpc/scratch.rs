use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use cap_std::fs::Dir;
use nephrite_root::{PathError, Root};

/// A new folder of one call, gone when the call is over: what a service that dies leaves behind goes with it.
#[derive(Debug)]
pub struct Scratch {
    parent: Dir,
    name: String,
    folder: Dir,
    /// Absolute: as other processes know it.
    path: PathBuf,
}

impl Scratch {
    /// Makes it; `path` names the folder that it goes in. It gets the rights of that folder, so that a service of
    /// another user of the same group can write to it.
    ///
    /// # Errors
    /// [`PathError`] if that folder is not there or cannot be written to.
    pub fn new(root: &Root, path: &Path) -> Result<Scratch, PathError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let failed = |source| PathError::Io {
            path: path.to_owned(),
            source,
        };
        let parent = root.open_writable_folder(path)?;
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".nephrite-{:x}-{nanos:x}-{count}", std::process::id());
        parent.create_dir(&name).map_err(failed)?;
        let opened = parent.dir_metadata().and_then(|metadata| {
            let _ = parent.set_permissions(&name, metadata.permissions()); // refused by some file systems
            parent.open_dir(&name)
        });
        let folder = opened.map_err(|source| {
            let _ = parent.remove_dir(&name);
            failed(source)
        })?;
        Ok(Scratch {
            path: root.absolute(path)?.join(&name),
            parent,
            name,
            folder,
        })
    }

    /// Open.
    pub fn folder(&self) -> &Dir {
        &self.folder
    }

    /// Absolute: as other processes know it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file name in this folder that a service's path means; `None` if it means another place.
    pub fn file_name<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let name = path.strip_prefix(&self.path).ok()?;
        let mut components = name.components();
        match (components.next(), components.next()) {
            (Some(std::path::Component::Normal(name)), None) => name.to_str(),
            _ => None,
        }
    }

    /// Opens a file that a service has put here.
    ///
    /// # Errors
    /// [`PathError::OutsideRoot`] if `path` means another place; [`PathError`].
    pub fn open_file(&self, path: &Path) -> Result<std::fs::File, PathError> {
        let outside = || PathError::OutsideRoot {
            path: path.to_owned(),
        };
        self.root()?
            .open_file(Path::new(self.file_name(path).ok_or_else(outside)?))
    }

    /// A root that ends at this folder.
    ///
    /// # Errors
    /// [`PathError::Io`] if the process has too many files open.
    pub fn root(&self) -> Result<Root, PathError> {
        let folder = self.folder.try_clone().map_err(|source| PathError::Io {
            path: self.path.clone(),
            source,
        })?;
        Ok(Root::of_folder(folder, &self.path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.parent.remove_dir_all(&self.name) {
            tracing::warn!(folder = %self.path.display(), %error, "a folder of a call could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_folder_are_told_from_all_others_and_it_goes_away() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::beneath(temp.path()).unwrap();
        let scratch = Scratch::new(&root, Path::new(".")).unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(scratch.file_name(&path.join("a.nii.gz")), Some("a.nii.gz"));
        for other in ["..", "../a", "b/a", "", "."] {
            assert_eq!(scratch.file_name(&path.join(other)), None, "{other}");
        }
        assert_eq!(scratch.file_name(Path::new("/etc/passwd")), None);
        assert_eq!(scratch.file_name(Path::new("a.nii.gz")), None);
        std::fs::create_dir(path.join("left")).unwrap();
        std::fs::write(path.join("left/behind"), "").unwrap();
        drop(scratch);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
