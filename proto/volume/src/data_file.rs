//! The file that holds the voxels of a header, once it is open.

use std::io::Read;

use crate::VolumeError;
use crate::header_lines::shown;
use crate::input::Input;

/// Begins to read the voxels from the file that the header names; gives the size of that file.
///
/// # Errors
/// [`VolumeError::Detached`] if it was not opened, [`VolumeError::Changed`] if another one was: the header is not the same as then.
pub(crate) fn begin_data_file<R: Read>(
    input: &mut Input<'_, R>,
    named: &str,
    attached: &'static str,
) -> Result<u64, VolumeError> {
    let name = input.name().to_owned();
    match input.take_data() {
        None => Err(VolumeError::Detached {
            name,
            data_file: shown(named),
            attached,
        }),
        Some(data) if data.name != named => Err(VolumeError::Changed { name }),
        Some(data) => {
            input.go_on_with(data.source);
            Ok(data.size)
        }
    }
}

/// Refuses what is longer than the voxels, which is not compressed: a header that does not fit its data file places them wrong.
///
/// # Errors
/// [`VolumeError::DataFileTooLong`]
pub(crate) fn check_data_size(
    size: u64,
    offset: u64,
    stated: Option<u64>,
    name: &str,
) -> Result<(), VolumeError> {
    match stated.and_then(|stated| stated.checked_add(offset)) {
        Some(expected) if size > expected => Err(VolumeError::DataFileTooLong {
            name: name.to_owned(),
            expected,
            found: size,
        }),
        _ => Ok(()), // what is too short is refused where sizes of all files are
    }
}

/// Whether a name says that the file is compressed.
pub(crate) fn is_named_compressed(named: &str) -> bool {
    let named = named.to_ascii_lowercase();
    [".gz", ".zraw", ".bz2"]
        .iter()
        .any(|ending| named.ends_with(ending))
}
