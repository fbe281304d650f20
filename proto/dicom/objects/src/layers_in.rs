//! Runs of labels that may overlap, spread over as few masks as their overlaps ask for.

use std::collections::{BTreeMap, BTreeSet};

use nephrite_mask_codec::{LabelEntry, LabelStatus, LabelTable, Mask, Run, RunMask, RunMaskBuilder};
use nephrite_types::Geometry;

use crate::{ObjectError, ObjectLimits};

/// Voxels `start..end` of row `z·ny + y` have this label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlacedRun {
    pub(crate) row: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) label: u16,
}

/// Names of labels that are neither empty nor twice there.
pub(crate) fn unique_names(names: impl IntoIterator<Item = (u16, String)>) -> BTreeMap<u16, String> {
    let mut used = BTreeSet::new();
    let mut unique = BTreeMap::new();
    for (id, name) in names {
        let clean: String = name
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let clean: String = clean.trim().chars().take(60).collect();
        let base = if clean.is_empty() {
            format!("label_{id}")
        } else {
            clean
        };
        // Ids differ, so the second attempt is free unless somebody meant it not to be.
        let mut candidate = base.clone();
        let mut n = 0u32;
        while !used.insert(candidate.clone()) {
            candidate = match n {
                0 => format!("{base} ({id})"),
                n => format!("{base} ({id}.{n})"),
            };
            n += 1;
        }
        unique.insert(id, candidate);
    }
    unique
}

/// Masks of runs; every label lies in one of them as a whole, and each label has an entry in the first mask that it may lie in.
///
/// # Errors
/// [`ObjectError::TooLarge`] if more labels share a voxel than there may be masks; those of masks.
pub(crate) fn layered(
    mut runs: Vec<PlacedRun>,
    geometry: &Geometry,
    names: &BTreeMap<u16, String>,
    limits: &ObjectLimits,
) -> Result<Vec<Mask>, ObjectError> {
    runs.sort_unstable();
    let conflicts = conflicts_of(&runs, limits)?;
    let layers = colored(names.keys().copied(), &conflicts, limits)?;
    let n_layers = layers.values().max().map_or(1, |last| last + 1);
    (0..n_layers)
        .map(|layer| {
            let of_layer = |label: u16| layers.get(&label) == Some(&layer);
            let mask = mask_of(runs.iter().filter(|run| of_layer(run.label)), geometry, limits)?;
            let entries = names
                .iter()
                .filter(|(id, _)| of_layer(**id))
                .map(|(id, name)| LabelEntry {
                    id: *id,
                    name: name.clone(),
                    status: LabelStatus::Present,
                });
            Ok(Mask::new(mask, LabelTable::new(entries.collect())?)?)
        })
        .collect()
}

/// Pairs of labels that share a voxel.
fn conflicts_of(runs: &[PlacedRun], limits: &ObjectLimits) -> Result<BTreeSet<(u16, u16)>, ObjectError> {
    let mut conflicts = BTreeSet::new();
    let mut open: Vec<PlacedRun> = Vec::new();
    for run in runs {
        open.retain(|other| other.row == run.row && other.end > run.start);
        for other in open.iter().filter(|other| other.label != run.label) {
            conflicts.insert((other.label.min(run.label), other.label.max(run.label)));
        }
        open.push(*run);
        ObjectError::check("labels in one voxel", open.len() as u64, limits.max_layers as u64)?;
    }
    Ok(conflicts)
}

/// The first layer in which no earlier label overlaps, label by label.
fn colored(
    labels: impl Iterator<Item = u16>,
    conflicts: &BTreeSet<(u16, u16)>,
    limits: &ObjectLimits,
) -> Result<BTreeMap<u16, usize>, ObjectError> {
    let mut neighbors: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
    for &(a, b) in conflicts {
        neighbors.entry(b).or_default().push(a); // a < b has its layer first
    }
    let mut layers = BTreeMap::new();
    for label in labels {
        let taken: BTreeSet<usize> = neighbors
            .get(&label)
            .into_iter()
            .flatten()
            .filter_map(|other| layers.get(other).copied())
            .collect();
        let layer = (0..).find(|layer| !taken.contains(layer)).unwrap_or_default();
        ObjectError::check(
            "masks for labels that overlap",
            layer as u64 + 1,
            limits.max_layers as u64,
        )?;
        layers.insert(label, layer);
    }
    Ok(layers)
}

/// Sorted runs as a mask; runs of one label may overlap.
fn mask_of<'a>(
    runs: impl Iterator<Item = &'a PlacedRun>,
    geometry: &Geometry,
    limits: &ObjectLimits,
) -> Result<RunMask, ObjectError> {
    let mut rows = RunMaskBuilder::new(*geometry, &limits.mask)?;
    let mut row: Vec<Run> = Vec::new();
    let mut at = 0u32;
    for run in runs {
        if run.row != at {
            rows.skip_to_row(at as usize)?;
            rows.push_row(row.drain(..))?;
            at = run.row;
        }
        match row.last_mut() {
            Some(last) if last.end > run.start && last.label == run.label => last.end = last.end.max(run.end),
            _ => row.push(Run {
                start: run.start,
                end: run.end,
                label: run.label,
            }),
        }
    }
    rows.skip_to_row(at as usize)?;
    rows.push_row(row)?;
    let [nz, ny, _] = geometry.shape.zyx();
    rows.skip_to_row(nz * ny)?;
    Ok(rows.finish()?)
}
