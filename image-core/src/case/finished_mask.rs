//! A mask of a case that is done, for who does not see its file.

use std::io::Seek as _;
use std::path::Path;

use nephrite_kernel::memory::{ON_MASKS, request_bytes};
use nephrite_kernel::{LabelEntry, LabelTable, Mask, MaskError, MaskSize, OperationError, UnreadMask};
use nephrite_types::CancelToken;
use nephrite_volume::{VolumeFiles, hash_file};

use super::results::RECORD;
use super::verify::read_record;
use super::{CaseError, MaskFileRecord};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{identity, io_error};

/// A mask as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedMask {
    /// Its file, below the result folder.
    pub file: String,
    /// On the grid of the file; its labels say what became of each.
    pub mask: Mask,
}

/// Reads the mask of a step from the result folder of a case that is done. The file must be the one that the case wrote.
///
/// # Errors
/// [`CaseError::NoMask`], [`CaseError::MaskChanged`], [`CaseError::Record`]; what is wrong with the folder.
pub fn finished_mask(
    core: &Core,
    output: &Path,
    step: &str,
    cancel: &CancelToken,
) -> Result<FinishedMask, CaseError> {
    let record = read_record(core.root(), core.limits(), &output.join(RECORD))?;
    let kept = record.masks.iter().find(|mask| mask.step == step);
    let kept = kept.ok_or_else(|| CaseError::NoMask {
        folder: output.to_owned(),
        step: step.chars().take(64).collect(),
        kept: record.masks.iter().map(|mask| mask.step.clone()).collect(),
    })?;
    let path = output.join(&kept.file);
    let failed = |source| CaseError::from(io_error(&path, source));
    let mut file = core.root().open_file(&path)?;
    let before = identity(&file, &path)?;
    let copy = || file.try_clone().map_err(failed);
    let (for_hash, for_voxels) = (copy()?, copy()?);
    let hash = hash_file(for_hash, &path.to_string_lossy(), cancel)?;
    let written = record.files.iter().find(|file| file.path == kept.file);
    if written.is_none_or(|file| file.sha256 != hash.to_string()) {
        return Err(CaseError::MaskChanged { path });
    }
    file.rewind().map_err(failed)?; // the copies stand where it stands
    let mask = read(core, &path, for_voxels.into(), kept, cancel)?;
    if identity(&file, &path)? != before {
        return Err(CaseError::MaskChanged { path });
    }
    Ok(FinishedMask {
        file: kept.file.clone(),
        mask,
    })
}

fn read(
    core: &Core,
    path: &Path,
    files: VolumeFiles,
    kept: &MaskFileRecord,
    cancel: &CancelToken,
) -> Result<Mask, CaseError> {
    let failed = |error: MaskError| CoreError::from(OperationError::from(error));
    let entries = kept.labels.iter().map(|label| LabelEntry {
        id: label.id,
        name: label.name.clone(),
        status: label.status,
    });
    let labels = LabelTable::new(entries.collect()).map_err(failed)?;
    let name = path.to_string_lossy();
    let unread = UnreadMask::of(&files, &name, core.limits()).map_err(CoreError::from)?;
    let needed = |size: MaskSize| request_bytes(&[size], 0);
    let mut memory = core.reserve(ON_MASKS, needed(unread.size()), &[], None, cancel)?;
    let counted = |size| -> Result<(), CoreError> { Ok(memory.grow(ON_MASKS, needed(size))?) };
    Ok(unread.read(files, &name, &labels, core.limits(), cancel, counted)?)
}
