//! Masks as anybody would read them.

use std::path::Path;

use nephrite_types::{CancelToken, LabelMap, Limits};
use nephrite_volume::{Reader, labels_from_volume, read_volume};

use crate::DemoError;

/// The label map in a NIfTI file.
///
/// # Errors
/// [`DemoError::Path`], [`DemoError::Volume`].
pub(crate) fn read_mask(path: &Path, cancel: &CancelToken) -> Result<LabelMap, DemoError> {
    let file = nephrite_root::Root::filesystem().open_file(path)?;
    let mask = read_volume(
        file,
        &path.to_string_lossy(),
        Reader::SimpleItk,
        &Limits::default(),
        cancel,
    )?;
    Ok(LabelMap {
        labels: labels_from_volume(&mask.volume)?,
        geometry: mask.volume.geometry,
    })
}
