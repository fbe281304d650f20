//! Files that an operation writes beside its masks, into a folder that no name leads out of.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cap_std::fs::{Dir, Metadata, MetadataExt as _};
use nephrite_root::remove_file_if_same;
use nephrite_types::{FileIdentity, Geometry, Labels, Volume, check_file_name};
use nephrite_volume::{
    SourceGeometry, write_files_atomically, write_identified, write_label_map, write_volume,
};

use crate::OperationError;

/// A file that an operation wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// What it is, such as `preview.png`: its file name.
    pub name: String,
    /// Where it lies, as the caller named the folder.
    pub path: PathBuf,
    /// Such as `image/png`.
    pub media_type: String,
}

/// The folder that files go to: an open handle, so that no name leads out of it.
#[derive(Debug)]
pub struct Artefacts {
    folder: Dir,
    path: PathBuf,
    /// Names, and which files they were.
    written: Mutex<Vec<(String, FileIdentity)>>,
}

impl Artefacts {
    /// An open folder, and its path as the caller named it.
    pub fn new(folder: Dir, path: &Path) -> Artefacts {
        Artefacts {
            folder,
            path: path.to_owned(),
            written: Mutex::default(),
        }
    }

    /// Writes a file whole or not at all; one of the same name is replaced.
    ///
    /// # Errors
    /// [`OperationError::ArtefactName`] if `name` is not a plain file name, [`OperationError::Write`].
    pub fn write(
        &self,
        name: &str,
        media_type: &str,
        content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<Artefact, OperationError> {
        self.check_name(name)?;
        let written = write_identified(&self.folder, name, |out| content(out));
        let ((), file) = written.map_err(|source| OperationError::Write {
            path: self.path.join(name),
            reason: source.to_string(),
        })?;
        Ok(self.note(name, media_type, file))
    }

    /// Writes many files of one kind, each whole or not at all, in far less time than one after the other: a disk commits
    /// many at once. `content` gets the index of a file, on any thread.
    ///
    /// # Errors
    /// As [`Artefacts::write`]; files before the one that failed may be there, for [`Artefacts::discard`].
    pub fn write_all(
        &self,
        names: &[String],
        media_type: &str,
        content: impl Fn(usize, &mut dyn Write) -> std::io::Result<()> + Sync,
    ) -> Result<Vec<Artefact>, OperationError> {
        for name in names {
            self.check_name(name)?;
        }
        let mut artefacts = Vec::with_capacity(names.len());
        let written = |index: usize, file| artefacts.push(self.note(&names[index], media_type, file));
        let done = write_files_atomically(&self.folder, names, content, written);
        done.map_err(|source| OperationError::Write {
            path: self.path.clone(),
            reason: source.to_string(),
        })?;
        Ok(artefacts)
    }

    /// Writes a label map as `.nii.gz`.
    ///
    /// # Errors
    /// As [`Artefacts::write`].
    pub fn write_label_map(
        &self,
        name: &str,
        labels: &Labels,
        geometry: &Geometry,
    ) -> Result<Artefact, OperationError> {
        self.check_name(name)?;
        let source = SourceGeometry::from_geometry(geometry);
        let written = write_label_map(&self.folder, name, labels, &source);
        let written = written.map_err(|source| OperationError::Write {
            path: self.path.join(name),
            reason: source.to_string(),
        })?;
        Ok(self.note(name, "application/x-nifti", written.files.header))
    }

    /// Writes a volume as `.nii.gz`, in its stored type and with its scale factors.
    ///
    /// # Errors
    /// As [`Artefacts::write`].
    pub fn write_volume(&self, name: &str, volume: &Volume) -> Result<Artefact, OperationError> {
        self.check_name(name)?;
        let source = SourceGeometry::from_geometry(&volume.geometry);
        let written = write_volume(&self.folder, name, volume, &source);
        let written = written.map_err(|source| OperationError::Write {
            path: self.path.join(name),
            reason: source.to_string(),
        })?;
        Ok(self.note(name, "application/x-nifti", written.files.header))
    }

    /// The open folder.
    pub fn folder(&self) -> &Dir {
        &self.folder
    }

    /// The folder's path, as the caller named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a file of another folder in under its name there; one of the same name is replaced. For files that a
    /// service wrote.
    ///
    /// # Errors
    /// As [`Artefacts::write`]; also if it is no regular file.
    pub fn take(&self, from: &Dir, name: &str, media_type: &str) -> Result<Artefact, OperationError> {
        self.check_name(name)?;
        let failed = |source: std::io::Error| OperationError::Write {
            path: self.path.join(name),
            reason: source.to_string(),
        };
        let file = from.symlink_metadata(name).map_err(failed)?;
        if !file.is_file() {
            return Err(failed(std::io::Error::other("not a regular file")));
        }
        from.rename(name, &self.folder, name).map_err(failed)?;
        Ok(self.note(name, media_type, identity(&file)))
    }

    fn check_name(&self, name: &str) -> Result<(), OperationError> {
        check_artefact_name(name)
    }

    fn note(&self, name: &str, media_type: &str, file: FileIdentity) -> Artefact {
        let artefact = Artefact {
            name: name.to_owned(),
            path: self.path.join(name),
            media_type: media_type.to_owned(),
        };
        let mut written = self
            .written
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        written.push((name.to_owned(), file));
        artefact
    }

    /// Removes what was written so far: an operation that fails leaves nothing. What somebody else has put under these names
    /// meanwhile stays.
    pub fn discard(&self) {
        let mut written = self
            .written
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for (name, file) in written.drain(..) {
            let _ = remove_file_if_same(&self.folder, &name, &file); // the error of the operation is the one to tell
        }
    }
}

/// Checks the name of a file that an operation writes: a plain name of at most 200 bytes that is not hidden.
///
/// # Errors
/// [`OperationError::ArtefactName`]
pub fn check_artefact_name(name: &str) -> Result<(), OperationError> {
    if check_file_name(name).is_ok() && name.len() <= 200 && !name.starts_with('.') {
        return Ok(());
    }
    Err(OperationError::ArtefactName {
        name: name.chars().take(64).collect(),
    })
}

fn identity(metadata: &Metadata) -> FileIdentity {
    FileIdentity {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn what_an_operation_wrote_is_discarded_and_what_others_put_there_stays() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let artefacts = Artefacts::new(open(), temp.path());
        for name in ["a.json", "b.json"] {
            artefacts
                .write(name, "application/json", |out| out.write_all(b"ours"))
                .unwrap();
        }
        std::fs::write(temp.path().join("theirs"), "theirs").unwrap();
        std::fs::rename(temp.path().join("theirs"), temp.path().join("b.json")).unwrap();
        artefacts.discard();
        assert!(!temp.path().join("a.json").exists());
        assert_eq!(
            std::fs::read_to_string(temp.path().join("b.json")).unwrap(),
            "theirs"
        );
    }

    #[test]
    fn names_that_look_like_others_are_refused() {
        for name in [
            "",
            ".a",
            "a/b",
            "a\u{202e}gnp.exe",
            "a\n.png",
            "con.png",
            &"x".repeat(201),
        ] {
            assert!(check_artefact_name(name).is_err(), "{name:?}");
        }
        check_artefact_name("preview.png").unwrap();
    }
}
