//! The folder in which a caller and a service hand each other large masks.

use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use nephrite_root::{PathError, Root, WorkFolder, sweep};

/// A new folder of one call, gone when the call is over: what a service that dies leaves behind goes with it. What a caller
/// leaves behind that dies itself goes when the next folder is made beside it.
#[derive(Debug)]
pub struct Scratch {
    /// `None` once it is removed.
    work: Option<WorkFolder>,
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
        let failed = |source| PathError::Io {
            path: path.to_owned(),
            source,
        };
        let parent = root.open_writable_folder(path)?;
        sweep(&parent);
        let work = WorkFolder::new(&parent).map_err(failed)?;
        Ok(Scratch {
            path: root.absolute(path)?.join(work.name()),
            folder: work.folder().try_clone().map_err(failed)?,
            work: Some(work),
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
        if let Some(Err(error)) = self.work.take().map(WorkFolder::discard) {
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

    #[test]
    fn what_a_dead_caller_left_goes_and_what_a_living_one_has_stays() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::beneath(temp.path()).unwrap();
        let dead = temp.path().join(".nephrite-00000000000000aa.work");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("mask.nii.gz"), "half").unwrap();
        let living = Scratch::new(&root, Path::new(".")).unwrap();
        let other = Scratch::new(&root, Path::new(".")).unwrap();
        assert!(!dead.exists());
        assert!(living.path().exists() && other.path().exists());
        drop((living, other));
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
