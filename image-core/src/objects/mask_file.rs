//! A file where a mask may stand, whatever it is: the one way in which such a file is read.

use std::fs::File;
use std::path::Path;

use nephrite_kernel::{LabelTable, Mask, MaskSize, OperationError, UnreadMask, open_volume};
use nephrite_types::{CancelToken, Warning};
use nephrite_volume::VolumeFiles;

use super::grid::ObjectGrid;
use super::read::{ObjectMask, is_dicom, read_object};
use crate::core::Core;
use crate::error::CoreError;

/// A file where a mask may stand: a label map (NIfTI, NRRD, or MetaImage), or a DICOM object. What it begins with decides.
#[derive(Debug)]
pub(crate) struct MaskFile(VolumeFiles);

impl MaskFile {
    /// # Errors
    /// [`CoreError::Path`]; what a header says that names another file.
    pub(crate) fn open(core: &Core, path: &Path) -> Result<MaskFile, CoreError> {
        Ok(MaskFile(open_volume::<CoreError>(core.root(), path)?))
    }

    /// One, or two of a label map whose voxels are in a file of their own.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.0.files()
    }

    /// The file, if it is a DICOM object.
    fn object(&self) -> Option<&File> {
        self.files().next().filter(|file| is_dicom(file))
    }

    /// Whether it is a DICOM object.
    pub(crate) fn is_object(&self) -> bool {
        self.object().is_some()
    }

    /// Looks how large the mask is: of a label map by its header; a DICOM object is read, since only its content says. An object is
    /// put on `grid` if there is one; a label map has a grid of its own.
    ///
    /// # Errors
    /// [`CoreError::Object`], [`CoreError::OverlappingSegments`], [`CoreError::ContoursWithoutGrid`]; what a header says.
    pub(crate) fn look(
        self,
        core: &Core,
        path: &Path,
        names: &LabelTable,
        grid: Option<&ObjectGrid>,
        cancel: &CancelToken,
    ) -> Result<SeenMask, CoreError> {
        if let Some(file) = self.object() {
            let read = read_object(core, file, path, names, grid, cancel)?;
            return Ok(SeenMask::Read(Box::new(read)));
        }
        let unread = UnreadMask::of(&self.0, &path.to_string_lossy(), core.limits())
            .map_err(|error| in_file(error, path))?;
        Ok(SeenMask::Unread(self.0, Box::new(unread)))
    }
}

/// A mask in a file, of known size.
#[derive(Debug)]
pub(crate) enum SeenMask {
    /// Its header was read.
    Unread(VolumeFiles, Box<UnreadMask>),
    /// All of it was.
    Read(Box<ObjectMask>),
}

impl SeenMask {
    /// Whether it is of a DICOM object.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self, SeenMask::Read(_))
    }

    pub(crate) fn size(&self) -> MaskSize {
        match self {
            SeenMask::Unread(_, unread) => unread.size(),
            SeenMask::Read(object) => MaskSize::of(&object.mask),
        }
    }

    /// What its user should know.
    pub(crate) fn warnings(&self) -> &[Warning] {
        match self {
            SeenMask::Unread(..) => &[],
            SeenMask::Read(object) => &object.warnings,
        }
    }

    /// The mask. `counted` hears how large one turned out that was not read yet, before it is kept.
    ///
    /// # Errors
    /// What reading says, and `counted`.
    pub(crate) fn read(
        self,
        core: &Core,
        path: &Path,
        names: &LabelTable,
        cancel: &CancelToken,
        counted: impl FnOnce(MaskSize) -> Result<(), CoreError>,
    ) -> Result<Mask, CoreError> {
        let (files, unread) = match self {
            SeenMask::Unread(files, unread) => (files, unread),
            SeenMask::Read(object) => return Ok(object.mask),
        };
        let name = path.to_string_lossy();
        let mask = unread.read(files, &name, names, core.limits(), cancel, counted);
        mask.map_err(|error| match error {
            CoreError::Operation(error) => in_file(error, path),
            other => other,
        })
    }
}

/// The mask of a DICOM object, on the voxels of the scan `grid` if one is named, and what its user should know; `None` for a label map.
///
/// # Errors
/// As [`MaskFile::look`], and what opening the scan says.
pub(crate) fn read_mask_object(
    core: &Core,
    path: &Path,
    names: &LabelTable,
    grid: Option<&Path>,
    cancel: &CancelToken,
) -> Result<Option<(Mask, Vec<Warning>)>, CoreError> {
    let file = MaskFile::open(core, path)?;
    if !file.is_object() {
        return Ok(None);
    }
    let grid = grid
        .map(|grid| ObjectGrid::of_scan(core, grid, cancel))
        .transpose()?;
    let seen = file.look(core, path, names, grid.as_ref(), cancel)?;
    let warnings = seen.warnings().to_vec();
    let mask = seen.read(core, path, names, cancel, |_| Ok(()))?;
    Ok(Some((mask, warnings)))
}

/// Most errors of a file name it; those of its content do not.
fn in_file(error: OperationError, path: &Path) -> CoreError {
    if error.to_string().contains(&*path.to_string_lossy()) || matches!(error, OperationError::Cancelled(_)) {
        return CoreError::Operation(error);
    }
    CoreError::Mask {
        path: path.to_owned(),
        source: error,
    }
}
