//! DICOM segmentations and structure sets where a file of a mask may stand.

use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nephrite_dicom::{DicomError, DicomLimits, DicomObject, open_object};
use nephrite_dicom_objects::{
    ObjectError, ObjectKind, ObjectWarning, ReadOptions, StructureSetOptions, read_seg, read_structure_set,
};
use nephrite_kernel::{LabelEntry, LabelTable, Mask, OperationError};
use nephrite_types::{CancelToken, Warning, WarningCode};

use super::grid::ObjectGrid;
use super::write::object_limits;
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::io_error;

/// Of a byte of a segmentation: the file, its elements, and its pixels as runs.
const BYTES_PER_BYTE: u64 = 4;
/// Of a byte of a structure set: coordinates are short texts, each of which is a text of its own in memory, and then a number.
const BYTES_PER_BYTE_OF_CONTOURS: u64 = 12;
/// SOP class of structure sets, as it stands in the header of a file.
const STRUCTURE_SET: &[u8] = b"1.2.840.10008.5.1.4.1.1.481.3\0";
/// Bytes in which a file says its class.
const HEADER_BYTES: usize = 1024;

/// A mask of a DICOM object, and what its user should know of it.
#[derive(Debug)]
pub(crate) struct ObjectMask {
    pub(crate) mask: Mask,
    pub(crate) warnings: Vec<Warning>,
}

/// True if a file begins as a DICOM file does.
pub(super) fn is_dicom(file: &File) -> bool {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 128).is_ok() && &magic == b"DICM"
}

/// The mask of a DICOM object, on `grid` if there is one, else on the grid of its frames. Its labels are named as its segments or
/// regions are, unless `names` says otherwise.
///
/// # Errors
/// [`CoreError::Object`], [`CoreError::OverlappingSegments`]; [`CoreError::ContoursWithoutGrid`] for a structure set without a grid.
pub(super) fn read_object(
    core: &Core,
    file: &File,
    path: &Path,
    names: &LabelTable,
    grid: Option<&ObjectGrid>,
    cancel: &CancelToken,
) -> Result<ObjectMask, CoreError> {
    let limits = DicomLimits::DEFAULT;
    let _memory = core.reserve(
        "reading a DICOM object",
        reading_bytes(file, &limits),
        &[],
        None,
        cancel,
    )?;
    // who opened it may have looked at its beginning
    (&*file).rewind().map_err(|source| io_error(path, source))?;
    let object = open_object(file, &path.to_string_lossy(), &limits).map_err(DicomError::from)?;
    cancel.check()?;
    let (masks, warnings) = masks_of(core, &object, path, grid)?;
    let [mask] = &masks[..] else {
        return Err(CoreError::OverlappingSegments {
            path: path.to_owned(),
        });
    };
    let warnings = warnings.iter().map(|warning| Warning {
        code: WarningCode::DicomObject,
        file: path.display().to_string(),
        message: warning.to_string(),
    });
    Ok(ObjectMask {
        mask: named(mask, names)?,
        warnings: warnings.collect(),
    })
}

fn masks_of(
    core: &Core,
    object: &DicomObject,
    path: &Path,
    grid: Option<&ObjectGrid>,
) -> Result<(Vec<Mask>, Vec<ObjectWarning>), CoreError> {
    let failed = |source: ObjectError| CoreError::Object {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let limits = object_limits(core.limits());
    match ObjectKind::of(object).map_err(failed)? {
        ObjectKind::Segmentation => {
            let onto = grid.map(ObjectGrid::onto);
            let found = read_seg(object, onto, ReadOptions::default(), &limits).map_err(failed)?;
            Ok((found.masks, Vec::new()))
        }
        ObjectKind::StructureSet => {
            let grid = grid.ok_or_else(|| CoreError::ContoursWithoutGrid {
                path: path.to_owned(),
            })?;
            let series = grid.source_series()?;
            let (slices, onto) = (grid.slices(series.as_ref()), Some(grid.geometry()));
            let options = StructureSetOptions::default();
            let found = read_structure_set(object, slices, onto, options, &limits).map_err(failed)?;
            Ok((found.masks, found.warnings))
        }
    }
}

fn reading_bytes(file: &File, limits: &DicomLimits) -> u64 {
    let size = file.metadata().map_or(u64::MAX, |metadata| metadata.len());
    let mut header = [0; HEADER_BYTES];
    let n = file.read_at(&mut header, 0).unwrap_or(0); // what cannot be read is refused where it is read
    let has_contours = header[..n]
        .windows(STRUCTURE_SET.len())
        .any(|window| window == STRUCTURE_SET);
    let per_byte = match has_contours {
        true => BYTES_PER_BYTE_OF_CONTOURS,
        false => BYTES_PER_BYTE,
    };
    size.min(limits.max_file_bytes).saturating_mul(per_byte)
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
