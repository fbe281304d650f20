//! Steps 6 to 8: which components stay.

use std::collections::{BTreeMap, HashSet};

use nephrite_kernel::{Context, OperationError, RunMask, length};
use nephrite_runs::{Components, components, grow};

use crate::rules::Rules;

/// The mask after steps 6 to 8, and how many components each label lost.
///
/// To drop a component changes no other one, so that they are looked for once.
pub(crate) fn apply(
    mask: &RunMask,
    rules: &Rules,
    context: &Context<'_>,
) -> Result<(RunMask, BTreeMap<u16, u64>), OperationError> {
    if !rules.drops_parts() {
        return Ok((mask.clone(), BTreeMap::new()));
    }
    let found = components(mask, rules.connectivity, context.cancel)?;
    let labels: HashSet<u16> = rules.labels.iter().copied().collect();
    let subject: Vec<bool> = found
        .parts
        .iter()
        .map(|part| labels.contains(&part.label))
        .collect();
    let mut kept = large_enough(mask, rules, &found);
    if let Some(k) = rules.keep_largest {
        // The k largest are large enough if any k are: to drop small ones first changes nothing.
        let largest = found.largest(k);
        kept.iter_mut()
            .zip(largest)
            .for_each(|(kept, largest)| *kept &= largest);
    }
    for (kept, subject) in kept.iter_mut().zip(&subject) {
        *kept |= !subject;
    }
    if let Some(near) = rules.near {
        let others = found.select(mask, |idx, part| kept[idx] && part.label == near.label);
        let around = grow(&others, near.mm, context.limits, context.cancel).map_err(OperationError::other)?;
        let is_near = found.overlapping(mask, &around);
        for (idx, part) in found.parts.iter().enumerate() {
            kept[idx] &= is_near[idx] || !subject[idx] || part.label == near.label;
        }
    }
    let mut removed = BTreeMap::new();
    for (part, _) in found.parts.iter().zip(&kept).filter(|(_, kept)| !**kept) {
        *removed.entry(part.label).or_insert(0) += 1;
    }
    Ok((found.select(mask, |idx, _| kept[idx]), removed))
}

/// Step 6.
fn large_enough(mask: &RunMask, rules: &Rules, found: &Components) -> Vec<bool> {
    let voxel_mm3 = mask.geometry().voxel_mm3();
    let min_voxels = rules.min_voxels.unwrap_or(0);
    let min_mm3 = rules.min_volume_mm3.unwrap_or(0.0);
    found
        .parts
        .iter()
        .map(|part| part.voxels >= min_voxels && length::at_least(part.voxels as f64 * voxel_mm3, min_mm3))
        .collect()
}
