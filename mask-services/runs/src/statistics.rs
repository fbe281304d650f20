//! Voxels, box and centroid of every label in one pass.

use nephrite_mask_codec::{Run, RunMask};
use nephrite_types::BoundingBox;
use rayon::prelude::*;

/// Size and place of one label.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelStatistics {
    /// Which.
    pub label: u16,
    /// Number of voxels; at least 1.
    pub voxels: u64,
    /// Mean voxel index, `[z, y, x]`.
    pub centroid: [f64; 3],
    /// The smallest box around all voxels, `[z, y, x]`.
    pub bounding_box: BoundingBox,
}

/// Size and place of every label that occurs, sorted by label; as `cc3d.statistics` 4.1.
///
/// Sums are whole numbers: the same for any number of threads. *Cost*: one pass over the runs.
pub fn statistics(mask: &RunMask) -> Vec<LabelStatistics> {
    let nz = mask.shape()[0];
    let n_parts = rayon::current_num_threads().clamp(1, nz);
    let tables: Vec<Vec<Sums>> = (0..n_parts)
        .into_par_iter()
        .map(|part| sums_of_planes(mask, nz * part / n_parts..nz * (part + 1) / n_parts))
        .collect();
    let n_labels = tables.iter().map(Vec::len).max().unwrap_or(0);
    let labels = 0..n_labels;
    labels
        .filter_map(|label| {
            let mut all = Sums::NONE;
            for sums in tables.iter().filter_map(|table| table.get(label)) {
                all.merge(sums);
            }
            (all.voxels > 0).then(|| all.statistics(label as u16)) // an index from a u16
        })
        .collect()
}

/// By label; as long as the largest label needs.
fn sums_of_planes(mask: &RunMask, planes: std::ops::Range<usize>) -> Vec<Sums> {
    let ny = mask.shape()[1];
    let mut by_label: Vec<Sums> = Vec::new();
    for z in planes {
        for y in 0..ny {
            for run in mask.row(z * ny + y) {
                let label = usize::from(run.label);
                if label >= by_label.len() {
                    by_label.resize(label + 1, Sums::NONE);
                }
                by_label[label].add([z as u64, y as u64], *run);
            }
        }
    }
    by_label
}

#[derive(Debug, Clone)]
struct Sums {
    voxels: u64,
    /// Of the indices: z, y, and twice x.
    sums: [u128; 3],
    /// z, y, x; inclusive.
    low: [u64; 3],
    /// z, y, x; exclusive.
    high: [u64; 3],
}

impl Sums {
    const NONE: Sums = Sums {
        voxels: 0,
        sums: [0; 3],
        low: [u64::MAX; 3],
        high: [0; 3],
    };

    #[inline]
    fn add(&mut self, [z, y]: [u64; 2], run: Run) {
        let (start, end, n) = (u64::from(run.start), u64::from(run.end), u64::from(run.len()));
        self.voxels += n;
        self.sums[0] += u128::from(z) * u128::from(n);
        self.sums[1] += u128::from(y) * u128::from(n);
        self.sums[2] += u128::from(start + end - 1) * u128::from(n);
        for (axis, (low, high)) in [(z, z + 1), (y, y + 1), (start, end)].into_iter().enumerate() {
            self.low[axis] = self.low[axis].min(low);
            self.high[axis] = self.high[axis].max(high);
        }
    }

    fn merge(&mut self, other: &Sums) {
        self.voxels += other.voxels;
        for axis in 0..3 {
            self.sums[axis] += other.sums[axis];
            self.low[axis] = self.low[axis].min(other.low[axis]);
            self.high[axis] = self.high[axis].max(other.high[axis]);
        }
    }

    fn statistics(&self, label: u16) -> LabelStatistics {
        let mean = |sum: u128, of: u64| sum as f64 / of as f64;
        LabelStatistics {
            label,
            voxels: self.voxels,
            centroid: [
                mean(self.sums[0], self.voxels),
                mean(self.sums[1], self.voxels),
                mean(self.sums[2], 2 * self.voxels),
            ],
            bounding_box: BoundingBox {
                start: self.low.map(|index| index as usize),
                end: self.high.map(|index| index as usize),
            },
        }
    }
}
