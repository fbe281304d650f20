//! What was changed, in numbers.

use std::collections::BTreeMap;

use nephrite_kernel::{Context, Mask, Measurement, OperationError, RunMask};
use nephrite_runs::combine;

use crate::rules::Rules;

/// Of every label that was to be cleaned, in the order of the table.
pub(crate) fn of_rules(
    before: &Mask,
    after: &RunMask,
    rules: &Rules,
    filled: &BTreeMap<u16, u64>,
    removed: &BTreeMap<u16, u64>,
    context: &Context<'_>,
) -> Result<Vec<Measurement>, OperationError> {
    let changes = if rules.adds() {
        changes(before, after, context)?
    } else {
        losses(before, after)
    };
    let mut measurements = Vec::new();
    for entry in before.labels().entries() {
        if !rules.labels.contains(&entry.id) {
            continue;
        }
        let count = |of: &BTreeMap<u16, u64>| of.get(&entry.id).copied().unwrap_or(0);
        let change = changes.get(&entry.id).copied().unwrap_or_default();
        measurements.extend(change.measurements(&entry.name));
        if rules.fill_holes.is_some() {
            measurements.push(measurement(
                &entry.name,
                "hole_voxels_filled",
                "voxel",
                count(filled),
            ));
        }
        if rules.drops_parts() {
            measurements.push(measurement(&entry.name, "components_removed", "", count(removed)));
        }
    }
    Ok(measurements)
}

/// Of every label, in the order of the table.
pub(crate) fn of_preset(
    before: &Mask,
    after: &RunMask,
    n_removed: u64,
    context: &Context<'_>,
) -> Result<Vec<Measurement>, OperationError> {
    let changes = changes(before, after, context)?;
    let mut measurements = Vec::new();
    for entry in before.labels().entries() {
        let change = changes.get(&entry.id).copied().unwrap_or_default();
        measurements.extend(change.measurements(&entry.name));
    }
    measurements.push(measurement("", "components_removed", "", n_removed));
    Ok(measurements)
}

#[derive(Debug, Clone, Copy, Default)]
struct Change {
    removed: u64,
    added: u64,
}

impl Change {
    fn measurements(self, label: &str) -> [Measurement; 2] {
        [
            measurement(label, "voxels_removed", "voxel", self.removed),
            measurement(label, "voxels_added", "voxel", self.added),
        ]
    }
}

/// As [`changes`], if no label can have gained a voxel.
fn losses(before: &Mask, after: &RunMask) -> BTreeMap<u16, Change> {
    let after = after.summaries();
    let left = |label| after.get(label).map_or(0, |left| left.voxels);
    let before = before.summaries().iter();
    before
        .map(|(label, before)| {
            let change = Change {
                removed: before.voxels - left(label),
                added: 0,
            };
            (*label, change)
        })
        .collect()
}

/// By label; labels that no voxel has before or after are left out.
fn changes(
    before: &Mask,
    after: &RunMask,
    context: &Context<'_>,
) -> Result<BTreeMap<u16, Change>, OperationError> {
    let same = |before, after| if before == after { before } else { 0 };
    let kept = combine(before.runs(), after, context.limits, same).map_err(OperationError::other)?;
    let (kept, after) = (kept.summaries(), after.summaries());
    let mut changes: BTreeMap<u16, Change> = BTreeMap::new();
    for (label, before) in before.summaries() {
        let kept = kept.get(label).map_or(0, |kept| kept.voxels);
        changes.entry(*label).or_default().removed = before.voxels - kept;
    }
    for (label, after) in after {
        let kept = kept.get(&label).map_or(0, |kept| kept.voxels);
        changes.entry(label).or_default().added = after.voxels - kept;
    }
    Ok(changes)
}

fn measurement(label: &str, name: &str, unit: &str, count: u64) -> Measurement {
    Measurement {
        label: label.to_owned(),
        name: name.to_owned(),
        unit: unit.to_owned(),
        value: count as f64, // far below 2^53
    }
}
