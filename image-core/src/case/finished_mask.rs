//! A mask of a case that is done, for who does not see its file.

use std::io::Seek as _;
use std::path::Path;

use nephrite_kernel::memory::{ON_MASKS, request_bytes};
use nephrite_kernel::{
    LabelEntry, LabelTable, Mask, MaskError, MaskSize, OperationError, UnreadMask, open_volume,
};
use nephrite_types::{CancelToken, data_file_of};
use nephrite_volume::{VolumeFiles, hash_file};

use super::results::RECORD;
use super::verify::read_record;
use super::{CaseError, MaskFileRecord};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::io_error;

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
    let changed = || CaseError::MaskChanged { path: path.clone() };
    let files = open_volume::<CoreError>(core.root(), &path)?;
    let before = files.identity().map_err(failed)?;
    let names: Vec<String> = std::iter::once(kept.file.clone())
        .chain(data_file_of(&kept.file))
        .collect();
    if files.files().count() != names.len() {
        return Err(changed());
    }
    for (name, file) in names.iter().zip(files.files()) {
        let mut copy = file.try_clone().map_err(failed)?;
        copy.rewind().map_err(failed)?; // who opened it looked at its beginning
        let hash = hash_file(copy, &output.join(name).to_string_lossy(), cancel)?;
        let written = record.files.iter().find(|file| file.path == *name);
        if written.is_none_or(|file| file.sha256 != hash.to_string()) {
            return Err(changed());
        }
    }
    let mask = read(core, &path, files.try_clone().map_err(failed)?, kept, cancel)?;
    if files.identity().map_err(failed)? != before {
        return Err(changed());
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
