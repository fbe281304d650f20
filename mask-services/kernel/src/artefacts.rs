use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cap_std::fs::Dir;
use nephrite_types::{Geometry, Labels, Volume};
use nephrite_volume::{
    SourceGeometry, write_atomically, write_files_atomically, write_label_map, write_volume,
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
    written: Mutex<Vec<Artefact>>,
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
    /// [`OperationError::ArtefactName`] if `name` is no plain file name, [`OperationError::Write`].
    pub fn write(
        &self,
        name: &str,
        media_type: &str,
        content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<Artefact, OperationError> {
        self.check_name(name)?;
        write_atomically(&self.folder, name, |out| content(out)).map_err(|source| OperationError::Write {
            path: self.path.join(name),
            reason: source.to_string(),
        })?;
        Ok(self.note(name, media_type))
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
        let written = |index: usize| artefacts.push(self.note(&names[index], media_type));
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
        write_label_map(&self.folder, name, labels, &source).map_err(|source| OperationError::Write {
            path: self.path.join(name),
            reason: source.to_string(),
        })?;
        Ok(self.note(name, "application/x-nifti"))
    }

    /// Writes a volume as `.nii.gz`, in its stored type and with its scale factors.
    ///
    /// # Errors
    /// As [`Artefacts::write`].
    pub fn write_volume(&self, name: &str, volume: &Volume) -> Result<Artefact, OperationError> {
        self.check_name(name)?;
        let source = SourceGeometry::from_geometry(&volume.geometry);
        write_volume(&self.folder, name, volume, &source).map_err(|source| OperationError::Write {
            path: self.path.join(name),
            reason: source.to_string(),
        })?;
        Ok(self.note(name, "application/x-nifti"))
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
        if !from.symlink_metadata(name).map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::other("not a regular file")));
        }
        from.rename(name, &self.folder, name).map_err(failed)?;
        Ok(self.note(name, media_type))
    }

    fn check_name(&self, name: &str) -> Result<(), OperationError> {
        let plain = !name.is_empty() && name.len() <= 200 && !name.starts_with('.');
        if plain && !name.contains(['/', '\\', '\0']) {
            Ok(())
        } else {
            Err(OperationError::ArtefactName {
                name: name.chars().take(64).collect(),
            })
        }
    }

    fn note(&self, name: &str, media_type: &str) -> Artefact {
        let artefact = Artefact {
            name: name.to_owned(),
            path: self.path.join(name),
            media_type: media_type.to_owned(),
        };
        let mut written = self
            .written
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        written.push(artefact.clone());
        artefact
    }

    /// Removes what was written so far: an operation that fails leaves nothing.
    pub fn discard(&self) {
        let mut written = self
            .written
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for artefact in written.drain(..) {
            let _ = self.folder.remove_file(&artefact.name); // the error of the operation is the one to tell
        }
    }
}
