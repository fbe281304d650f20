//! Masks on another grid, and what their labels are called.

use std::sync::Arc;

use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable, Mask};
use nephrite_merge::{Interpolation, resample_mask};
use nephrite_nnunet::LabelDescription;
use nephrite_types::{CancelToken, Geometry, Limits};

use crate::error::CoreError;
use crate::memory::Counters;

/// What a model's labels are called. That of a model that was not run says so.
pub(crate) fn label_table_with(
    labels: &[LabelDescription],
    status: LabelStatus,
) -> Result<LabelTable, CoreError> {
    let entries = labels
        .iter()
        .filter(|label| label.id != 0)
        .map(|label| LabelEntry {
            id: label.id,
            name: label.name.clone(),
            status,
        });
    LabelTable::new(entries.collect()).map_err(mask_error)
}

pub(super) fn label_table(labels: &[LabelDescription]) -> Result<LabelTable, CoreError> {
    label_table_with(labels, LabelStatus::Present)
}

pub(super) fn mask_error(error: nephrite_kernel::MaskError) -> CoreError {
    CoreError::Operation(error.into())
}

/// A mask on another grid, by world coordinates; itself if it lies there already.
pub(crate) fn on_grid(
    mask: &Arc<Mask>,
    geometry: &Geometry,
    limits: &Limits,
    counters: &mut Counters,
    cancel: &CancelToken,
) -> Result<Arc<Mask>, CoreError> {
    if mask.runs().geometry() == geometry {
        return Ok(mask.clone());
    }
    if nephrite_kernel::grid_difference(geometry, mask.runs().geometry()).is_some() {
        counters.mask_resamples += 1;
    }
    Ok(Arc::new(resample_mask(
        mask,
        geometry,
        Interpolation::Nearest,
        limits,
        cancel,
    )?))
}
