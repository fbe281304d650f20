use nephrite_mask_codec::RunMask;
use nephrite_types::{BoundingBox, CancelToken, Cancelled};

use crate::Connectivity;
use crate::forest::{Grid, first_runs};

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
/// Equal to `cc3d.connected_components` 3.x up to the numbers: components are numbered in the order of their first
/// voxels. *Cost*: linear in the runs, no dense array.
///
/// # Errors
/// [`Cancelled`]
pub fn components(
    mask: &RunMask,
    connectivity: Connectivity,
    cancel: &CancelToken,
) -> Result<Components, Cancelled> {
    let mut of_run = first_runs(Grid::of(mask), connectivity, cancel)?;
    let ny = mask.shape()[1];
    let mut parts: Vec<Component> = Vec::new();
    let mut idx = 0;
    for (row, runs) in mask.rows().enumerate() {
        let (z, y) = (row / ny, row % ny);
        for run in runs {
            let first = of_run[idx] as usize;
            let here = BoundingBox {
                start: [z, y, run.start as usize],
                end: [z + 1, y + 1, run.end as usize],
            };
            if first == idx {
                of_run[idx] = parts.len() as u32; // at most as many as runs
                parts.push(Component {
                    label: run.label,
                    voxels: u64::from(run.len()),
                    bounding_box: here,
                });
            } else {
                let part = of_run[first]; // numbered already: it lies before
                of_run[idx] = part;
                let part = &mut parts[part as usize];
                part.voxels += u64::from(run.len());
                part.bounding_box = part.bounding_box.union(&here);
            }
            idx += 1;
        }
    }
    Ok(Components { of_run, parts })
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
