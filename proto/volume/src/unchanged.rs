//! Refuses a file that somebody changes while it is read.

use std::fs::File;

use nephrite_types::FileIdentity;

use crate::VolumeError;

/// Reads from a file with `read`, which gets its size, and looks before and after whether it is the same: what was read of
/// a file that changed meanwhile may never have been in it, and is refused, whatever `read` made of it.
///
/// # Errors
/// [`VolumeError::NotAFile`], [`VolumeError::Read`], [`VolumeError::Changed`]; what `read` says of a file that did not
/// change.
pub(crate) fn read_unchanged<T>(
    file: &File,
    name: &str,
    read: impl FnOnce(&File, u64) -> Result<T, VolumeError>,
) -> Result<T, VolumeError> {
    let failed = |source| VolumeError::Read {
        name: name.to_owned(),
        source,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(VolumeError::NotAFile {
            name: name.to_owned(),
        });
    }
    let before = FileIdentity::from(&metadata);
    let result = read(file, before.size);
    if let Err(cancelled @ VolumeError::Cancelled(_)) = result {
        return Err(cancelled);
    }
    if FileIdentity::of(file).map_err(failed)? == before {
        result
    } else {
        Err(VolumeError::Changed {
            name: name.to_owned(),
        })
    }
}
