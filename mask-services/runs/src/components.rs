//! Connected components by joining runs, without a dense array.

use nephrite_mask_codec::RunMask;
use nephrite_types::{BoundingBox, CancelToken, Cancelled, Limits};
use rayon::prelude::*;

use crate::forest::{Grid, Numbering, number_components};
use crate::{Connectivity, RunsError, combine};

/// Connected components of a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// For every run of the mask, in its order: index into `parts`.
    pub of_run: Vec<u32>,
    /// In the order of their first voxels (z, y, x; x fastest).
    pub parts: Vec<Component>,
}

/// One connected component: voxels of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Of all its voxels.
    pub label: u16,
    /// Number of voxels.
    pub voxels: u64,
    /// The smallest box around them, `[z, y, x]`.
    pub bounding_box: BoundingBox,
}

/// The connected components of every label; voxels of different labels are never connected.
///
/// Equal to `cc3d.connected_components` 4.1 up to the numbers: components are numbered in the order of their first
/// voxels. *Cost*: linear in the runs, no dense array.
///
/// # Errors
/// [`Cancelled`]
pub fn components(
    mask: &RunMask,
    connectivity: Connectivity,
    cancel: &CancelToken,
) -> Result<Components, Cancelled> {
    let Numbering { of_run, first_runs } = number_components(Grid::of(mask), connectivity, cancel)?;
    let runs = mask.runs();
    let labels = first_runs
        .iter()
        .map(|first| runs[*first as usize].label)
        .collect();
    let parts = parts(mask, &of_run, labels);
    Ok(Components { of_run, parts })
}

/// Sizes and boxes, from the number of the component of every run and the label of every component.
fn parts(mask: &RunMask, of_run: &[u32], labels: Vec<u16>) -> Vec<Component> {
    let nz = mask.shape()[0];
    // Every thread has a table of all components: only worth it if these are few.
    let n_tables = rayon::current_num_threads()
        .min(of_run.len() / (8 * labels.len() + 1))
        .clamp(1, nz);
    let tables: Vec<Vec<Extent>> = (0..n_tables)
        .into_par_iter()
        .map(|table| {
            let planes = nz * table / n_tables..nz * (table + 1) / n_tables;
            let mut extents = vec![Extent::NONE; labels.len()];
            add_planes(mask, of_run, planes, &mut extents);
            extents
        })
        .collect();
    let with_idx = labels.into_iter().enumerate();
    with_idx
        .map(|(part, label)| {
            let mut all = Extent::NONE;
            for table in &tables {
                all.add(&table[part]);
            }
            Component {
                label,
                voxels: all.voxels,
                bounding_box: all.bounding_box(),
            }
        })
        .collect()
}

fn add_planes(mask: &RunMask, of_run: &[u32], planes: std::ops::Range<usize>, extents: &mut [Extent]) {
    let ny = mask.shape()[1];
    for z in planes {
        for y in 0..ny {
            let row = z * ny + y;
            let ends = mask.row_starts()[row] as usize..mask.row_starts()[row + 1] as usize;
            for (run, part) in mask.runs()[ends.clone()].iter().zip(&of_run[ends]) {
                extents[*part as usize].add(&Extent {
                    voxels: u64::from(run.len()),
                    low: [z as u32, y as u32, run.start, 0], // as many rows as u32 counts
                    high: [z as u32, y as u32, run.end - 1, 0],
                });
            }
        }
    }
}

/// Size and box of some runs. Boxes have a fourth axis, always 0, so that one instruction compares all.
#[derive(Clone)]
struct Extent {
    voxels: u64,
    /// z, y, x; inclusive.
    low: [u32; 4],
    high: [u32; 4],
}

impl Extent {
    const NONE: Extent = Extent {
        voxels: 0,
        low: [u32::MAX; 4],
        high: [0; 4],
    };

    #[inline]
    fn add(&mut self, other: &Extent) {
        self.voxels += other.voxels;
        for axis in 0..4 {
            self.low[axis] = self.low[axis].min(other.low[axis]);
            self.high[axis] = self.high[axis].max(other.high[axis]);
        }
    }

    fn bounding_box(&self) -> BoundingBox {
        BoundingBox {
            start: std::array::from_fn(|axis| self.low[axis] as usize),
            end: std::array::from_fn(|axis| self.high[axis] as usize + 1),
        }
    }
}

impl Components {
    /// The mask from which these came, with only the components for which `keep` is true; it gets the index of each.
    ///
    /// # Panics
    /// If the mask has another number of runs.
    pub fn select(&self, mask: &RunMask, mut keep: impl FnMut(usize, &Component) -> bool) -> RunMask {
        assert_eq!(self.of_run.len(), mask.runs().len(), "components of another mask");
        let kept: Vec<bool> = self
            .parts
            .iter()
            .enumerate()
            .map(|(idx, part)| keep(idx, part))
            .collect();
        if kept.iter().all(|kept| *kept) {
            return mask.clone();
        }
        mask.relabel(|idx, run| {
            if kept[self.of_run[idx] as usize] {
                run.label
            } else {
                0
            }
        })
    }

    /// For every component: is it among the `k` largest of its label? Of equal ones, that whose first voxel comes
    /// first (z, y, x) is the larger.
    pub fn largest(&self, k: usize) -> Vec<bool> {
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        // Stable: equal ones stay in the order of their first voxels.
        order.sort_by_key(|&idx| (self.parts[idx].label, std::cmp::Reverse(self.parts[idx].voxels)));
        let mut kept = vec![false; self.parts.len()];
        for label in order.chunk_by(|&a, &b| self.parts[a].label == self.parts[b].label) {
            for &idx in label.iter().take(k) {
                kept[idx] = true;
            }
        }
        kept
    }

    /// For every component: does it share a voxel with `set` (all voxels with any label)?
    ///
    /// # Panics
    /// If the mask is not the one from which these came, or has another shape than the set.
    pub fn overlapping(&self, mask: &RunMask, set: &RunMask) -> Vec<bool> {
        assert_eq!(self.of_run.len(), mask.runs().len(), "components of another mask");
        assert_eq!(mask.shape(), set.shape(), "masks of different shapes");
        let mut shared = vec![false; self.parts.len()];
        let mut idx = 0;
        for (runs, set) in mask.rows().zip(set.rows()) {
            let mut ahead = set;
            for run in runs {
                // What ends before this run does so before every later one, too.
                while ahead.first().is_some_and(|other| other.end <= run.start) {
                    ahead = &ahead[1..];
                }
                if ahead.first().is_some_and(|other| other.start < run.end) {
                    shared[self.of_run[idx] as usize] = true;
                }
                idx += 1;
            }
        }
        shared
    }
}

/// Every label without its components of fewer than `min_voxels` voxels, as `cc3d.dust`.
///
/// # Errors
/// [`Cancelled`]
pub fn drop_small(
    mask: &RunMask,
    min_voxels: u64,
    connectivity: Connectivity,
    cancel: &CancelToken,
) -> Result<RunMask, Cancelled> {
    let components = components(mask, connectivity, cancel)?;
    Ok(components.select(mask, |_, part| part.voxels >= min_voxels))
}

/// The `k` largest components of every label. Of equal ones, that whose first voxel comes first (z, y, x) is the larger.
///
/// # Errors
/// [`Cancelled`]
pub fn keep_largest(
    mask: &RunMask,
    k: usize,
    connectivity: Connectivity,
    cancel: &CancelToken,
) -> Result<RunMask, Cancelled> {
    let components = components(mask, connectivity, cancel)?;
    let largest = components.largest(k);
    Ok(components.select(mask, |idx, _| largest[idx]))
}

/// The mask without all but the largest component (26 neighbors) of the union of `labels`; components of equal size are
/// all kept. Voxels that are removed become `background`, which may be a label.
///
/// Source: nnunetv2 2.8.1, `postprocessing/remove_connected_components.py`
/// (`remove_all_but_largest_component_from_segmentation`). Also gives the number of components that were removed.
///
/// # Errors
/// [`RunsError::Mask`] if there are more runs than the limit, [`RunsError::Cancelled`].
pub fn keep_largest_of_union(
    mask: &RunMask,
    labels: &[u16],
    background: u16,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<(RunMask, usize), RunsError> {
    let mut is_listed = vec![false; usize::from(u16::MAX) + 1];
    labels
        .iter()
        .for_each(|label| is_listed[usize::from(*label)] = true);
    let set = mask.relabel(|_, run| u16::from(is_listed[usize::from(run.label)]));
    let components = components(&set, Connectivity::Corners26, cancel)?;
    let largest = components.parts.iter().map(|part| part.voxels).max();
    let is_removed = |part: &Component| Some(part.voxels) < largest;
    let n_removed = components.parts.iter().filter(|part| is_removed(part)).count();
    if n_removed == 0 {
        return Ok((mask.clone(), 0));
    }
    let removed = components.select(&set, |_, part| is_removed(part));
    let kept = combine(mask, &removed, limits, |label, removed| {
        if removed != 0 { background } else { label }
    })?;
    Ok((kept, n_removed))
}
