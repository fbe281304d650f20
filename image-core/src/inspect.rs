//! What the header of a scan says.

use std::path::Path;

use nephrite_types::CancelToken;
use nephrite_volume::VolumeInfo;

use crate::core::Core;
use crate::error::CoreError;

/// Reads the header of a file, or those of a DICOM series (a folder with one, or `folder#UID`), which says what the NIfTI file of it
/// would say. Reads no voxels.
///
/// # Errors
/// [`CoreError`]: what is no scan, and a series that cannot be read as one.
pub fn inspect_scan(core: &Core, path: &Path, cancel: &CancelToken) -> Result<VolumeInfo, CoreError> {
    let open = core.volumes().open_scan(path, cancel)?;
    open.info(path, core.volumes().rules())
}
