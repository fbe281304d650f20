//! DICOM segmentations where a file of a mask may stand.

use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nephrite_dicom::{DicomError, DicomLimits, open_object};
use nephrite_dicom_objects::{ObjectError, ObjectKind, ReadOptions, read_seg};
use nephrite_kernel::{LabelEntry, LabelTable, Mask, OperationError};
use nephrite_types::CancelToken;

use super::write::object_limits;
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::io_error;

/// Of a byte of the file: the file, its elements, and its pixels as runs.
const BYTES_PER_BYTE: u64 = 4;

/// The mask of a file if that begins as a DICOM file does. Its labels are named as its segments are, unless `names` says otherwise.
///
/// # Errors
/// [`CoreError::Object`]; [`CoreError::ContoursWithoutGrid`] for a structure set, [`CoreError::OverlappingSegments`].
pub(crate) fn mask_of_object(
    core: &Core,
    file: &File,
    path: &Path,
    names: &LabelTable,
    cancel: &CancelToken,
) -> Result<Option<Mask>, CoreError> {
    if !is_dicom(file) {
        return Ok(None);
    }
    let limits = DicomLimits::DEFAULT;
    let size = file
        .metadata()
        .map_or(u64::MAX, |metadata| metadata.len())
        .min(limits.max_file_bytes);
    let needed = size.saturating_mul(BYTES_PER_BYTE);
    let _memory = core.reserve("reading a DICOM object", needed, &[], None, cancel)?;
    let failed = |source: ObjectError| CoreError::Object {
        path: path.to_owned(),
        source: Box::new(source),
    };
    // who opened it may have looked at its beginning
    (&*file).rewind().map_err(|source| io_error(path, source))?;
    let object = open_object(file, &path.to_string_lossy(), &limits).map_err(DicomError::from)?;
    if ObjectKind::of(&object).map_err(failed)? == ObjectKind::StructureSet {
        return Err(CoreError::ContoursWithoutGrid {
            path: path.to_owned(),
        });
    }
    let options = ReadOptions::default();
    let found = read_seg(&object, None, options, &object_limits(core.limits())).map_err(failed)?;
    let [mask] = &found.masks[..] else {
        return Err(CoreError::OverlappingSegments {
            path: path.to_owned(),
        });
    };
    named(mask, names).map(Some)
}

fn is_dicom(file: &File) -> bool {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 128).is_ok() && &magic == b"DICM"
}

fn named(mask: &Mask, names: &LabelTable) -> Result<Mask, CoreError> {
    let failed = |error: nephrite_kernel::MaskError| CoreError::Operation(OperationError::from(error));
    let entries = mask.labels().entries().iter().map(|entry| LabelEntry {
        name: names
            .by_id(entry.id)
            .map_or_else(|| entry.name.clone(), |given| given.name.clone()),
        ..entry.clone()
    });
    let labels = LabelTable::new(entries.collect()).map_err(failed)?;
    Mask::new(mask.runs().clone(), labels).map_err(failed)
}
