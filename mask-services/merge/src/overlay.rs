//! Layers of runs on one grid into one label map, with the overlaps counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nephrite_kernel::{CancelToken, Geometry, Limits, OperationError, Run, RunMask, RunMaskBuilder};
use rayon::prelude::*;

/// One mask on the common grid, and which result label each of its ids means.
#[derive(Debug, Clone)]
pub(crate) struct Layer<'a> {
    pub(crate) runs: Cow<'a, RunMask>,
    /// Indexed by the mask's own id; 0 is nothing. What lies past the end is nothing, too.
    pub(crate) meaning: Vec<u16>,
}

impl Layer<'_> {
    pub(crate) fn means(&self, id: u16) -> u16 {
        self.meaning.get(usize::from(id)).copied().unwrap_or(0)
    }
}

/// Voxels that several labels claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conflicts {
    /// Voxels that two labels claimed, by their ranks, the winner's first.
    pub(crate) pairs: BTreeMap<(u16, u16), u64>,
    /// Voxels that more than one label claimed.
    pub(crate) voxels: u64,
}

/// Rows of one plane: how many runs each has, and the runs.
struct Plane {
    counts: Vec<u32>,
    runs: Vec<Run>,
    conflicts: Conflicts,
}

/// Puts layers on top of each other. Their meanings are ranks: of all that claim a voxel, the lowest wins and its voxel
/// becomes `id_of_rank[rank]`.
///
/// *Cost*: one pass over all runs, in parallel over planes; rows that only one layer has runs in are copied.
pub(crate) fn overlay(
    layers: &[Layer<'_>],
    id_of_rank: &[u16],
    geometry: &Geometry,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<(RunMask, Conflicts), OperationError> {
    let mut builder = RunMaskBuilder::new(*geometry, limits)?;
    let [nz, ny, _] = geometry.shape.zyx();
    let planes: Vec<Plane> = (0..nz)
        .into_par_iter()
        .map(|z| {
            cancel.check()?;
            Ok(overlay_plane(layers, id_of_rank, z * ny..(z + 1) * ny))
        })
        .collect::<Result<_, OperationError>>()?;
    let mut conflicts = Conflicts::default();
    for plane in planes {
        let mut rest = plane.runs.as_slice();
        for count in plane.counts {
            let (row, after) = rest.split_at(count as usize);
            builder.push_row(row.iter().copied())?;
            rest = after;
        }
        conflicts.voxels += plane.conflicts.voxels;
        for (pair, voxels) in plane.conflicts.pairs {
            *conflicts.pairs.entry(pair).or_default() += voxels;
        }
    }
    Ok((builder.finish()?, conflicts))
}

fn overlay_plane(layers: &[Layer<'_>], id_of_rank: &[u16], rows: std::ops::Range<usize>) -> Plane {
    let mut plane = Plane {
        counts: Vec::with_capacity(rows.len()),
        runs: Vec::new(),
        conflicts: Conflicts::default(),
    };
    let mut claims: Vec<Run> = Vec::new();
    let mut active: Vec<Run> = Vec::new();
    for row in rows {
        let before = plane.runs.len();
        let mut with_runs = layers.iter().filter(|layer| !layer.runs.row(row).is_empty());
        if let Some(first) = with_runs.next() {
            claims.clear();
            add_claims(&mut claims, first, row);
            let alone = with_runs.fold(true, |_, layer| {
                add_claims(&mut claims, layer, row);
                false
            });
            if alone {
                let named = claims.iter().map(|claim| Run {
                    label: id_of_rank[usize::from(claim.label)],
                    ..*claim
                });
                plane.runs.extend(named);
            } else {
                claims.sort_unstable_by_key(|claim| (claim.start, claim.label, claim.end));
                sweep(
                    &claims,
                    &mut active,
                    id_of_rank,
                    &mut plane.runs,
                    &mut plane.conflicts,
                );
            }
        }
        plane.counts.push((plane.runs.len() - before) as u32); // at most the row's length
    }
    plane
}

fn add_claims(claims: &mut Vec<Run>, layer: &Layer<'_>, row: usize) {
    let ranked = layer.runs.row(row).iter().map(|run| Run {
        label: layer.means(run.label),
        ..*run
    });
    claims.extend(ranked.filter(|claim| claim.label != 0));
}

/// From claims sorted by their start to runs that do not overlap.
fn sweep(
    claims: &[Run],
    active: &mut Vec<Run>,
    id_of_rank: &[u16],
    runs: &mut Vec<Run>,
    conflicts: &mut Conflicts,
) {
    active.clear();
    let mut next = 0;
    let mut at = 0;
    loop {
        if active.is_empty() {
            match claims.get(next) {
                Some(claim) => at = claim.start,
                None => return,
            }
        }
        while let Some(claim) = claims.get(next).filter(|claim| claim.start == at) {
            let place = active.partition_point(|other| other.label < claim.label);
            active.insert(place, *claim);
            next += 1;
        }
        let ends = active.iter().map(|claim| claim.end);
        let upcoming = claims.get(next).map(|claim| claim.start);
        let Some(end) = ends.chain(upcoming).min() else {
            return;
        };
        count(active, u64::from(end - at), conflicts);
        runs.push(Run {
            start: at,
            end,
            label: id_of_rank[usize::from(active[0].label)],
        });
        at = end;
        active.retain(|claim| claim.end > at);
    }
}

/// Adds the pairs of different labels among claims that are sorted by label.
fn count(active: &[Run], voxels: u64, conflicts: &mut Conflicts) {
    let (Some(first), Some(last)) = (active.first(), active.last()) else {
        return;
    };
    if first.label == last.label {
        return; // one claim, or the same label from several masks
    }
    conflicts.voxels += voxels;
    let distinct: Vec<u16> = active
        .chunk_by(|a, b| a.label == b.label)
        .map(|same| same[0].label)
        .collect();
    for (i, &winner) in distinct.iter().enumerate() {
        for &other in &distinct[i + 1..] {
            *conflicts.pairs.entry((winner, other)).or_default() += voxels;
        }
    }
}
