//! nnU-Net's own postprocessing.

use nephrite_kernel::{Context, OperationError, RunMask};
use nephrite_runs::keep_largest_of_union;

use crate::rules::Preset;

/// The mask after all regions in turn, and how many components were removed.
pub(crate) fn apply(
    mask: &RunMask,
    preset: &Preset,
    context: &Context<'_>,
) -> Result<(RunMask, u64), OperationError> {
    let mut mask = mask.clone();
    let mut n_removed = 0;
    for region in &preset.regions {
        let (kept, n) =
            keep_largest_of_union(&mask, region, preset.background, context.limits, context.cancel)
                .map_err(OperationError::other)?;
        mask = kept;
        n_removed += n as u64;
    }
    Ok((mask, n_removed))
}
